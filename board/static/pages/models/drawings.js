// Small drawings of models: a reliability diagram, and what each value of an input adds.

import { h, table } from "/static/dom.js";
import { decimal, percent, whole } from "/static/numbers.js";

const SIDE = 260;
const EDGE = 34;
const WIDE = 140;
const TALL = 34;

// Each dot is a tenth of the rows: to the right what was said, upwards what came true. On the line both are the same.
export function reliability(bins, t) {
  if (!bins.length) return h("p", { class: "state" }, t("none_yet"));
  const at = (share) => EDGE + share * (SIDE - 2 * EDGE);
  const up = (share) => SIDE - at(share);
  const ticks = [0, 0.5, 1];
  const plot = h("svg:svg", { viewBox: `0 0 ${SIDE} ${SIDE}`, class: "models-diagram", role: "img", "aria-label": t("calibration") },
    ticks.map((tick) => [
      h("svg:line", { x1: at(0), x2: at(1), y1: up(tick), y2: up(tick), class: "grid" }), h("svg:line", { x1: at(tick), x2: at(tick), y1: up(0), y2: up(1), class: "grid" }),
      h("svg:text", { x: at(tick), y: SIDE - 14, "text-anchor": "middle" }, `${tick * 100} %`), h("svg:text", { x: EDGE - 5, y: up(tick) + 4, "text-anchor": "end" }, `${tick * 100}`),
    ]),
    h("svg:line", { x1: at(0), y1: up(0), x2: at(1), y2: up(1), class: "ideal" }),
    h("svg:polyline", { points: bins.map((bin) => `${at(bin.score)},${up(bin.rate)}`).join(" "), class: "curve" }),
    bins.map((bin) => h("svg:circle", { cx: at(bin.score), cy: up(bin.rate), r: 4 }, h("svg:title", {}, `${percent(bin.score)} → ${percent(bin.rate)}`))));
  return h("div", { class: "models-both" }, plot, table(t("calibration"), [t("rows"), t("said"), t("came_true")], bins.map((bin) => [whole(bin.rows), percent(bin.score), percent(bin.rate)]), [0, 1, 2]));
}

// What each value adds, from its least knot to its greatest; knots stand at equal distances, as they are where customers are.
export function curve({ knots, heights, missing }, t) {
  if (knots.length < 2) return knots.length ? decimal(heights[0], 2) : "–";
  const [low, high] = [Math.min(...heights, 0), Math.max(...heights, 0)];
  const x = (i) => 2 + (i / (knots.length - 1)) * (WIDE - 4);
  const y = (height) => TALL - 3 - ((height - low) / (high - low || 1)) * (TALL - 6);
  const told = `${decimal(knots[0], 1)}: ${decimal(heights[0], 2)} … ${decimal(knots.at(-1), 1)}: ${decimal(heights.at(-1), 2)}; ${t("missing")}: ${decimal(missing, 2)}`;
  return h("div", {}, h("svg:svg", { viewBox: `0 0 ${WIDE} ${TALL}`, class: "models-curve", role: "img", "aria-label": told },
    h("svg:line", { x1: 0, x2: WIDE, y1: y(0), y2: y(0), class: "grid" }),
    h("svg:polyline", { points: heights.map((height, i) => `${x(i)},${y(height)}`).join(" "), class: "curve" })),
  h("div", { class: "note" }, told));
}
