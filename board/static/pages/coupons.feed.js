// Decisions as they are taken. Counts are sums since the board began to look; rows are the latest of what is asked for.

import { get } from "/static/api.js";
import { fill, h, table } from "/static/dom.js";
import { listen } from "/static/live.js";
import { clock, moment, money, whole } from "/static/numbers.js";

const SHOWN = matchMedia("(max-width: 700px)").matches ? 10 : 20;
const good = new Set(["issued"]);

export async function feed({ t, me }, chosen) {
  const counts = new Map(); // rule → outcome → count
  let rows = [];
  let held = false;
  let sinceMs = 0;
  const rules = h("select", { onchange: choose }, h("option", { value: "" }, t("all_rules")));
  const outcomes = h("select", { onchange: choose }, h("option", { value: "" }, t("all_outcomes")));
  const hold = h("button", { type: "button", "aria-pressed": "false", onclick: turn }, t("hold"));
  const note = h("p", { class: "note" });
  const sums = h("div", { class: "coupons-sums" });
  const list = h("div", { class: "coupons-list" });
  const root = h("section", { class: "card" }, h("h2", {}, t("live_title")), note,
    h("div", { class: "bar" }, h("label", {}, t("rule"), rules), h("label", {}, t("outcome"), outcomes), hold), sums, list);

  function hear(news) {
    if (news.since_ms !== sinceMs) counts.clear();
    sinceMs = news.since_ms;
    for (const [rule, what, count] of news.counts) {
      if (!counts.has(rule)) counts.set(rule, new Map());
      counts.get(rule).set(what, count);
    }
    rows = [...rows, ...news.items].slice(-400);
    if (!held) draw();
  }

  function asked(decision) {
    return (!chosen.rule || decision.rule === chosen.rule) && (!chosen.outcome || decision.outcome === chosen.outcome);
  }

  function total(what) {
    const of = chosen.rule ? [counts.get(chosen.rule) ?? new Map()] : [...counts.values()];
    return of.reduce((sum, each) => sum + (each.get(what) ?? 0), 0);
  }

  function draw() {
    note.textContent = t("live_note", { since: moment(sinceMs) });
    const turns = new Set(["delivered", "undeliverable", "opened", "redeemed", "refused", "revoked", "restored"]);
    const found = [...new Set([...counts.values()].flatMap((each) => [...each.keys()]))].filter((what) => !turns.has(what));
    offer(rules, [...counts.keys()].filter(Boolean).sort(), chosen.rule, (name) => name);
    offer(outcomes, found.sort(), chosen.outcome, t);
    const named = found.map((what) => [what, total(what)]).filter(([, count]) => count).sort((a, b) => b[1] - a[1]);
    fill(sums, named.map(([what, count]) => h("button", { type: "button", class: `coupons-sum ${good.has(what) ? "good" : ""}`, "aria-pressed": `${chosen.outcome === what}`,
      onclick: () => { outcomes.value = chosen.outcome === what ? "" : what; choose(); } }, h("b", {}, whole(count)), " ", t(what))));
    const last = rows.filter(asked).sort((a, b) => a.at_ms - b.at_ms).slice(-SHOWN).reverse();
    if (!last.length) return fill(list, h("p", { class: "state" }, t("no_decisions")));
    return fill(list, table(t("live_title"), [t("when"), t("rule"), t("outcome"), t("gift"), t("customer")], last.map((one) => [
      h("time", { datetime: new Date(one.at_ms).toISOString(), title: moment(one.at_ms) }, clock(one.at_ms)),
      me.pages.includes("rules") ? h("a", { href: `/rules/${one.rule}` }, one.rule) : one.rule,
      h("span", { class: good.has(one.outcome) ? "up" : "" }, t(one.outcome)), worth(one),
      h("a", { href: `/customer/${one.customer}`, "aria-label": t("open_customer", { id: one.customer.slice(0, 9) }) }, `${one.customer.slice(0, 9)}…`)])));
  }

  function worth(one) {
    const off = one.percent ? t("percent_off", { percent: one.percent }) : one.worth_cents ? t("cents_off", { money: money(one.worth_cents) }) : "";
    return [one.gift, off].filter(Boolean).join(", ") || "–";
  }

  function offer(select, names, value, spelt) {
    const known = [...select.options].slice(1).map((option) => option.value).join();
    const wanted = value && !names.includes(value) ? [...names, value] : names;
    if (known !== wanted.join()) fill(select, select.options[0], wanted.map((name) => h("option", { value: name }, spelt(name))));
    if (document.activeElement !== select) select.value = value;
  }

  async function choose() {
    Object.assign(chosen, { rule: rules.value, outcome: outcomes.value });
    rows = [];
    hear(await get("/coupons/decisions", { ...chosen, limit: 50 }));
    draw();
  }

  function turn() {
    held = !held;
    hold.setAttribute("aria-pressed", `${held}`);
    hold.textContent = t(held ? "go_on" : "hold");
    if (!held) draw();
  }

  hear(await get("/coupons/decisions", { ...chosen, limit: 50 }));
  return { root, close: listen("decisions", hear) };
}
