// KPIs as they are shown: their formats, their slots over time, what was before, and incidents in words.

import { get } from "/static/api.js";
import { h } from "/static/dom.js";
import { decimal, moment, money, percent, whole } from "/static/numbers.js";

export const MINUTE = 60_000;
export const DAY = 86_400_000;
export const STEP_MS = { minute: MINUTE, "5m": 5 * MINUTE, hour: 60 * MINUTE };
const SHARES = new Set(["conversion", "redemption_rate", "redemption_share", "attach_rate", "complaint_rate", "late_delivery_rate", "refund_rate"]);

export function formatOf(name) {
  if (name.endsWith("_cents")) return money;
  if (SHARES.has(name)) return percent;
  return name === "rating_mean" || name === "nps" ? (value) => decimal(value, 1) : whole;
}

// Slots of a dimension by time, grown by what comes. columns: as the API answers: { at_ms, kpis: {name: []}, usual: {name: {low, mid, high}} }.
export class Slots {
  constructor(keep) {
    this.keep = keep; // milliseconds
    this.by = new Map();
    this.times = [];
  }

  take({ at_ms: times, kpis, usual }) {
    times.forEach((at, i) => {
      const slot = { kpis: {}, usual: {} };
      for (const name in kpis) slot.kpis[name] = kpis[name][i];
      for (const name in usual) slot.usual[name] = [usual[name].low[i], usual[name].mid[i], usual[name].high[i]];
      this.by.set(at, slot);
    });
    this.times = [...this.by.keys()].sort((a, b) => a - b);
    const first = this.times.at(-1) - this.keep;
    for (const at of this.times) if (at < first) this.by.delete(at);
    this.times = this.times.filter((at) => at >= first);
  }

  at(time, name) {
    return this.by.get(time)?.kpis[name] ?? null;
  }

  usual(time, name) {
    return this.by.get(time)?.usual[name] ?? [null, null, null];
  }
}

// What was counted a week before, or the day before while there is no week; for a time that grows.
export class Before {
  constructor(dim, step, names) {
    Object.assign(this, { dim, step, names, until: 0, slots: new Slots(Infinity), back: 7 * DAY, asking: false });
  }

  get label() {
    return this.back === DAY ? "the_day_before" : "last_week";
  }

  // True if something came.
  async reach(from, to) {
    if (to <= this.until || this.asking) return false;
    this.asking = true;
    try {
      const ahead = to + (to - from) / 4;
      const days = this.until ? [this.back] : [7 * DAY, DAY];
      for (const back of days) {
        const told = await get(`/kpis/${encodeURIComponent(this.dim)}`, {
          step: this.step, from_ms: (this.until || from) - back, to_ms: ahead - back, kpis: this.names.join(",") });
        this.back = back;
        if (told.at_ms.length) this.slots.take(told);
        if (told.at_ms.length || this.until) break;
      }
      this.until = ahead;
      return true;
    } finally {
      this.asking = false;
    }
  }

  at(time, name) {
    return this.slots.at(time - this.back, name);
  }
}

// Columns for a chart with lines counted, so far and before, and a band.
export function columnsOf(slots, before, name, running_ms) {
  const { times } = slots;
  const value = (at) => slots.at(at, name);
  const edge = (which) => times.map((at) => slots.usual(at, name)[which]);
  return [times.map((at) => at / 1000), times.map((at) => (at < running_ms ? value(at) : null)),
    times.map((at) => (at >= running_ms ? value(at) : null)),
    times.map((at) => before?.at(at, name) ?? null), edge(0), edge(2)];
}

export function linesOf(t, label, before) {
  return [{ label }, { label: t("so_far"), points: true, like: 0 }, { label: t(before?.label ?? "last_week"), dash: [5, 5], like: 1 }];
}

export function key(t, before) {
  return h("p", { class: "key note" },
    ...[["line", "key_counted"], ["band", "key_usual"], ["dash", before], ["dot", "key_running"], ["mark", "key_alert"]].map(([sign, word]) =>
      word && h("span", {}, h("i", { class: `sign ${sign}`, "aria-hidden": "true" }), t(word))));
}

export function placeOf(t, dim) {
  const [kind, name] = [dim.split(":", 1)[0], dim.slice(dim.indexOf(":") + 1)];
  const [first, second] = name.split("+").map(plain); // values of a cross; else the name is one, whatever it holds
  return kind === "chain" ? t("chain") : t(kind, { name, first, second });
}

function plain(value) {
  return value.replaceAll("%2B", "+").replaceAll("%25", "%");
}

export function incidentTitle(t, one) {
  const where = placeOf(t, one.dim);
  return one.series === "alive" ? t("offline", { where }) : t(one.direction === "low" ? "incident_low" : "incident_high", { series: t(one.series), where });
}

export function incidentBanner(t, one) {
  const more = [t("since", { at: moment(one.start_ms) }), one.stores > 1 && t("stores_hit", { n: one.stores }),
    one.money_cents > 0 && t("at_stake", { money: money(one.money_cents) }), one.acknowledged_by && t("seen_by", { name: one.acknowledged_by })];
  return h("div", { class: `banner ${one.severity === "critical" ? "" : "warn"}` }, h("strong", {}, incidentTitle(t, one)),
    h("span", {}, ` · ${more.filter(Boolean).join(" · ")} `), h("a", { href: `/alerts/${encodeURIComponent(one.key)}` }, t("look")));
}

// Which series of the judge say something of a KPI that is shown.
const CONCERN = {
  orders: ["orders", "visits", "alive"], revenue_cents: ["orders", "alive", "aov_cents"], aov_cents: ["aov_cents"], visits: ["visits", "alive"],
  conversion: ["conversion", "visits"], redemption_share: ["redemptions", "redemption_share"], redemptions: ["redemptions", "redemption_share"],
  discount_cents: ["redemptions", "redemption_share"], refunds: ["refund_rate"], complaints: ["complaint_rate"],
  late_delivery_rate: ["late_delivery_rate"], new_members: ["new_members"],
};

export function marksOf(t, name, incidents) {
  const these = incidents.filter((one) => [one.series, ...one.kpis].some((series) => CONCERN[name]?.includes(series)));
  return these.map((one) => ({ from: one.start_ms / 1000, to: one.end_ms / 1000, label: incidentTitle(t, one) }));
}
