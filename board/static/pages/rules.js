// The coupon rules: how they stand; one of them in words, with its tests, its past and its switch.

import { get } from "/static/api.js";
import { fill, h, table } from "/static/dom.js";
import { moment, percent, whole } from "/static/numbers.js";
import { openRule } from "/static/pages/rules.one.js";
import { words } from "/static/pages/rules.words.js";
import { said } from "/static/phrases.js";

export { words };

const EVERY_MS = 5_000;
const LOOKS = { on: "good", off: "low", paused: "warn" };

export async function open(root, context) {
  return context.id ? openRule(root, context) : openAll(root, context);
}

export function chip(t, rule) {
  const places = rule.paused_at.map((place) => said(place, "place").replace(":", " ") || t("everywhere")).join(", ");
  return h("span", {}, h("span", { class: `chip ${LOOKS[rule.state]}` }, t(rule.state)), rule.paused_at.length ? h("span", { class: "note" }, ` ${t("paused_at", { places })}`) : null);
}

async function openAll(root, { t }) {
  const about = h("p", { class: "note" });
  const wrong = h("div");
  const list = h("div", { class: "card" });
  const sought = h("input", { type: "search", oninput: draw });
  let found = await get("/rules");

  function draw() {
    const text = sought.value.trim().toLowerCase();
    const rules = found.items.filter((rule) => [rule.id, rule.name, rule.campaign, rule.gift, said(rule.gift, "gift"), t(rule.state)].join(" ").toLowerCase().includes(text));
    fill(about, t("about", { holdout: percent(found.holdout_percent / 100) }), " ", t(found.since_ms ? "fired_since" : "fired_not_yet", { since: moment(found.since_ms) }));
    fill(wrong, found.wrong && h("p", { class: "banner", role: "alert" }, t("wrong", { wrong: found.wrong })));
    fill(list, rules.length ? table(t("all"), [t("rule"), t("state"), t("fired"), t("priority"), t("gift"), t("campaign"), t("looks")], rules.map((rule) => [
      h("span", {}, h("a", { href: `/rules/${rule.id}` }, rule.id), h("span", { class: "note rules-name" }, rule.name)), chip(t, rule), whole(rule.fired), rule.priority, said(rule.gift, "gift"), rule.campaign, said(rule.looks, "looks")]), [2, 3])
      : h("p", { class: "state" }, t("none")));
  }

  draw();
  root.append(about, wrong, h("div", { class: "bar" }, h("label", {}, t("filter"), sought)), list);
  const timer = setInterval(async () => {
    found = await get("/rules").catch(() => found);
    draw();
  }, EVERY_MS);
  return () => clearInterval(timer);
}
