// One alert: why it fires, in figures and evidence; what people say of it.

import { get, post } from "/static/api.js";
import { fill, h, table } from "/static/dom.js";
import { listen } from "/static/live.js";
import { decimal, moment, whole } from "/static/numbers.js";
import { finding } from "/static/pages/alerts/finding.js";
import { incident } from "/static/pages/alerts/incident.js";
import { address, ask, askSilence, kind, plain, severity, state } from "/static/pages/alerts/parts.js";
import { said } from "/static/phrases.js";

const ENDING = ["kpi", "model", "experiment"]; // the flow itself says when they are over

export async function open(root, context) {
  const { t, me, id } = context;
  const path = address(id);
  const head = h("section", { class: "card" });
  const body = h("div", { class: "page" });
  let one = null;
  let closing = () => {};
  root.append(h("p", {}, h("a", { href: "/alerts" }, `← ${t("alerts")}`)), head, body);

  async function look() {
    const before = one;
    one = await get(path);
    const { row } = one;
    fill(head, h("h2", {}, plain(row.title)),
      h("p", {}, severity(row.severity, t), " ", state(row.state, t), " ", h("span", { class: "note" }, `${kind(row.kind, t)} · ${row.entity}`)),
      h("p", { class: "alerts-lead" }, said(row.why, "why")), pairs(), actions());
    return !before || before.row.at_ms !== row.at_ms || before.row.count !== row.count;
  }

  function pairs() {
    const { row } = one;
    const told = [
      [t("since"), moment(row.started_ms)], [t("latest"), moment(row.at_ms)], [t("times"), whole(row.count)],
      [t("acknowledged_by"), one.acknowledged_by && `${one.acknowledged_by}, ${moment(one.acknowledged_ms)}`],
      [t("over_since"), !row.firing && `${moment(ENDING.includes(row.kind) ? row.at_ms : row.ended_ms)}${row.by ? `, ${row.by}` : ""}`],
      [t("reason"), one.reason], [t("held_back"), one.held > 0 && whole(one.held)],
      [t("silenced_by"), one.silence && `${one.silence.by}, ${t("until")} ${moment(one.silence.until_ms)}: ${one.silence.reason}`],
    ].filter(([, text]) => text);
    return h("dl", { class: "pairs" }, told.flatMap(([name, text]) => [h("dt", {}, name), h("dd", {}, text)]));
  }

  function actions() {
    if (!one.may.length) return h("p", { class: "note" }, t(one.row.firing ? "not_yours" : "is_over"));
    return h("div", { class: "bar alerts-do" },
      one.may.includes("acknowledge") && h("button", { class: "main", type: "button", onclick: () => say("acknowledge", false) }, t("acknowledge")),
      one.may.includes("close") && h("button", { type: "button", onclick: () => say("close", true) }, t("close")),
      h("button", { type: "button", onclick: () => askSilence({ matchers: matchers(), me, t, done: async (wish) => { await post("/silences", wish); await look(); } }) }, t("silence")));
  }

  const matchers = () => ({ kind: one.row.kind, entity: one.row.entity, ...(one.labels.rule ? { rule: one.labels.rule } : {}), ...(one.labels.series ? { series: one.labels.series } : {}) });

  function say(word, needed) {
    ask({
      title: t(word), note: t(`${word}_note`), action: t(word), t, fields: [{ name: "reason", label: t(needed ? "why" : "why_maybe"), needed }],
      done: async ({ reason }) => { await post(`${path}/${word}`, { reason }); await look(); },
    });
  }

  async function build() {
    closing();
    const parts = h("div", { class: "page" });
    closing = (await (one.row.kind === "kpi" ? incident : one.row.kind === "security" ? finding : figures)(parts, one, context)) ?? (() => {});
    fill(body, parts, one.tags.length > 0 && tags(), labels());
  }

  const tags = () => h("section", { class: "card" }, h("h2", {}, t("attack")), h("p", { class: "note" }, t("attack_note")),
    h("p", {}, [...one.tactics, ...one.techniques].join(" · ") || one.tags.join(" · ")));

  function labels() {
    return h("details", { class: "card" }, h("summary", {}, t("labels")),
      table(t("labels"), [t("name"), t("value")], Object.entries({ key: one.row.key, ...one.labels })));
  }

  function figures(parts) {
    const figures = Object.entries(one.figures);
    if (figures.length) {
      parts.append(h("section", { class: "card" }, h("h2", {}, t("figures")), table(t("figures"), [t("name"), t("value")],
        figures.map(([name, value]) => [t(`figure ${name}`), name.endsWith("_ms") ? moment(value) : decimal(value, 4)]), [1])));
    }
  }

  await look();
  await build();
  const fresh = async () => { if (await look().catch(() => false)) await build(); };
  const stop = listen(one.row.kind === "security" ? "findings" : "alerts", fresh);
  return () => {
    stop();
    closing();
  };
}
