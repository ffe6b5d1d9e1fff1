// A finding: the events it rests on, who caused them, what is usual for them, and all their findings as one case.

import { get } from "/static/api.js";
import { fill, h, table } from "/static/dom.js";
import { decimal, moment, whole } from "/static/numbers.js";
import { address, plain, severity, state } from "/static/pages/alerts/parts.js";
import { said } from "/static/phrases.js";

const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

export async function finding(parts, one, { t }) {
  const events = h("section", { class: "card" }, h("h2", {}, t("evidence")), h("p", { class: "state", role: "status" }, t("loading")));
  const who = h("div", { class: "wide" });
  const path = `/alerts/${encodeURIComponent(one.row.key)}`;
  parts.append(figures(one, t), who, events);
  get(`${path}/case`).then((found) => fill(who, found.actor && risk(found.actor, t), found.actor && habits(found.actor, t), timeline(found, one, t)),
    (error) => fill(who, h("p", { class: "note" }, error.message)));
  get(`${path}/evidence`).then((found) => list(events, one, found, t), (error) => fill(events, h("h2", {}, t("evidence")), h("p", { class: "down" }, error.message)));
}

function figures(one, t) {
  const { observed, threshold, score } = one.figures;
  const card = (label, value, note) => value !== undefined && h("section", { class: "card" }, h("div", { class: "label" }, label), h("div", { class: "figure" }, decimal(value, 1)), note && h("div", { class: "note" }, note));
  return h("div", { class: "cards" }, card(t("seen"), observed, t("seen_note")), card(t("threshold"), threshold, t("threshold_note")), card(t("risk"), score, t("risk_note")));
}

function list(events, one, found, t) {
  const missing = one.evidence.filter((id) => !found.some((event) => event.id === id));
  fill(events, h("h2", {}, t("evidence")), h("p", { class: "note" }, t("evidence_note")),
    found.length > 0 && table(t("evidence"), [t("at"), t("action"), t("object"), t("rows"), t("fields"), t("network"), t("more_of_it"), t("event")], found.map((event) => [
      moment(event.at_ms), said(event.action, "action"), event.object, whole(event.rows), event.fields.join(", "), event.client_ip,
      Object.entries(event.more).map(([name, text]) => `${t(`audit ${name}`)}: ${text}`).join(", "), h("code", {}, event.id),
    ]), [3]),
    missing.length > 0 && h("details", {}, h("summary", {}, t("not_found", { n: missing.length })), h("p", {}, missing.join(", "))));
}

function risk(actor, t) {
  const share = Math.min(1, actor.score / (2 * actor.limit));
  return h("section", { class: "card" }, h("h2", {}, t("risk_of", { who: actor.actor })),
    h("p", { class: "note" }, t("risk_limit", { score: decimal(actor.score, 0), limit: decimal(actor.limit, 0) })),
    h("div", { class: "alerts-meter", role: "meter", "aria-label": t("risk"), "aria-valuemin": 0, "aria-valuemax": 2 * actor.limit, "aria-valuenow": actor.score },
      h("div", { class: actor.score >= actor.limit ? "over" : "", style: { width: `${share * 100}%` } })),
    table(t("reasons"), [t("at"), t("what"), t("points")], [...actor.reasons].reverse().map((one) => [moment(one.at_ms), h("div", {}, said(one.name.replaceAll("_", " "), "signal"), h("div", { class: "note" }, said(one.why, "why"))), `+${decimal(one.points, 0)}`]), [2]));
}

function habits(actor, t) {
  const line = (name, today, usual) => [t(name), whole(today), usual.days ? whole(usual.mean) : "–", usual.days ? whole(usual.limit) : "–"];
  return h("section", { class: "card" }, h("h2", {}, t("habits")), h("p", { class: "note" }, t(actor.known ? "habits_note" : "habits_new", { n: actor.rows.days })),
    table(t("habits"), [t("a_day_of"), t("last_day"), t("usual"), t("far_above")], [line("rows", actor.rows_today, actor.rows), line("customers", actor.customers_today, actor.customers)], [1, 2, 3]),
    actor.hours.some((bits) => bits) && hours(actor.hours, t));
}

// A square for each hour of the week, filled where they were seen at work.
function hours(found, t) {
  const met = (day, hour) => (found[day] >> hour) & 1;
  return h("figure", { class: "alerts-hours", role: "img", "aria-label": t("hours") }, h("figcaption", { class: "note" }, t("hours")),
    DAYS.map((name, day) => h("div", {}, h("span", { class: "note" }, t(name)), Array.from({ length: 24 }, (_, hour) => h("i", { class: met(day, hour) ? "met" : "", title: `${hour}:00` })))));
}

function timeline(found, one, t) {
  return h("section", { class: "card" }, h("h2", {}, t("case")), h("p", { class: "note" }, t("case_note", { n: found.findings.length })),
    h("ol", { class: "alerts-line" }, [...found.findings].reverse().map((row) => h("li", { "aria-current": row.key === one.row.key && "true" },
      h("div", { class: "note" }, moment(row.at_ms)), severity(row.severity, t), " ", state(row.state, t), " ",
      row.key === one.row.key ? h("strong", {}, plain(row.title)) : h("a", { href: address(row.key) }, plain(row.title)), h("div", { class: "note" }, said(row.why, "why"))))));
}
