// What the chain does at this moment, for a wall screen: its KPIs against what is usual, its stores, and what fires.

import { get } from "/static/api.js";
import { chart } from "/static/charts.js";
import { fill, h } from "/static/dom.js";
import { heatTable } from "/static/heat.js";
import { Before, columnsOf, formatOf, incidentBanner, key, linesOf, marksOf, Slots, STEP_MS } from "/static/kpis.js";
import { listen } from "/static/live.js";
import { clock, moment, percent } from "/static/numbers.js";

const CHAIN = "chain:*";
const SHOWN = ["orders", "revenue_cents", "aov_cents", "conversion", "redemption_share", "attach_rate"];
const SPANS = { hours: { step: "minute", slots: 180 }, day: { step: "5m", slots: 288 }, week: { step: "hour", slots: 168 } };
const KEPT = "brewline.now.span";
const AGAIN_MS = 900;

export { words } from "/static/pages/now.words.js";

export async function open(root, { t, me }) {
  const banners = h("div", { class: "now-banners", role: "status" });
  const body = h("div", {});
  const at = h("span", { class: "note" });
  let view = null;
  let incidents = [];
  let turn = 0;
  const own = me.roles.length === 1 && me.roles[0] === "store" ? me.stores : []; // a store manager's
  let dim = own.length ? `store:${own[0]}` : CHAIN;
  const which = own.length > 1 && h("select", { "aria-label": t("which_store"), onchange: (event) => { dim = `store:${event.target.value}`; choose(span); } },
    own.map((store) => h("option", { value: store }, store)));
  let span = localStorage.getItem(KEPT);

  async function choose(name) {
    const mine = ++turn;
    localStorage.setItem(KEPT, span = name);
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.span === name));
    const next = await shown(t, dim, SPANS[name]);
    if (mine !== turn) return next.close();
    view?.close();
    view = next;
    fill(body, view.root);
    view.mark(incidents);
  }

  const buttons = Object.keys(SPANS).map((name) => h("button", { type: "button", "data-span": name, onclick: () => choose(name) }, t(name)));
  const heat = heatTable(t);
  root.append(banners, h("div", { class: "bar" }, h("div", { class: "tabs", role: "group", "aria-label": t("range") }, buttons), which, at), body, heat.root);
  await Promise.all([choose(span in SPANS ? span : "day"), heat.read()]);
  const stops = [
    listen("kpis", (told) => {
      at.textContent = t("chain_time", { at: moment(told.clock_ms) });
      view?.hear(told);
      heat.due(told.clock_ms);
    }),
    listen("incidents", (told) => {
      incidents = told.items;
      fill(banners, incidents.filter((one) => !one.end_ms).map((one) => incidentBanner(t, one)));
      view?.mark(incidents);
    }),
  ];
  return () => {
    turn++;
    for (const stop of stops) stop();
    heat.close();
    view?.close();
  };
}

// The KPIs over one span.
async function shown(t, dim, { step, slots: count }) {
  const long = STEP_MS[step];
  const slots = new Slots(count * long);
  const before = new Before(dim, step, SHOWN);
  let running = 0;
  let reading = false;
  let readAt = 0;

  async function read() {
    [reading, readAt] = [true, performance.now()];
    try {
      const told = await get(`/kpis/${encodeURIComponent(dim)}`, { step, slots: count, kpis: SHOWN.join(","), usual: true });
      slots.take(told);
      running = Math.floor(told.clock_ms / long) * long;
      if (slots.times.length) await before.reach(slots.times[0], running + long);
    } finally {
      reading = false;
    }
  }

  await read();
  const cards = SHOWN.map((name) => card(t, name, before));
  const root = h("div", {}, h("div", { class: "now-cards" }, cards.map((one) => one.root)), key(t, before.label));
  const tell = () => cards.forEach((one) => one.show(slots, running, long));
  const ignore = () => {}; // what did not come is asked for again with the next word
  tell();

  function hear({ clock_ms: clockMs, steps }) {
    if (reading) return;
    const news = dim === CHAIN ? steps[step] : null;
    if (!news) return performance.now() > readAt + AGAIN_MS ? void read().then(tell, ignore) : undefined; // the feed tells of the chain alone
    if (!news.at_ms.length) return;
    if (!(news.at_ms[0] <= slots.times.at(-1) + long)) return void read().then(tell, ignore); // some were missed
    slots.take(news);
    running = Math.floor(clockMs / long) * long;
    tell();
    before.reach(slots.times[0], running + long).then((came) => came && tell(), ignore);
  }

  const mark = (incidents) => cards.forEach((one) => one.mark(incidents));
  return { root, hear, mark, close: () => cards.forEach((one) => one.close()) };
}

// One KPI: the latest full slot in figures, and the way there.
function card(t, name, before) {
  const format = formatOf(name);
  const figure = h("span", { class: "figure" }, "–");
  const state = h("span", { class: "chip" });
  const when = h("div", { class: "note" });
  const change = h("div", { class: "note" });
  const line = chart({ title: t(name), lines: linesOf(t, t(name), before), band: true, format, height: 150, legend: false, together: "now", t });
  line.root.querySelector("figcaption").after(h("div", { class: "now-figure" }, figure, state), when, change);

  function show(slots, running, long) {
    line.draw(columnsOf(slots, before, name, running));
    const full = running - long;
    const value = slots.at(full, name);
    figure.textContent = format(value);
    [state.className, state.textContent] = stands(t, value, slots.usual(full, name), name);
    const so = slots.at(running, name);
    when.textContent = `${clock(full)}–${clock(running)}${so === null ? "" : ` · ${t("until_now", { value: format(so) })}`}`;
    change.textContent = changed(t, value, before.at(full, name), before.label, format);
  }

  return { root: line.root, show, mark: (incidents) => line.mark(marksOf(t, name, incidents)), close: line.close };
}

function stands(t, value, [low, mid, high], name) {
  if (value === null || mid === null) return ["chip info", t(value === null ? "nothing_to_tell" : "learning")];
  if (name === "orders" && value === 0 && mid < 0.5) return ["chip info", t("night")];
  if (value < low) return ["chip bad", t("below")];
  return value > high ? ["chip warn", t("above")] : ["chip good", t("as_usual")];
}

function changed(t, value, was, label, format) {
  if (value === null || was === null || was === 0) return "";
  const by = value / was - 1;
  if (Math.abs(by) < 0.005) return t("same", { before: t(label), was: format(was) });
  return t(by < 0 ? "less" : "more", { by: percent(Math.abs(by), 0), before: t(label), was: format(was) });
}
