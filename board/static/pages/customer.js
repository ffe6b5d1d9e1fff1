// One customer: what the engine knows of them, what it decided and why.

import { get, post } from "/static/api.js";
import { fill, h } from "/static/dom.js";
import { moment } from "/static/numbers.js";
import { meant, typed } from "/static/moments.js";
import { decisionsOf } from "/static/pages/customer.decisions.js";
import { outlookOf } from "/static/pages/customer.outlook.js";
import { profileOf } from "/static/pages/customer.profile.js";
import { words } from "/static/pages/customer.words.js";
import { purpose, purposeChooser } from "/static/purpose.js";

export { words };

const DAY_MS = 86_400_000;
const SLID = 60; // days

export async function open(root, context) {
  const { t, id, go } = context;
  const body = h("div", { class: "customer-body" });
  const told = h("p", { class: "note", role: "status" }, t("typed_note"));
  const sought = h("input", { id: "sought", autocomplete: "off", spellcheck: "false", "aria-label": t("search"), placeholder: t("search") });
  root.append(h("p", { class: "note" }, t("about")),
    h("form", { class: "card bar customer-search", onsubmit: find }, purposeChooser(() => (id ? show() : null)), h("label", { class: "customer-sought" }, t("customer"), sought), h("button", { class: "main" }, t("find"))), told, body);

  // Posted: what was typed must not stand in addresses, histories and logs.
  async function find(event) {
    event.preventDefault();
    if (!purpose()) return fill(told, t("purpose_first"));
    if (!sought.value.trim()) return undefined;
    try {
      const { customer } = await post("/customers/find", { id: sought.value.trim() }, { purpose: purpose() });
      sought.value = "";
      return go(`/customer/${encodeURIComponent(customer)}`);
    } catch (error) {
      return fill(told, h("span", { class: "down" }, error.message));
    }
  }

  async function show() {
    if (!purpose()) return fill(body, h("p", { class: "state" }, t("purpose_first")));
    try {
      const ask = (path, asked) => get(`/customers/${encodeURIComponent(id)}${path}`, asked, { purpose: purpose() });
      const profile = await ask("", {});
      await lay({ ...context, ask }, profile);
    } catch (error) {
      fill(body, h("p", { class: "banner", role: "alert" }, error.message));
    }
    return undefined;
  }

  async function lay(inner, profile) {
    const latestMs = Math.max(profile.at_ms, profile.newest_ms);
    const shown = h("div");
    const exact = h("p", { class: "note" });
    const field = h("input", { type: "datetime-local", value: typed(latestMs, profile.zone), onchange: () => asOf(meant(field.value, profile.zone)) });
    const slider = h("input", { type: "range", min: -SLID, max: 0, value: 0, step: 1, onchange: () => asOf(latestMs + Number(slider.value) * DAY_MS) });
    const outlook = await outlookOf(inner, () => profile.at_ms);
    const decisions = await decisionsOf(inner, profile);
    let turn = 0;

    function draw() {
      field.value = typed(profile.at_ms, profile.zone);
      slider.value = Math.round((profile.at_ms - latestMs) / DAY_MS);
      fill(exact, profile.at_ms < profile.newest_ms ? t("inexact", { at: moment(profile.newest_ms) }) : t("exact"));
      fill(shown, profileOf(inner, profile));
    }

    async function asOf(ms) {
      if (!Number.isFinite(ms)) return;
      const mine = ++turn;
      try {
        const found = await inner.ask("", { at_ms: ms });
        if (mine !== turn) return; // of two quick moves the later counts, whichever comes first
        profile = found;
        draw();
      } catch (error) {
        if (mine === turn) fill(exact, h("span", { class: "down" }, error.message));
      }
    }

    draw();
    fill(body, h("section", { class: "card" }, h("h2", { class: "customer-id" }, profile.customer),
      h("div", { class: "bar" }, h("label", {}, `${t("as_of")} (${profile.zone})`, field), h("label", { class: "customer-slide" }, t("slide"), slider),
        h("button", { type: "button", onclick: () => asOf(latestMs) }, t("now"))), exact), shown, decisions, outlook);
  }

  if (id) await show();
  else fill(body, h("p", { class: "state" }, t("start")));
}
