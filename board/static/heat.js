// All stores at a look: a row for each region, a cell for each store, coloured by how far it is from what is usual.

import { get } from "/static/api.js";
import { fill, h } from "/static/dom.js";
import { clock, money, percent, whole } from "/static/numbers.js";

const AGAIN_MS = 900; // between two looks
const FAR = { "-2": "low2", "-1": "low1", 0: "0", 1: "high1", 2: "high2" };

export function heatTable(t) {
  const body = h("div", { class: "heat-rows" });
  const when = h("span", { class: "note" });
  let of = "orders";
  let lookedAt = 0;
  let minute = 0;
  let asking = false;
  let closed = false;
  const ways = ["orders", "revenue"].map((name) => h("button", { type: "button", "aria-pressed": String(name === of), onclick: () => turn(name) }, t(`of_${name}`)));
  const root = h("section", { class: "card heat" },
    h("div", { class: "bar" }, h("h2", {}, t("heat")), h("div", { class: "tabs", role: "group", "aria-label": t("heat") }, ways), when),
    h("p", { class: "note" }, t("heat_note")), body, legend(t));

  function turn(name) {
    of = name;
    ways.forEach((way, i) => way.setAttribute("aria-pressed", String(["orders", "revenue"][i] === of)));
    read();
  }

  async function read() {
    asking = true;
    lookedAt = performance.now();
    try {
      const told = await get("/stores-heat", { of });
      if (closed) return;
      when.textContent = `${clock(told.from_ms)}–${clock(told.to_ms)}`;
      fill(body, told.regions.map((region) => row(t, region, of)), told.hidden > 0 && h("p", {}, t("hidden", { n: whole(told.hidden) }), " ", h("a", { href: "/stores" }, t("all_stores"))));
    } catch (error) {
      fill(body, h("p", { class: "state" }, error.status === 503 ? t("heat_empty") : error.message));
    } finally {
      asking = false;
    }
  }

  // Looks again if a minute has passed.
  function due(clockMs) {
    const now = Math.floor(clockMs / 60_000);
    if (now === minute || asking || performance.now() < lookedAt + AGAIN_MS) return;
    minute = now;
    read();
  }

  return { root, read, due, close: () => { closed = true; } };
}

function row(t, region, of) {
  const format = of === "orders" ? whole : money;
  const share = region.share === null ? "" : ` · ${percent(region.share, 0)}`;
  return h("div", { class: "heat-row" },
    h("div", { class: "heat-name" }, h("strong", {}, region.id || t("no_region")), h("span", { class: "note" }, `${format(region.value)}${share}`)),
    h("ul", { class: "heat-cells" }, region.cells.map((cell) => h("li", {}, square(t, cell, format)))));
}

function square(t, cell, format) {
  const far = cell.state === "open" ? FAR[cell.far] : cell.state;
  const text = cell.state === "silent" ? "?" : cell.state === "closed" ? "·" : cell.share === null ? format(cell.value) : percent(cell.share, 0);
  const word = t({ silent: "silent", closed: "closed", learning: "state_learning" }[cell.state] ?? `far_${far}`);
  return h("a", { class: `heat-cell ${cell.state === "open" ? `far-${far}` : cell.state}`, href: `/stores/${encodeURIComponent(cell.id)}`, title: `${cell.id}: ${format(cell.value)}, ${word}` },
    h("b", {}, cell.id, cell.alarmed && h("span", { class: "heat-alarm", title: t("alarmed") }, " ▲", h("span", { class: "unseen" }, t("alarmed")))),
    h("span", {}, text), h("span", { class: "unseen" }, word));
}

function legend(t) {
  return h("p", { class: "key note" }, ...["low2", "low1", "0", "high1", "high2"].map((far) =>
    h("span", {}, h("i", { class: `heat-sign far-${far}`, "aria-hidden": "true" }), t(`far_${far}`))),
  h("span", {}, h("i", { class: "heat-sign silent", "aria-hidden": "true" }, "?"), t("silent")), h("span", {}, h("i", { class: "heat-sign closed", "aria-hidden": "true" }, "·"), t("closed")));
}
