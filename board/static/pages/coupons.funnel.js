// How often each step on a coupon's way has happened, by rule or by campaign.

import { get } from "/static/api.js";
import { coded, fill, h, table } from "/static/dom.js";
import { moment, percent, whole } from "/static/numbers.js";

const STEPS = ["issued", "delivered", "opened", "redeemed", "refused", "revoked"];
const DRAWN = STEPS.slice(0, 4);

export function funnel({ t }) {
  const by = h("select", { onchange: renew }, ["rule", "campaign"].map((name) => h("option", { value: name }, t(`by_${name}`))));
  const day = h("select", { onchange: renew }, h("option", { value: "" }, t("all_days")));
  const note = h("p", { class: "note" });
  const drawn = h("div", { class: "coupons-funnel" });
  const rows = h("div");
  const failed = h("div");
  const root = h("section", { class: "card" }, h("h2", {}, t("funnel_title")), note,
    h("div", { class: "bar" }, h("label", {}, t("by"), by), h("label", {}, t("day"), day)), failed, drawn, rows, h("p", { class: "note" }, coded(t("undelivered_note"))));

  async function renew() {
    const found = await get("/coupons/funnel", { by: by.value, day: day.value });
    note.textContent = t("funnel_note", { since: moment(found.since_ms) });
    const days = [...day.options].slice(1).map((option) => option.value);
    if (days.join() !== found.days.join()) {
      const before = day.value;
      fill(day, day.options[0], found.days.map((one) => h("option", { value: one, selected: one === before }, one)));
    }
    const all = Object.fromEntries(STEPS.map((step) => [step, found.items.reduce((sum, one) => sum + one[step], 0)]));
    const most = Math.max(1, ...DRAWN.map((step) => all[step]));
    fill(drawn, DRAWN.map((step) => h("div", { class: "coupons-step" }, h("span", { class: "label" }, t(step)),
      h("span", { class: "coupons-track" }, h("span", { class: "coupons-fill", style: { width: `${(100 * all[step]) / most}%` } })),
      h("b", { class: "number" }, whole(all[step])), h("span", { class: "number note" }, all.issued ? percent(all[step] / all.issued, 0) : "–"))));
    const items = [...found.items].sort((a, b) => b.issued - a.issued || (a.name < b.name ? -1 : 1));
    fill(rows, items.length ? table(t("funnel_title"), [t("name"), ...STEPS.map((step) => t(step))],
      items.map((one) => [one.name || t("no_campaign"), ...STEPS.map((step) => cell(one, step))]), STEPS.map((_, i) => i + 1)) : h("p", { class: "state" }, t("no_decisions")));
  }

  function cell(one, step) {
    if (step === "issued") return whole(one[step]);
    if (!one.issued || !one[step]) return [whole(one[step]), h("span", { class: "coupons-share" })];
    return [whole(one[step]), h("span", { class: "note coupons-share" }, percent(one[step] / one.issued, 0))];
  }

  return { root, renew, failed };
}
