// Lines over time, with a band of what is expected and marks of what happened. Drawn by uPlot; also there as a table,
// for who cannot see it, and read out by the arrow keys. Charts share a frame's time, and are drawn only in sight.

import uPlot from "/static/vendor/uplot/uPlot.esm.js";
import { fill, h, table } from "/static/dom.js";
import { clock, decimal, moment, money, percent, second, whole, zoneName } from "/static/numbers.js";

const LINES = ["line-1", "line-2", "line-3", "line-4"];
const ROWS = 60; // of the table
const SAMPLE = 200; // values
const BUDGET_MS = 8; // of a frame's 16.7
const rem = () => parseFloat(getComputedStyle(document.documentElement).fontSize) / 16; // more on a wall screen
const open = new Set();
const dirty = new Set();
const at = new WeakMap(); // element → its chart
const shifts = new Map(); // hour → milliseconds
let colours = {};
let frame = 0;

const sizes = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) at.get(target)?.resize(Math.round(contentRect.width));
});
const sights = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) at.get(target)?.see(isIntersecting);
}, { rootMargin: "100px" });

function colour(name) {
  return (colours[name] ??= getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
}

function ask(one) {
  dirty.add(one);
  frame ||= requestAnimationFrame(paintAll);
}

// As many as a frame has time for; the others in the next, with what is newest by then.
function paintAll() {
  const until = performance.now() + BUDGET_MS;
  for (const one of dirty) {
    dirty.delete(one);
    one.paint();
    if (performance.now() > until) break;
  }
  frame = dirty.size ? requestAnimationFrame(paintAll) : 0;
}

// lines: [{ label, dash?, points?, like? }]; points: dots without a line; like: the line whose colour it has.
// band: whether the two last columns are its low and high edge; format: of a value; legend: false to have none.
// draw([times_s, ...columns]) as often as you like: it is put on the screen once a frame.
// mark([{ from, to?, label }]), in seconds: spans under a bar, with a line where they begin.
export function chart({ title, lines, band = false, format = decimal, height = 180, legend = lines.length > 1, together, t }) {
  const plot = h("div", { class: "plot", role: "img", tabindex: "0", "aria-label": title, onkeydown: step, onblur: leave });
  const rows = h("div", { hidden: true });
  const told = h("div", { class: "readout", "aria-live": "polite" });
  const swap = h("button", { class: "quiet", type: "button", onclick: turn }, t("as_table"));
  const root = h("figure", { class: "chart" }, h("figcaption", {}, h("span", {}, title), swap), told, plot, rows);
  let columns = [[], ...lines.map(() => []), ...(band ? [[], []] : [])];
  let marks = [];
  let drawn = null;
  let width = 0;
  let seen = true;
  let owed = false;

  function options() {
    const unit = rem();
    const axis = { stroke: colour("soft"), grid: { stroke: colour("grid"), width: 1 }, ticks: { show: false }, font: `${12 * unit}px system-ui` };
    return {
      width,
      height: height * unit,
      tzDate,
      legend: { show: legend, live: false },
      cursor: { drag: { x: true, y: false }, points: { size: 7 }, ...(together ? { sync: { key: together } } : {}) },
      scales: { y: { range: (_, low, high) => (low === null ? [0, 1] : [Math.min(0, low), top(most() || high)]) } },
      axes: [{ ...axis, space: 70 * unit, size: 30 * unit, values: hours }, { ...axis, size: 62 * unit, ...scale(format) }],
      series: [{ value: (_, seconds) => (seconds ? moment(seconds * 1000) : "–") },
        ...lines.map((line, i) => ({
          label: line.label, stroke: colour(LINES[(line.like ?? i) % LINES.length]), width: line.points ? 0 : 2, dash: line.dash,
          spanGaps: false, points: line.points ? { show: true, size: 8, width: 2, fill: colour("card") } : { show: true, size: 4, filter: lonely },
          value: (_, value) => format(value) })),
        ...(band ? ["low", "high"].map((label) => ({ label, stroke: "transparent", points: { show: false } })) : [])],
      bands: band ? [{ series: [lines.length + 2, lines.length + 1], fill: colour("band") }] : [],
      hooks: { drawClear: [drawMarks], setCursor: [readOut] },
    };
  }

  // With a band, a share of next to nothing does not flatten all the rest: it is cut off.
  function most() {
    if (!band) return 0;
    return Math.max(quantile(columns[1], 0.985), quantile(columns.at(-1), 0.9));
  }

  // No share is drawn above the whole unless one was.
  function top(high) {
    const most = lines.map((_, i) => quantile(columns[i + 1], 1)).reduce((a, b) => Math.max(a, b), 0);
    return format === percent && most <= 1 ? Math.min(1.02, 1.08 * high) || 1 : 1.08 * high || 1;
  }

  function drawMarks(u) {
    const { ctx, bbox: { left, top, width: wide, height: high } } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, wide, high);
    ctx.clip();
    for (const { from, to } of marks) {
      const x = u.valToPos(from, "x", true);
      const end = to ? u.valToPos(to, "x", true) : left + wide;
      ctx.fillStyle = colour("mark");
      ctx.fillRect(x, top, Math.max(2, end - x), high);
      ctx.fillStyle = colour("bad");
      ctx.fillRect(x, top, Math.max(2, end - x), 4 * devicePixelRatio);
      ctx.fillRect(x - 1, top, 2, high);
    }
    ctx.restore();
  }

  function readOut(u) {
    const i = u.cursor.idx;
    if (i === null || i === undefined || columns[0][i] === undefined) return void (told.textContent = "");
    const values = lines.map((line, k) => [line.label, columns[k + 1][i]]).filter(([, value]) => value !== null && value !== undefined);
    const [low, high] = band ? columns.slice(-2).map((column) => column[i]) : [];
    const usual = low === null || low === undefined ? [] : [t("usually", { low: format(low), high: format(high) })];
    const mark = marks.filter((one) => one.from <= columns[0][i] && columns[0][i] < (one.to || Infinity)).map((one) => one.label);
    told.textContent = [moment(columns[0][i] * 1000), ...values.map(([label, value]) => `${label} ${format(value)}`), ...usual, ...mark].join(" · ");
  }

  function step(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -12, PageDown: 12 }[event.key];
    if (!by || !drawn || !columns[0].length) return;
    event.preventDefault();
    const last = columns[0].length - 1;
    const i = Math.max(0, Math.min(last, (drawn.cursor.idx ?? last + 1) + by));
    drawn.setCursor({ left: drawn.valToPos(columns[0][i], "x"), top: 10 });
  }

  function leave() {
    drawn?.setCursor({ left: -10, top: -10 });
  }

  function paint() {
    if (!root.isConnected) return;
    owed = !seen;
    if (!seen) return;
    if (!rows.hidden) return list();
    width ||= Math.max(plot.clientWidth, 120);
    if (drawn) drawn.setData(columns);
    else drawn = new uPlot(options(), columns, plot);
  }

  function list() {
    const last = columns[0].map((_, i) => i).slice(-ROWS).reverse();
    const edges = band ? [t("usual_low"), t("usual_high")] : [];
    fill(rows, table(title, [t("time"), ...lines.map((line) => line.label), ...edges],
      last.map((i) => [moment(columns[0][i] * 1000), ...columns.slice(1).map((column) => format(column[i]))]),
      columns.slice(1).map((_, k) => k + 1)));
  }

  function turn() {
    rows.hidden = !rows.hidden;
    plot.hidden = told.hidden = !rows.hidden;
    swap.textContent = t(rows.hidden ? "as_table" : "as_chart");
    ask(it);
  }

  function resize(to) {
    if (!to || to === width) return;
    width = to;
    drawn?.setSize({ width, height: height * rem() });
  }

  function see(is) {
    seen = is;
    if (seen && owed) ask(it);
  }

  function draw(next) {
    columns = next;
    ask(it);
  }

  function mark(next) {
    marks = next;
    ask(it);
  }

  function restyle() {
    drawn?.destroy();
    drawn = null;
    ask(it);
  }

  function close() {
    open.delete(it);
    dirty.delete(it);
    sizes.unobserve(plot);
    sights.unobserve(root);
    drawn?.destroy();
  }

  const it = { root, draw, mark, restyle, close, paint, resize, see };
  at.set(plot, it);
  at.set(root, it);
  sizes.observe(plot);
  sights.observe(root);
  open.add(it);
  return it;
}

