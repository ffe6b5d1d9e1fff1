// All models beside their baselines.

import { get } from "/static/api.js";
import { fill, h, table } from "/static/dom.js";
import { listen } from "/static/live.js";
import { decimal, moment, whole } from "/static/numbers.js";

// Whether the champion is better than a baseline: less loss is better.
export function verdict(losses, name) {
  const [mine, other] = [losses.champion, losses[name]];
  if (mine === null || mine === undefined || other === null || other === undefined) return "";
  return mine <= other ? "up" : "down";
}

export function flags({ wrong, champion, losses }, t) {
  if (wrong.length) return wrong.map((what) => h("span", { class: "chip bad" }, t(`wrong ${what}`)));
  if (!champion) return h("span", { class: "chip low" }, t("learns"));
  const worse = ["base_rate", "recency"].some((name) => verdict(losses, name) === "down");
  return h("span", { class: `chip ${worse ? "warn" : "good"}` }, t(worse ? "not_yet" : "well"));
}

// Four digits that count: of a probability's loss as of one in cents.
export const loss = (value) => decimal(value, Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 2 : 4);

export async function open(root, { t }) {
  const rows = h("section", { class: "card" });
  root.append(h("p", { class: "note" }, t("models_note")), rows);

  function list({ items }) {
    if (!items.length) return fill(rows, h("p", { class: "state" }, t("none")));
    fill(rows, table(t("models"), [t("model"), t("scores"), t("labels"), t("loss_now"), t("base_rate"), t("recency"), "AUC", t("state"), t("latest")], items.map((one) => [
      h("div", {}, h("a", { href: `/models/${encodeURIComponent(one.name)}` }, one.name.replaceAll("_", " ")), h("div", { class: "note" }, t(one.is_probability ? "a_probability" : "a_number"))),
      one.champion ? h("div", {}, t("version", { n: one.champion }), one.pinned && h("div", { class: "note" }, t("pinned")), one.challenger > 0 && h("div", { class: "note" }, t("against", { n: one.challenger }))) : t("no_version"),
      whole(one.labels), loss(one.losses.champion), against(one, "base_rate"), against(one, "recency"), decimal(one.roc_auc, 3), flags(one, t), moment(one.at_ms),
    ]), [2, 3, 4, 5, 6]));
  }

  const against = ({ losses }, name) => h("span", { class: verdict(losses, name) }, loss(losses[name]));

  list(await get("/models"));
  return listen("models", list);
}
