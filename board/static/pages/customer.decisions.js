// What was decided of a customer, and what became of their coupons and tickets, as one timeline.

import { fill, h, table } from "/static/dom.js";
import { moment } from "/static/numbers.js";
import { clausesOf, scoresOf } from "/static/pages/customer.clauses.js";
import { said } from "/static/phrases.js";

export async function decisionsOf({ t, ask }, profile) {
  const list = h("ol", { class: "customer-timeline" });
  const more = h("button", { type: "button", hidden: true, onclick: next }, t("more_decisions"));
  const others = [...profile.coupons.map(coupon), ...profile.tickets.map(ticket)];
  let found = [];
  let after = "";

  async function next() {
    more.disabled = true; // a page that is asked for twice would stand there twice
    const page = await ask("/decisions", { after, limit: 50 });
    found = [...found, ...page.items.map(decision)];
    after = page.next;
    more.hidden = !after;
    more.disabled = false;
    const all = [...found, ...others].sort((a, b) => b.at_ms - a.at_ms);
    fill(list, all.length ? all.map((one) => one.root) : h("li", { class: "state" }, t("nothing_decided")));
  }

  function line(atMs, kind, look, head, ...inside) {
    return { at_ms: atMs, root: h("li", { class: look }, h("details", {}, h("summary", {}, h("time", { datetime: new Date(atMs).toISOString() }, moment(atMs)), " ",
      h("span", { class: `chip ${look}` }, t(kind)), " ", head), h("div", { class: "customer-inside" }, inside))) };
  }

  function pot(name) {
    const [kind, of] = name.split(/:(.*)/s);
    return t(`pot_${kind}`, { name: of });
  }

  function limits(one) {
    return [one.because && (one.outcome === "excluded" ? t("first_rule", { rule: one.because }) : t("because", { why: said(one.because, "because") })),
      one.ran_out && t("ran_out", { pot: pot(one.ran_out) }),
      one.channel_cap && t("channel_cap", { n: one.on_channel, cap: one.channel_cap })].filter(Boolean);
  }

  function decision(one) {
    const facts = [...limits(one), t("by", { cause: said(one.cause, "cause") }), t("cap", { n: one.coupons_in_cap_window, cap: one.cap }), t("rule_file", { word: said(one.rule_file, "file") }), ...one.notes.map((note) => said(note, "note"))];
    return line(one.at_ms, "decision", one.outcome === "issued" ? "good" : "low", h("span", {}, h("b", {}, one.rule), ` ${one.gift ? `${said(one.gift, "gift")}: ` : ""}${t(one.outcome)}`),
      one.clauses.length ? clausesOf(t, one.clauses) : h("p", {}, t("no_clauses")), scoresOf(t, one.scores), h("ul", { class: "note" }, facts.map((fact) => h("li", {}, fact))));
  }

  function coupon(one) {
    const turns = ["delivered", "opened", "redeemed", "revoked"].filter((what) => one[`${what}_ms`]);
    return line(one.issued_ms, "coupon", one.state === "redeemed" ? "good" : "low", h("span", {}, t("coupon_line", { name: one.name || one.rule, state: t(one.state) })),
      h("p", {}, t("issued_at", { at: moment(one.issued_ms), until: moment(one.expires_ms) })),
      h("ul", {}, turns.map((what) => h("li", {}, t("ended", { what: t(what), at: moment(one[`${what}_ms`]) })))));
  }

  function ticket(one) {
    return line(one.opened_ms, "ticket", one.state === "closed" ? "low" : "warn", h("span", {}, t("ticket_line", { ticket: one.ticket, state: said(one.state, "standing") })),
      table(one.ticket, [t("kind"), ""], [["kind", said(one.kind, "ticket")], ["topic", one.topic], ["store", one.store], ["priority", one.priority]]));
  }

  await next();
  return h("section", { class: "card" }, h("h2", {}, t("timeline")), h("p", { class: "note" }, t("timeline_note")), list, more);
}
