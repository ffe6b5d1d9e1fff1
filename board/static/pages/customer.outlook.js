// What a rule would decide of a customer as of a time.

import { get } from "/static/api.js";
import { fill, h, table } from "/static/dom.js";
import { moment } from "/static/numbers.js";
import { clausesOf, scoresOf } from "/static/pages/customer.clauses.js";
import { said } from "/static/phrases.js";
import { language } from "/static/words.js";

export async function outlookOf({ t, me, ask }, atMs) {
  const names = me.pages.includes("rules") ? (await get("/rules")).items.map((rule) => rule.id).sort() : [];
  const field = names.length ? h("select", {}, names.map((name) => h("option", { value: name }, name))) : h("input", { required: true });
  const found = h("div");
  const look = { true: ["good", "would"], false: ["low", "would_not"], null: ["warn", "may"] };

  async function asked(event) {
    event.preventDefault();
    try {
      const why = await ask("/why", { rule: field.value, at_ms: atMs() });
      const [chip, word] = look[`${why.would_fire}`];
      fill(found, h("p", {}, h("span", { class: `chip ${chip}` }, t(word)), " ", h("b", {}, why.name || why.rule), " ", h("span", { class: "note" }, why.would_fire === false ? (language() === "en" ? why.reason.replace("would not fire: ", "") : t(why.outcome)) : "")),
        h("p", { class: "note" }, [t("gives", { gift: said(why.gift, "gift") }), t("looks", { looks: said(why.looks, "looks") }), why.due_ms && t("due", { at: moment(why.due_ms) })].filter(Boolean).join(t("stop"))),
        clausesOf(t, why.clauses), h("h3", {}, t("gates")),
        table(t("gates"), [t("gate_state"), t("gate")], why.barriers.map((one) => [h("span", { class: `chip ${one.is_open ? "good" : "bad"}` }, t(one.is_open ? "open" : "shut")), said(one.words, "gate")])),
        scoresOf(t, why.scores), why.to_change.length ? [h("h3", {}, t("to_change")), h("ul", {}, why.to_change.map((one) => h("li", {}, said(one, "change"))))] : null);
    } catch (error) {
      fill(found, h("p", { class: "banner", role: "alert" }, error.message));
    }
  }

  return h("section", { class: "card" }, h("h2", {}, t("outlook")), h("p", { class: "note" }, t("outlook_note")),
    h("form", { class: "bar", onsubmit: asked }, h("label", {}, t("rule"), field), h("button", { class: "main" }, t("ask"))), found);
}