// Whole orders, whole units of money.
function scale(format) {
  const steps = [1, 2, 5].flatMap((n) => [...Array(10).keys()].map((power) => n * 10 ** power)).sort((a, b) => a - b);
  if (format === whole) return { incrs: steps, values: (_, ticks) => ticks.map(whole) };
  if (format === money) return { incrs: steps.map((n) => n * 100), values: (_, ticks) => ticks.map((cents) => whole(cents / 100)) };
  if (format === percent) return { values: (_, ticks) => ticks.map((tick) => percent(tick, ticks[1] - ticks[0] < 0.01 ? 1 : 0)) };
  return { values: (_, ticks) => ticks.map((tick) => format(tick)) };
}

// Values without one before or after them would be no line: they are dots.
function lonely(u, series) {
  const values = u.data[series];
  const some = (value) => value !== null && value !== undefined;
  const found = [];
  for (let i = 0; i < values.length; i++) {
    if (some(values[i]) && !some(values[i - 1]) && !some(values[i + 1])) found.push(i);
  }
  return found;
}

// Of a sample, for it is asked for with each drawing.
function quantile(values, share) {
  const by = Math.ceil(values.length / SAMPLE);
  const some = [];
  for (let i = 0; i < values.length; i += by) if (values[i] !== null) some.push(values[i]);
  return Float64Array.from(some).sort()[Math.min(some.length - 1, Math.floor(some.length * share))] ?? 0;
}

// A date whose own clock shows what that of the chain's zone does; the difference is the same all through an hour.
function tzDate(seconds) {
  const hour = Math.floor(seconds / 3600);
  if (!shifts.has(hour)) {
    if (shifts.size > 5000) shifts.clear();
    shifts.set(hour, uPlot.tzDate(new Date(hour * 3_600_000), zoneName()).getTime() - hour * 3_600_000);
  }
  return new Date(seconds * 1000 + shifts.get(hour));
}

// Midnight shows its date, what is closer than minutes its seconds.
function hours(_, ticks) {
  const close = ticks.some((seconds) => seconds % 60);
  return ticks.map((seconds) => {
    const text = (close ? second : clock)(seconds * 1000);
    return text === "00:00" ? moment(seconds * 1000).replace(/[, ]*00:00$/, "") : text;
  });
}

export function restyleAll() {
  colours = {};
  for (const one of open) one.restyle();
}
