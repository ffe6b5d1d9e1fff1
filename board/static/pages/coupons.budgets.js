// What campaigns have spent and may spend, when nothing is left, and which are paused; a pause can be ended here.

import { get, post } from "/static/api.js";
import { fill, h, table } from "/static/dom.js";
import { moment, money, percent, whole } from "/static/numbers.js";
import { said } from "/static/phrases.js";

const DAY_MS = 86_400_000;

export function budgets({ t, me }) {
  const pauses = h("div", { class: "coupons-pauses" });
  const rows = h("div");
  const failed = h("div");
  const root = h("section", { class: "card" }, h("h2", {}, t("budget_title")), h("p", { class: "note" }, t("budget_note")), failed, rows);
  const may = me.roles.some((role) => role === "marketing" || role === "engineer");
  let before = "";

  async function renew() {
    const found = await get("/coupons/budgets");
    if (JSON.stringify(found.pauses) !== before) {
      before = JSON.stringify(found.pauses);
      fill(pauses, found.pauses.map(banner));
    }
    fill(rows, found.items.length ? table(t("budget_title"), [t("campaign"), t("state"), t("spent"), t("a_day"), t("empty"), t("given_of")],
      found.items.map((one) => [one.campaign, state(one), spent(one), money(one.burn_cents), empty(one, found.clock_ms), of(whole(one.given), one.coupons === null ? null : whole(one.coupons))]),
      [3, 5]) : h("p", { class: "state" }, t("no_budgets")));
  }

  function state(one) {
    return h("span", {}, h("span", { class: `chip ${one.state === "running" ? "good" : "warn"}` }, t(one.state)), one.ran_out.length ? ` ${one.ran_out.map((pot) => said(pot, "pot")).join(", ")}` : "");
  }

  function spent(one) {
    if (one.budget_cents === null) return of(money(one.spent_cents), null);
    const share = one.budget_cents ? one.spent_cents / one.budget_cents : 1;
    return h("div", {}, h("div", {}, of(money(one.spent_cents), money(one.budget_cents)), h("span", { class: "note" }, ` ${percent(share, share < 0.1 ? 2 : 0)}`)),
      h("div", { class: "coupons-track", "aria-hidden": "true" }, h("span", { class: `coupons-fill ${share > 0.9 ? "warn" : ""}`, style: { width: `${Math.min(100, 100 * share)}%` } })));
  }

  function empty(one, nowMs) {
    if (one.remaining_cents !== null && one.remaining_cents <= 0) return t("gone");
    if (!one.empty_ms) return t("never");
    const days = (one.empty_ms - nowMs) / DAY_MS;
    return days > 365 ? t("beyond") : t("in_days", { days: whole(days), at: moment(one.empty_ms) });
  }

  const of = (some, most) => (most === null ? `${some}, ${t("no_limit")}` : t("of", { some, whole: most }));
  const where = (pause) => (pause.place ? t("at_place", { place: said(pause.place, "place").replace(":", " ") }) : t("everywhere"));

  function banner(pause) {
    const by = pause.incident ? t("an_alert") : pause.by;
    return h("div", { class: "banner warn coupons-pause" },
      h("div", {}, h("b", {}, t("paused_title", { campaign: pause.campaign, where: where(pause) })),
        h("div", {}, t("paused_by", { by, at: moment(pause.at_ms), reason: said(pause.reason, "why") }))),
      may && h("button", { type: "button", onclick: () => ask(pause) }, t("resume")));
  }

  function ask(pause) {
    const reason = h("input", { required: true, minlength: 3, maxlength: 500 });
    const told = h("p", { role: "alert" });
    const dialog = h("dialog", { "aria-label": t("resume") }, h("form", { onsubmit: answered },
      h("h2", {}, t("resume_title", { campaign: pause.campaign, where: where(pause) })), h("p", { class: "note" }, t("resume_note")),
      h("div", { class: "bar" }, h("label", {}, t("reason"), reason)), told,
      h("div", { class: "bar" }, h("button", { class: "main" }, t("resume")), h("button", { type: "button", onclick: () => dialog.close() }, t("cancel")))));

    async function answered(event) {
      event.preventDefault();
      try {
        await post(`/coupons/pauses/${encodeURIComponent(pause.campaign)}/resume`, { place: pause.place, reason: reason.value });
        fill(told, t("resumed"));
        setTimeout(() => dialog.close(), 1500);
      } catch (error) {
        fill(told, error.message);
      }
    }

    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }

  return { root, pauses, renew, failed };
}
