// What rules bring: each arm's lift as what still fits the data, against zero.

import { get } from "/static/api.js";
import { fill, h } from "/static/dom.js";
import { decimal, whole } from "/static/numbers.js";

const FEW = 12;

export function lifts({ t, me }) {
  const rows = h("div");
  const failed = h("div");
  const root = h("section", { class: "card" }, h("h2", {}, t("lift_title")), h("p", { class: "note" }, t("lift_note")), failed, rows);
  let all = false;
  let arms = [];

  async function renew() {
    arms = (await get("/coupons/lift")).items;
    draw();
  }

  // First what is sure, then what is nearly so; arms that nobody can be compared with come last.
  function draw() {
    const told = arms.filter((arm) => arm.verdict !== "control");
    if (!told.length) return fill(rows, h("p", { class: "state" }, t("no_lift")));
    const sure = { more: 0, less: 1, early: 2, unknown: 3 };
    told.sort((a, b) => sure[a.verdict] - sure[b.verdict] || b.over - a.over);
    const shown = all ? told : told.slice(0, FEW);
    const reach = Math.max(0.05, ...shown.flatMap((arm) => (arm.lift_interval ?? []).map(Math.abs)));
    const scale = Math.min(1, reach);
    return fill(rows, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("lift_title") }, h("table", { class: "lift" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("rule")), h("th", { scope: "col" }, t("arm")), h("th", { scope: "col", class: "number" }, t("judged")),
        h("th", { scope: "col", class: "lift-head" }, h("span", {}, `−${decimal(100 * scale, 0)}`), h("span", {}, "0"), h("span", {}, `+${decimal(100 * scale, 0)}`)),
        h("th", { scope: "col" }, t("lift")), h("th", { scope: "col" }, t("verdict")))),
      h("tbody", {}, shown.map((arm) => h("tr", {}, h("td", {}, me.pages.includes("rules") ? h("a", { href: `/rules/${arm.rule}` }, arm.rule) : arm.rule),
        h("td", {}, [arm.arm || "–", arm.context].filter(Boolean).join(", ")), h("td", { class: "number" }, whole(arm.over)), h("td", {}, drawn(arm, scale)),
        h("td", {}, spelt(arm)), h("td", {}, verdict(arm))))))),
      told.length > FEW && !all && h("button", { class: "quiet", type: "button", onclick: () => { all = true; draw(); } }, `${t("show_all")} (${told.length})`));
  }

  function drawn(arm, scale) {
    if (!arm.lift_interval) return "";
    const x = (value) => 100 + 100 * Math.max(-1, Math.min(1, value / scale));
    const [low, high] = arm.lift_interval;
    return h("svg:svg", { viewBox: "0 0 200 20", class: `lift-drawn ${arm.verdict}`, "aria-hidden": "true", preserveAspectRatio: "none" },
      h("svg:line", { x1: 100, x2: 100, y1: 0, y2: 20, class: "zero" }),
      h("svg:line", { x1: x(low), x2: x(high), y1: 10, y2: 10, class: "span" }),
      h("svg:line", { x1: x(arm.lift), x2: x(arm.lift), y1: 4, y2: 16, class: "span" }));
  }

  function spelt(arm) {
    if (arm.lift === null) return "–";
    const points = (value) => `${value > 0 ? "+" : ""}${decimal(100 * value, 1)}`;
    const [low, high] = arm.lift_interval;
    return h("span", {}, h("b", {}, points(arm.lift)), h("span", { class: "note" }, ` ${points(low)} ${t("to")} ${points(high)}`));
  }

  function verdict(arm) {
    if (arm.mismatch) return h("span", { class: "chip bad" }, t("mismatch"));
    const look = { more: "good", less: "bad", early: "low", unknown: "low" }[arm.verdict];
    return h("span", { class: `chip ${look}` }, t(arm.verdict));
  }

  return { root, renew, failed };
}
