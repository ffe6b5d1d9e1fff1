// What a rule would have done with a past: begun here, followed while it runs, and the latest report.

import { get, post } from "/static/api.js";
import { fill, h, table } from "/static/dom.js";
import { moment, money, whole } from "/static/numbers.js";
import { said as spoken } from "/static/phrases.js";

const EVERY_MS = 1_000;
const IDLE_MS = 5_000;

export async function backtestOf({ t, id, may }) {
  const path = `/rules/${encodeURIComponent(id)}/backtest`;
  const history = h("select", {}, ["kafka", "completejourney", "cdnow"].map((name) => h("option", { value: name }, t(name))));
  const assume = h("input", { type: "checkbox" });
  const begin = h("button", { class: "main" }, t("begin"));
  const said = h("div", { role: "status" });
  const shown = h("div");
  const root = h("section", { class: "card" }, h("h2", {}, t("backtest")), h("p", { class: "note" }, t("backtest_note")),
    may && h("form", { class: "bar", onsubmit: start }, h("label", {}, t("history"), history), h("label", { class: "rules-check" }, assume, t("assume")), begin), said, shown);
  let closed = false;
  let timer = 0;
  let drawn = null;

  async function start(event) {
    event.preventDefault();
    try {
      draw(await post(path, { history: history.value, assume_consent: assume.checked }));
    } catch (error) {
      fill(said, h("p", { class: "down" }, error.message));
    }
  }

  function draw({ running, report }) {
    begin.disabled = Boolean(running);
    if (running) {
      const share = running.of ? running.done / running.of : undefined;
      fill(said, h("p", {}, t("is_tried", { rule: running.rule, by: running.by, doing: t(running.doing) }), running.of ? `, ${t("events_of", { done: whole(running.done), of: whole(running.of) })}` : ""),
        h("progress", { max: 1, value: share, "aria-label": t(running.doing) }));
    } else if (drawn !== null) fill(said);
    const stamp = report?.ended_ms ?? 0;
    if (stamp !== drawn) fill(shown, reported(t, report, id));
    drawn = stamp;
    clearTimeout(timer);
    if (!closed) timer = setTimeout(renew, running ? EVERY_MS : IDLE_MS);
  }

  async function renew() {
    try {
      draw(await get(path));
    } catch {
      timer = closed ? 0 : setTimeout(renew, IDLE_MS);
    }
  }

  draw(await get(path));
  return { root, close: () => { closed = true; clearTimeout(timer); } };
}

function reported(t, report, id) {
  if (!report) return h("p", { class: "state" }, t("no_report"));
  const head = h("p", { class: "note" }, t("report", { history: t(report.history), by: report.by, at: moment(report.ended_ms), seconds: report.seconds }));
  if (!report.figures) return [head, h("p", { class: "banner" }, t("came_out", { error: spoken(report.error, "problem") }))];
  const { figures } = report;
  const rule = figures.rules[id];
  const given = rule.outcomes.issued ?? 0;
  const facts = [["asked_often", whole(rule.asked)], ["coupons", whole(given)], ["reached", whole(rule.customers_reached)], ["held_out", whole(rule.customers_held_out)], ["cost", money(rule.given_cents)]];
  const outcomes = Object.entries(rule.outcomes);
  return [head, h("p", { class: "note" }, t("of_past", { events: whole(figures.events), customers: whole(figures.customers), first: figures.first.slice(0, 10), last: figures.last.slice(0, 10) })),
    h("div", { class: "rules-facts" }, facts.map(([name, value]) => h("div", {}, h("div", { class: "label" }, t(name)), h("b", {}, value)))),
    given ? days(t, rule.by_day) : h("p", { class: "state" }, t("nothing_given")),
    outcomes.length ? table(t("outcomes"), [t("outcomes"), t("how_often")], outcomes.map(([outcome, count]) => [t(outcome), whole(count)]), [1]) : null];
}

// Bars, and the same as a table for those who cannot see them.
function days(t, byDay) {
  const all = Object.entries(byDay);
  const most = Math.max(1, ...all.map(([, one]) => one.coupons));
  const width = 600 / all.length;
  return h("figure", { class: "rules-days" }, h("figcaption", {}, h("b", {}, t("by_day")), h("span", { class: "note" }, ` ${all[0][0]} – ${all.at(-1)[0]}, 0 – ${whole(most)}`)),
    h("svg:svg", { viewBox: "0 0 600 120", preserveAspectRatio: "none", "aria-hidden": "true" }, all.map(([day, one], i) => h("svg:rect", { x: i * width, width: Math.max(0.5, width * 0.85), y: 118 - (116 * one.coupons) / most, height: (116 * one.coupons) / most + 2 },
      h("svg:title", {}, `${day}: ${one.coupons}, ${money(one.cents)}`)))),
    h("details", {}, h("summary", { class: "note" }, t("as_table")), table(t("by_day"), [t("day"), t("coupons"), t("cost")], all.map(([day, one]) => [day, whole(one.coupons), money(one.cents)]), [1, 2])));
}
