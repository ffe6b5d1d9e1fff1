// Lines over time, with a band of what is expected. Drawn by uPlot; also there as a table, for who cannot see it.

import uPlot from "/static/vendor/uplot/uPlot.esm.js";
import { fill, h, table } from "/static/dom.js";
import { clock, decimal, moment, zoneName } from "/static/numbers.js";

const open = new Set();
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const LINES = ["line-1", "line-2", "line-3", "line-4"];

// lines: [{ label, dash? }]; band: whether the two last columns are its low and high edge; format: of a value.
// draw([times_s, ...columns]) as often as you like: it is put on the screen once a frame.
export function chart({ title, lines, band = false, format = decimal, height = 180, t }) {
  const plot = h("div", { class: "plot", role: "img", "aria-label": title });
  const rows = h("div", { hidden: true });
  const swap = h("button", { class: "quiet", type: "button", onclick: turn }, t("as_table"));
  const root = h("figure", { class: "chart" }, h("figcaption", {}, h("span", {}, title), swap), plot, rows);
  let columns = [[], ...lines.map(() => []), ...(band ? [[], []] : [])];
  let drawn = null;
  let asked = 0;

  function options() {
    const axis = { stroke: colour("soft"), grid: { stroke: colour("grid"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
    return {
      width: Math.max(plot.clientWidth, 120), height,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zoneName()),
      legend: { show: lines.length > 1 }, cursor: { drag: { x: true, y: false } },
      axes: [{ ...axis, space: 70 }, { ...axis, size: 62, values: (_, ticks) => ticks.map((tick) => format(tick)) }],
      series: [{ value: (_, seconds) => (seconds ? moment(seconds * 1000) : "–") },
        ...lines.map((line, i) => ({
          label: line.label, stroke: colour(LINES[i % LINES.length]), width: 2, dash: line.dash, spanGaps: false,
          points: { show: false }, value: (_, value) => format(value) })),
        ...(band ? ["low", "high"].map((label) => ({ label, stroke: "transparent", points: { show: false } })) : [])],
      bands: band ? [{ series: [lines.length + 2, lines.length + 1], fill: colour("band") }] : [],
    };
  }

  function paint() {
    asked = 0;
    if (!root.isConnected) return;
    drawn ??= new uPlot(options(), columns, plot);
    drawn.setData(columns);
    if (!rows.hidden) list();
  }

  function list() {
    const last = columns[0].map((_, i) => i).slice(-60).reverse();
    fill(rows, table(title, [t("time"), ...lines.map((line) => line.label)],
      last.map((i) => [clock(columns[0][i] * 1000), ...lines.map((_, k) => format(columns[k + 1][i]))]), lines.map((_, k) => k + 1)));
  }

  function turn() {
    rows.hidden = !rows.hidden;
    plot.hidden = !rows.hidden;
    swap.textContent = t(rows.hidden ? "as_table" : "as_chart");
    if (!rows.hidden) list();
  }

  function draw(next) {
    columns = next;
    asked ||= requestAnimationFrame(paint);
  }

  function restyle() {
    drawn?.destroy();
    drawn = null;
    draw(columns);
  }

  const sized = new ResizeObserver(() => drawn?.setSize({ width: Math.max(plot.clientWidth, 120), height }));
  sized.observe(plot);
  const it = { root, draw, restyle, close: () => { open.delete(it); sized.disconnect(); drawn?.destroy(); } };
  open.add(it);
  return it;
}

export function restyleAll() {
  for (const one of open) one.restyle();
}
