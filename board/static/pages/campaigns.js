// What campaigns brought and cost; one campaign closely, by region and channel.

import { get } from "/static/api.js";
import { fill, h, table } from "/static/dom.js";
import { drill } from "/static/drill.js";
import { formatOf } from "/static/kpis.js";
import { listen } from "/static/live.js";
import { moment, percent, whole } from "/static/numbers.js";

const DAYS = [1, 7, 30];
const COLUMNS = ["coupons_issued", "redemptions", "redemption_rate", "orders", "revenue_cents", "discount_cents"];
const FIRST = ["coupons_issued", "redemptions", "orders", "revenue_cents", "discount_cents", "redemption_rate"];
const EVERY = [...FIRST, "aov_cents", "items", "new_members", "refunds", "attach_rate"];
const AGAIN_MS = 2000;
const MANY = 5; // so many times as much is told as that

export { words } from "/static/pages/campaigns.words.js";

export function open(root, context) {
  return context.id ? one(root, context) : list(root, context);
}

async function list(root, { t }) {
  const body = h("div", {});
  const part = figures(t, (days) => get("/campaigns", { days, limit: 500 }), (told) => {
    fill(body, told.items.length ? h("section", { class: "card" }, rows(t, t("campaigns"), told.items, (each) => h("a", { href: `/campaigns/${encodeURIComponent(each.id)}` }, each.id), t("campaign"))) : h("p", { class: "state" }, t("no_campaign")));
  }, body);
  root.append(h("p", { class: "note" }, t("note")), part.root, body);
  await part.look();
  return part.close;
}

async function one(root, { t, id }) {
  root.querySelector("h1").textContent = t("campaign_of", { name: id });
  document.title = `${id} · Brewline`;
  const dim = `campaign:${id}`;
  const view = drill({ dim, kpis: FIRST, every: EVERY, covers: () => false, t });
  const body = h("div", { class: "drill" });
  const part = figures(t, (days) => get(`/campaigns/${encodeURIComponent(id)}/places`, { days }), (told) => {
    fill(body, [["regions", "region_name"], ["channels", "channel_name"]].map(([kind, head]) => h("section", { class: "card" }, h("h2", {}, t(kind)),
      told[kind].length ? rows(t, t(kind), told[kind], (each) => each.name, t(head)) : h("p", { class: "note" }, t("no_place")))));
  }, body);
  root.append(h("p", {}, h("a", { href: "/campaigns" }, t("back"))), h("p", { class: "note" }, t("note_one")), view.root, part.root, body);
  await Promise.all([view.look(), part.look()]);
  return () => { part.close(); view.close(); };
}

// Days to choose from, and what is told of them, again every few seconds.
function figures(t, ask, show, body) {
  let days = DAYS[0];
  let lookedAt = 0;
  let turn = 0;
  const when = h("span", { class: "note" });
  const buttons = DAYS.map((count) => h("button", { type: "button", "aria-pressed": String(count === days), onclick: () => choose(count) }, t("days", { n: count })));

  function choose(count) {
    days = count;
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(DAYS[i] === days)));
    look();
  }

  async function look() {
    const mine = ++turn;
    lookedAt = performance.now();
    try {
      const told = await ask(days);
      if (mine !== turn) return;
      when.textContent = `${moment(told.from_ms)} – ${moment(told.to_ms)}`;
      show(told);
    } catch (error) {
      if (mine === turn) fill(body, h("p", { class: "state bad", role: "alert" }, error.message));
    }
  }

  const stop = listen("kpis", () => { if (performance.now() > lookedAt + AGAIN_MS) look(); });
  return { look, root: h("div", { class: "bar" }, h("div", { class: "tabs", role: "group", "aria-label": t("range") }, buttons), when), close: () => { turn++; stop(); } };
}

function rows(t, caption, items, name, head) {
  return table(caption, [head, ...COLUMNS.map((kpi) => t(kpi))],
    items.map((each) => [name(each), ...COLUMNS.map((kpi) => cell(t, each, kpi))]), COLUMNS.map((_, i) => i + 1));
}

// The figure, and under it how it differs from as many days before.
function cell(t, { kpis, before }, kpi) {
  const [now, was] = [kpis[kpi], before[kpi]];
  const by = now === null || !was ? "" : now >= MANY * was ? `× ${whole(now / was)}` : now >= was ? `+${percent(now / was - 1, 0)}` : `−${percent(1 - now / was, 0)}`;
  return h("span", {}, formatOf(kpi)(now), h("br"), h("span", { class: "note", title: by && t("than_before") }, by || " "));
}
