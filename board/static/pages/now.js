// What the chain does at this moment.

import { get } from "/static/api.js";
import { chart } from "/static/charts.js";
import { h } from "/static/dom.js";
import { listen } from "/static/live.js";
import { money, percent, whole } from "/static/numbers.js";
import { words } from "/static/pages/now.words.js";

export { words };

const SHOWN = [
  ["orders", "orders", whole], ["revenue", "revenue_cents", money], ["conversion", "conversion", percent],
  ["redemption", "redemption_share", percent], ["attach", "attach_rate", percent],
];

export async function open(root, { t }) {
  const slots = new Map();
  const charts = SHOWN.map(([key, , format]) => chart({ title: t(key), lines: [{ label: t(key) }], format, t }));
  const figures = SHOWN.map(() => h("div", { class: "figure" }, "–"));
  root.append(
    h("div", { class: "cards" }, SHOWN.map(([key], i) => h("section", { class: "card" }, h("div", { class: "label" }, t(key)), figures[i]))),
    h("div", { class: "wide" }, charts.map((one) => one.root)));

  function hear({ slots: news }) {
    for (const slot of news) slots.set(slot.at_ms, slot.kpis);
    const times = [...slots.keys()].sort((a, b) => a - b).slice(-180);
    for (const at of slots.keys()) if (at < times[0]) slots.delete(at);
    SHOWN.forEach(([, name, format], i) => {
      charts[i].draw([times.map((at) => at / 1000), times.map((at) => slots.get(at)[name])]);
      figures[i].textContent = format(slots.get(times.at(-1))?.[name]);
    });
  }

  hear(await get("/kpis/chain:*"));
  const stop = listen("kpis", hear);
  return () => {
    stop();
    for (const one of charts) one.close();
  };
}
