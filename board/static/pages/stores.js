// All stores with their latest hour, to be searched and sorted; one store closely.

import { get } from "/static/api.js";
import { fill, h } from "/static/dom.js";
import { drill } from "/static/drill.js";
import { incidentBanner } from "/static/kpis.js";
import { listen } from "/static/live.js";
import { clock, decimal, money, percent, whole } from "/static/numbers.js";

const SORTS = ["against", "orders", "revenue", "conversion", "id"];
const PAGE = 48;
const AGAIN_MS = 900;
const FAR = { "-2": "low2", "-1": "low1", 0: "0", 1: "high1", 2: "high2" };
const FIRST = ["orders", "revenue_cents", "conversion", "redemption_share", "aov_cents", "attach_rate"];
const EVERY = [...FIRST, "visits", "items", "redemptions", "discount_cents", "new_members", "refunds", "complaints", "rating_mean", "nps", "late_delivery_rate"];

export { words } from "/static/pages/stores.words.js";

export function open(root, context) {
  return context.id ? one(root, context) : list(root, context);
}

async function list(root, { t, me }) {
  let query = { q: "", region: "", sort: "against" };
  let limit = PAGE;
  let lookedAt = 0;
  let turn = 0;
  let minute = 0;
  const count = h("p", { class: "note", role: "status" });
  const cards = h("div", { class: "stores-grid" });
  const more = h("button", { type: "button", hidden: true, onclick: () => { limit += PAGE; look(); } }, t("more"));
  const regions = h("select", { onchange: (event) => ask({ region: event.target.value }) }, h("option", { value: "" }, t("every_region")));
  root.append(
    h("p", { class: "note" }, t(me.roles.length === 1 && me.roles[0] === "store" ? "note_own" : "note")),
    h("form", { class: "bar", role: "search", onsubmit: (event) => event.preventDefault() },
      h("label", {}, t("search"), h("input", { type: "search", oninput: (event) => ask({ q: event.target.value }) })),
      h("label", {}, t("region_label"), regions),
      h("label", {}, t("sort"), h("select", { onchange: (event) => ask({ sort: event.target.value }) }, SORTS.map((name) => h("option", { value: name }, t(`sort_${name}`)))))),
    count, cards, more);

  function ask(changed) {
    query = { ...query, ...changed };
    limit = PAGE;
    look();
  }

  async function look() {
    const mine = ++turn;
    lookedAt = performance.now();
    try {
      const told = await get("/stores", { ...query, limit: Math.min(limit, 500) });
      if (mine !== turn) return;
      count.textContent = told.of ? t("count", { shown: whole(told.items.length), of: whole(told.of), from: clock(told.from_ms), to: clock(told.to_ms) }) : t("no_store");
      const most = Math.max(1, ...told.items.flatMap((store) => store.spark));
      fill(cards, told.items.map((store) => small(t, store, most)));
      more.hidden = !told.next;
      for (const region of told.regions) {
        if (![...regions.options].some((option) => option.value === region)) regions.append(h("option", { value: region }, region));
      }
    } catch (error) {
      if (mine === turn) count.textContent = error.status === 503 ? t("no_hour") : error.message;
    }
  }

  await look();
  const stop = listen("kpis", ({ clock_ms: clockMs }) => {
    const now = Math.floor(clockMs / 60_000);
    if (now === minute || performance.now() < lookedAt + AGAIN_MS) return;
    minute = now;
    look();
  });
  return () => { turn++; stop(); };
}

// A store's latest hour in a small card; all of them on one scale.
function small(t, store, most) {
  const far = store.state === "open" ? FAR[store.far_orders] : store.state;
  const share = store.expected_orders ? percent(store.orders / store.expected_orders, 0) : "–";
  return h("a", { class: "card store-card", href: `/stores/${encodeURIComponent(store.id)}` },
    h("div", { class: "store-head" }, h("strong", {}, store.id), h("span", { class: "note" }, store.region),
      h("span", { class: `chip ${store.firing.length ? "bad" : { low2: "bad", low1: "warn", silent: "bad" }[far] ?? "info"}` }, t(store.firing.length ? "alarmed" : `state_${far}`))),
    spark(t, store, most),
    h("dl", { class: "store-figures" },
      pair(t("orders"), store.state === "silent" ? "?" : whole(store.orders)), pair(t("of_usual"), store.state === "open" ? share : "–"),
      pair(t("revenue_cents"), store.state === "silent" ? "?" : money(store.revenue_cents)), pair(t("conversion"), percent(store.conversion, 0))));
}

function pair(name, value) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, value));
}

function spark(t, store, most) {
  const wide = 120 / store.spark.length;
  return h("svg:svg", { class: "spark", viewBox: "0 0 120 32", preserveAspectRatio: "none", role: "img", "aria-label": t("spark", { values: store.spark.map((n) => decimal(n, 0)).join(", ") }) },
    store.spark.map((n, i) => h("svg:rect", { x: i * wide + 1, y: 31 - (30 * Math.max(0, n)) / most, width: wide - 2, height: 1 + (30 * Math.max(0, n)) / most })));
}

async function one(root, { t, id }) {
  const dim = `store:${id}`;
  root.querySelector("h1").textContent = t("store_title", { name: id });
  document.title = `${id} · Brewline`;
  const head = h("div", { class: "now-banners", role: "status" });
  const view = drill({ dim, kpis: FIRST, every: EVERY, covers: (incident) => incident.dim === dim, t });
  root.append(h("p", {}, h("a", { href: "/stores" }, t("back"))), head, view.root);
  let standing = null;
  let incidents = [];

  async function stand() {
    const told = await get("/stores", { q: id, limit: 500 }).catch(() => ({ items: [] }));
    standing = told.items.find((store) => store.id === id) ?? null;
    tell();
  }

  function tell() {
    fill(head, standing?.state === "silent" && h("div", { class: "banner" }, t("silent_now")),
      incidents.filter((each) => !each.end_ms && each.dim === dim).map((each) => incidentBanner(t, each)));
  }

  await Promise.all([view.look(), stand()]);
  let stoodAt = performance.now();
  const stops = [
    listen("incidents", (told) => { incidents = told.items; tell(); }),
    listen("kpis", () => { if (performance.now() > stoodAt + AGAIN_MS) { stoodAt = performance.now(); stand(); } }),
  ];
  return () => { for (const stop of stops) stop(); view.close(); };
}
