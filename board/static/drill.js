// A dimension looked at closely: which time, which KPIs, against last week; each in a chart with what is usual.

import { get } from "/static/api.js";
import { chart } from "/static/charts.js";
import { fill, h } from "/static/dom.js";
import { Before, columnsOf, DAY, formatOf, key, linesOf, marksOf, MINUTE, Slots, STEP_MS } from "/static/kpis.js";
import { listen } from "/static/live.js";
import { meant, typed } from "/static/moments.js";
import { percent, whole } from "/static/numbers.js";

const SPANS = { last_hour: { step: "minute", slots: 60 }, last_day: { step: "5m", slots: 288 }, last_week: { step: "hour", slots: 168 } };
const STEPS = [["minute", 4 * 60 * MINUTE], ["5m", 2 * DAY], ["hour", Infinity]]; // the finest that is readable over so long a time
const AGAIN_MS = 900;
const KEPT = "brewline.drill";

// kpis: those shown at first; every: all that may be chosen. covers(incident): whether it is marked.
export function drill({ dim, kpis, every, covers, t }) {
  const saved = remembered();
  let chosen = new Set((saved.kpis ?? kpis).filter((name) => every.includes(name)));
  if (!chosen.size) chosen = new Set(kpis);
  let span = saved.span in SPANS ? saved.span : "last_day";
  let own = null; // { from_ms, to_ms }
  let compares = saved.compares ?? true;
  let state = null; // { slots, before, running }
  let charts = new Map();
  let incidents = [];
  let lookedAt = 0;
  let turn = 0;

  const grid = h("div", { class: "wide" });
  const keys = h("div", {});
  const goals = h("div", {});
  const trouble = h("div", { role: "status" });
  const spans = Object.keys(SPANS).map((name) => h("button", { type: "button", onclick: () => choose(name) }, t(`span_${name}`)));
  const [from, to] = ["from", "until"].map((word) => [word, h("input", { type: "datetime-local", "aria-label": t(word) })]).map(([, input]) => input);
  const boxes = every.map((name) => h("button", { type: "button", "aria-pressed": String(chosen.has(name)), onclick: (event) => pick(name, event.currentTarget) }, t(name)));
  const root = h("div", { class: "drill" },
    h("div", { class: "bar" },
      h("div", { class: "tabs", role: "group", "aria-label": t("range") }, spans),
      h("label", {}, t("from"), from), h("label", {}, t("until"), to),
      h("button", { type: "button", onclick: range }, t("show")),
      h("label", { class: "drill-tick" }, h("input", { type: "checkbox", checked: compares, onchange: (event) => { compares = event.target.checked; keep(); look(); } }), t("compare"))),
    h("div", { class: "tabs drill-kpis", role: "group", "aria-label": t("which") }, boxes), goals, trouble, grid, keys);

  function keep() {
    localStorage.setItem(KEPT, JSON.stringify({ kpis: [...chosen], span, compares }));
  }

  function choose(name) {
    [span, own] = [name, null];
    keep();
    look();
  }

  function range() {
    const [first, last] = [from, to].map((input) => meant(input.value));
    if (!(first < last)) return void (trouble.textContent = t("no_range"));
    own = { from_ms: first, to_ms: last };
    look();
  }

  function pick(name, button) {
    if (chosen.has(name)) chosen.delete(name);
    else chosen.add(name);
    button.setAttribute("aria-pressed", String(chosen.has(name)));
    keep();
    look();
  }

  // Reads all again; what was asked for before and comes later is let go.
  async function look() {
    const mine = ++turn;
    lookedAt = performance.now();
    spans.forEach((button, i) => button.setAttribute("aria-pressed", String(!own && Object.keys(SPANS)[i] === span)));
    const names = every.filter((name) => chosen.has(name));
    const step = own ? STEPS.find(([, most]) => own.to_ms - own.from_ms <= most)[0] : SPANS[span].step;
    try {
      const told = await get(`/kpis/${encodeURIComponent(dim)}`, { step, usual: true, kpis: names.join(","), ...(own ?? { slots: SPANS[span].slots }) });
      const slots = new Slots(Infinity);
      slots.take(told);
      const long = STEP_MS[step];
      const same = state && state.step === step && state.names === names.join() && state.own === own;
      const before = compares ? (same && state.before) || new Before(dim, step, names) : null;
      if (before && slots.times.length) await before.reach(slots.times[0], slots.times.at(-1) + long);
      if (mine !== turn) return;
      if (!same && !own && slots.times.length) [from.value, to.value] = [typed(slots.times[0]), typed(slots.times.at(-1) + long)];
      state = { slots, before, step, names: names.join(), own, running: Math.floor(told.clock_ms / long) * long };
      trouble.textContent = slots.times.length ? "" : t("none_counted");
      fill(goals, targets(t, told.targets));
      show(names);
    } catch (error) {
      if (mine === turn) trouble.textContent = error.message;
    }
  }

  function show(names) {
    const shape = `${names}|${Boolean(state.before)}|${state.before?.label}`;
    if (grid.dataset.shape !== shape) {
      for (const one of charts.values()) one.close();
      charts = new Map(names.map((name) => [name, chart({ title: t(name), lines: lines(name), band: true, format: formatOf(name), height: 180, legend: false, together: "drill", t })]));
      fill(grid, [...charts.values()].map((one) => one.root));
      fill(keys, key(t, state.before?.label));
      grid.dataset.shape = shape;
    }
    for (const [name, one] of charts) {
      const columns = columnsOf(state.slots, state.before, name, state.running);
      if (!state.before) columns.splice(3, 1);
      one.draw(columns);
    }
    mark();
  }

  function lines(name) {
    const all = linesOf(t, t(name), state.before);
    return state.before ? all : all.slice(0, 2);
  }

  function mark() {
    for (const [name, one] of charts) one.mark(marksOf(t, name, incidents.filter(covers)));
  }

  const stops = [
    listen("kpis", () => { if (!own && performance.now() > lookedAt + AGAIN_MS) look(); }),
    listen("incidents", (told) => { incidents = told.items; mark(); }),
  ];
  return {
    root, look,
    close: () => {
      turn++;
      for (const stop of stops) stop();
      for (const one of charts.values()) one.close();
    },
  };
}

function remembered() {
  try {
    return JSON.parse(localStorage.getItem(KEPT)) ?? {};
  } catch {
    return {};
  }
}

// How far the targets of the day are reached.
function targets(t, aims) {
  const names = Object.keys(aims);
  if (!names.length) return null;
  return h("section", { class: "card" }, h("h2", {}, t("targets")), names.map((name) => {
    const { sold, target, share } = aims[name];
    const format = formatOf(name);
    return h("label", { class: "drill-goal" }, t("target_reached", { kpi: t(name), sold: format(sold), target: format(target), share: percent(share, 0) }),
      h("progress", { max: 1, value: Math.max(0, Math.min(1, share)) }, whole(share * 100)));
  }));
}
