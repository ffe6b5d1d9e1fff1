// One rule: in words, as its file, and its switch.

import { get, post } from "/static/api.js";
import { fill, h } from "/static/dom.js";
import { money } from "/static/numbers.js";
import { chip } from "/static/pages/rules.js";
import { backtestOf } from "/static/pages/rules.past.js";
import { testsOf } from "/static/pages/rules.tests.js";
import { said } from "/static/phrases.js";

export async function openRule(root, { t, id, me }) {
  const head = h("section", { class: "card" });
  const may = me.roles.some((role) => role === "marketing" || role === "engineer");
  let told = await get(`/rules/${encodeURIComponent(id)}`);

  function draw(done = "") {
    const { rule } = told;
    const on = rule.state !== "off";
    fill(head, h("h2", {}, rule.name), h("p", {}, h("code", {}, rule.id), " ", chip(t, rule)),
      may && !told.cannot_switch && h("button", { type: "button", class: on ? "" : "main", onclick: () => ask(!on) }, t(on ? "switch_off" : "switch_on")),
      may && told.cannot_switch && h("p", { class: "note" }, t("cannot", { why: said(told.cannot_switch, "problem") })), h("p", { role: "status" }, done));
  }

  function ask(on) {
    const answer = h("p", { role: "alert" });
    const yes = h("button", { class: "main" }, t(on ? "switch_on" : "switch_off"));
    const dialog = h("dialog", { "aria-label": t(on ? "switch_on" : "switch_off") }, h("form", { onsubmit: turn }, h("p", {}, t(on ? "sure_on" : "sure_off", { rule: id })), answer,
      h("div", { class: "bar" }, yes, h("button", { type: "button", onclick: () => dialog.close() }, t("cancel")))));

    async function turn(event) {
      event.preventDefault();
      yes.disabled = true;
      try {
        await post(`/rules/${encodeURIComponent(id)}/switch`, { on });
        told = await get(`/rules/${encodeURIComponent(id)}`);
        dialog.close();
        draw(t("switched"));
      } catch (error) {
        yes.disabled = false;
        fill(answer, h("span", { class: "down" }, error.message));
      }
    }

    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }

  draw();
  const past = await backtestOf({ t, id, may });
  root.append(h("p", {}, h("a", { href: "/rules" }, `← ${t("all")}`)), head, inWords(t, told), testsOf({ t, id }, told.tests), past.root, source(t, told));
  return past.close;
}

function inWords(t, { rule, clauses, valid, min_spend_cents: least, capped, quiet, max_event_age: age }) {
  const of = (clause) => (clause.of === "when" ? null : h("span", { class: "chip low" }, t(clause.of === "exit" ? "of_exit" : "of_schedule")));
  const gives = [t("gives", { gift: said(rule.gift, "gift") }), t("valid", { valid: said(valid, "span") }), least && t("min_spend", { money: money(least) })].filter(Boolean).join(t("comma"));
  const limits = [t("cooldown", { cooldown: said(rule.cooldown, "span") }), rule.group && t("group", { group: rule.group }), t(capped ? "capped" : "uncapped"), t("priority_is", { n: rule.priority }),
    t("quiet", { what: t(quiet) }), age && t("max_age", { age: said(age, "span") })].filter(Boolean);
  return h("section", { class: "card" }, h("h2", {}, t("words_title")), h("p", {}, t("when_looks", { looks: said(rule.looks, "looks") }), t("comma"), t("must_hold")),
    h("ul", { class: "rules-clauses" }, clauses.map((clause) => h("li", {}, of(clause), " ", h("b", {}, said(clause.words, "clause")), clause.words === clause.text ? null : h("code", { class: "note" }, clause.text)))),
    h("p", {}, h("b", {}, gives)), h("h3", {}, t("limits")), h("ul", { class: "note" }, limits.map((limit) => h("li", {}, limit))));
}

function source(t, told) {
  return h("details", { class: "card" }, h("summary", {}, t("file"), " ", h("span", { class: "note" }, t("version", { version: told.version }))), h("pre", { tabindex: "0" }, h("code", {}, told.source)));
}
