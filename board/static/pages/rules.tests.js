// A rule's tests as drawn timelines, before and after they were run.

import { post } from "/static/api.js";
import { fill, h } from "/static/dom.js";
import { decimal } from "/static/numbers.js";
import { said as spoken } from "/static/phrases.js";

const UNITS = [["days", 86_400_000], ["hours", 3_600_000], ["minutes", 60_000]];
const [LEFT, RIGHT, WIDE, MIDDLE] = [12, 588, 600, 18];

export function testsOf({ t, id }, tests) {
  const list = h("ol", { class: "rules-tests" });
  const said = h("p", { role: "status" });
  const run = h("button", { type: "button", class: "main", onclick: runAll }, t("run"));

  function draw(results = []) {
    fill(list, tests.map((test, i) => one(test, results[i])));
  }

  async function runAll() {
    run.disabled = true;
    fill(said, t("running_tests"));
    try {
      const { items, failed } = await post(`/rules/${encodeURIComponent(id)}/tests`);
      draw(items);
      fill(said, h("span", { class: failed ? "down" : "up" }, failed ? t("some_failed", { n: failed }) : t("all_passed", { n: items.length })));
    } catch (error) {
      fill(said, h("span", { class: "down" }, error.message));
    }
    run.disabled = false;
  }

  function one(test, result) {
    const end = Math.max(60_000, ...test.events.map((event) => event.at_ms), ...test.wanted_ms, ...(result?.fired_ms ?? []));
    const [unit, unitMs] = UNITS.find(([, ms]) => end >= 2 * ms) ?? UNITS.at(-1);
    const x = (ms) => LEFT + ((RIGHT - LEFT) * ms) / end;
    const spelt = (times) => times.map((ms) => `+${decimal(ms / unitMs, 1)}`).join(", ");
    const must = test.wanted_ms.length ? t("must", { at: spelt(test.wanted_ms) }) : t("never");
    const did = result && (result.fired_ms.length ? t("did", { at: spelt(result.fired_ms) }) : t("did_not"));
    const scores = Object.entries(test.scores).map(([name, value]) => `${name} ${value}`).join(", ");
    return h("li", {}, h("div", {}, h("b", {}, test.name), " ", result && h("span", { class: `chip ${result.ok ? "good" : "bad"}` }, t(result.ok ? "passed" : "failed_test")),
      h("div", { class: "note" }, [must, did, scores && t("has_score", { scores }), t(unit)].filter(Boolean).join("; "))),
    h("svg:svg", { viewBox: `0 0 ${WIDE} 34`, class: "rules-line", role: "img", "aria-label": `${test.events.map(kind).join(", ")}; ${must}${did ? `; ${did}` : ""}` },
      h("svg:line", { x1: LEFT, x2: RIGHT, y1: MIDDLE, y2: MIDDLE }),
      test.events.map((event) => h("svg:circle", { cx: x(event.at_ms), cy: MIDDLE, r: 5 }, h("svg:title", {}, `+${decimal(event.at_ms / unitMs, 1)} ${kind(event)} ${says(event)}`))),
      test.wanted_ms.map((ms) => diamond(x(ms), "wanted", 9)), (result?.fired_ms ?? []).map((ms) => diamond(x(ms), result.ok ? "fired" : "wrong", 5))),
    h("details", {}, h("summary", { class: "note" }, `${test.events.length} × ${[...new Set(test.events.map(kind))].join(", ")}`),
      h("ul", { class: "note" }, test.events.map((event) => h("li", {}, `+${decimal(event.at_ms / unitMs, 2)} ${kind(event)} ${says(event)}`)))));
  }

  draw();
  return h("section", { class: "card" }, h("h2", {}, t("tests")), h("p", { class: "note" }, t("tests_note")), run, said, list);
}

function diamond(x, look, size) {
  return h("svg:path", { d: `M${x} ${MIDDLE - size} L${x + size} ${MIDDLE} L${x} ${MIDDLE + size} L${x - size} ${MIDDLE} Z`, class: look });
}

const kind = (event) => spoken(event.type, "event");

function says(event) {
  return Object.entries(event.says).map(([key, value]) => `${key} ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", ");
}
