// A KPI that strays: what was seen and expected, who contributes most, and the series around it.

import { get } from "/static/api.js";
import { chart } from "/static/charts.js";
import { h, table } from "/static/dom.js";
import { decimal, money, percent } from "/static/numbers.js";
import { said } from "/static/phrases.js";

const MINUTE_MS = 60_000;
const STEPS = [["minute", 1, 360], ["5m", 5, 1_500], ["hour", 60, Infinity]]; // name, minutes, the longest time it is drawn for

// How a KPI's value is written, by its name.
export function format(series) {
  if (series.endsWith("_cents")) return money;
  if (["conversion", "refund_rate", "redemption_share", "attach_rate", "voids_share"].includes(series) || series.endsWith("_rate") || series.endsWith("_share")) return percent;
  return (value) => decimal(value, 1);
}

export async function incident(parts, one, { t }) {
  const { observed, expected, p, money_cents: at_stake } = one.figures;
  const series = one.labels.series ?? "";
  const write = format(series);
  const card = (label, value, note) => h("section", { class: "card" }, h("div", { class: "label" }, label), h("div", { class: "figure" }, value), note && h("div", { class: "note" }, note));
  if (!one.row.firing) parts.append(h("p", { class: "note" }, t("as_ended")));
  parts.append(h("div", { class: "cards" },
    card(t("seen"), write(observed), one.window_minutes > 0 && t("over_minutes", { n: one.window_minutes })),
    card(t("expected"), write(expected), one.usual.length > 0 && t("from_to", { from: write(one.usual[0]), to: write(one.usual[1]) })),
    card(t("odds"), p === undefined ? "–" : p >= 1e-4 ? decimal(p, 4) : p.toExponential(1), t("odds_note")),
    at_stake > 0 && card(t("at_stake"), money(at_stake), t("at_stake_note"))));
  if (one.parts.length) parts.append(contributors(one.parts, write, t));
  return around(parts, one, series, write, t);
}

function contributors(found, write, t) {
  const most = Math.max(...found.map((part) => Math.abs(part.observed - part.expected)), 1e-9);
  return h("section", { class: "card" }, h("h2", {}, t("contributors")), h("p", { class: "note" }, t("contributors_note")),
    table(t("contributors"), [t("about"), t("seen"), t("expected"), t("difference"), ""], found.map((part) => {
      const off = part.observed - part.expected;
      return [said(part.dim, "place"), write(part.observed), write(part.expected), (off > 0 ? "+" : "") + write(off),
        h("div", { class: `alerts-bar ${off < 0 ? "less" : "more"}`, "aria-hidden": "true", style: { width: `${Math.round((Math.abs(off) / most) * 100)}%` } })];
    }), [1, 2, 3]));
}

// The hours around it, with when it was told as the edge of a second line: what was expected.
async function around(parts, one, series, write, t) {
  const { dim } = one.labels;
  const { started_ms: from, at_ms: to } = one.row;
  const margin = Math.max(60 * MINUTE_MS, to - from);
  const [step, minutes] = STEPS.find(([, , most]) => (to - from + 2 * margin) / MINUTE_MS <= most);
  let found;
  try {
    found = await get(`/kpis/${encodeURIComponent(dim)}`, { step, from_ms: from - margin, to_ms: to + margin });
  } catch (error) {
    parts.append(h("p", { class: "note" }, error.message));
    return null;
  }
  const values = found.kpis[series];
  const times = found.at_ms.filter((at) => at <= found.clock_ms);
  if (!times.length || !values) {
    parts.append(h("p", { class: "note" }, t("no_series")));
    return null;
  }
  const perSlot = one.usual.length && !series.match(/(conversion|_rate|_share|aov)/) ? minutes / Math.max(1, one.window_minutes) : 1;
  const within = (at) => at >= from - one.window_minutes * MINUTE_MS && at <= to;
  const drawn = chart({ title: t("around", { what: said(series.replace("_cents", "").replaceAll("_", " "), "kpi"), dim: said(dim, "place") }), t, format: write, height: 220,
    lines: [{ label: t("seen") }, { label: t("expected_then"), dash: [6, 4] }] });
  parts.append(drawn.root);
  drawn.draw([times.map((at) => at / 1000), values.slice(0, times.length), times.map((at) => (within(at) ? (one.figures.expected ?? 0) * perSlot : null))]);
  return drawn.close;
}

