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

export const flags = (wrong, t) => (wrong.length
  ? wrong.map((what) => h("span", { class: "chip bad" }, t(`wrong ${what}`)))
  : h("span", { class: "chip good" }, t("well")));

export async function open(root, { t }) {
  const rows = h("section", { class: "card" });
  root.append(h("p", { class: "note" }, t("models_note")), rows);

  function list({ items }) {
    if (!items.length) return fill(rows, h("p", { class: "state" }, t("none")));
    fill(rows, table(t("models"), [t("model"), t("scores"), t("labels"), t("loss_now"), t("base_rate"), t("recency"), "AUC", t("state"), t("latest")], items.map((one) => [
      h("div", {}, h("a", { href: `/models/${encodeURIComponent(one.name)}` }, one.name.replaceAll("_", " ")), h("div", { class: "note" }, t(one.is_probability ? "a_probability" : "a_number"))),
      one.champion ? h("div", {}, t("version", { n: one.champion }), one.pinned && h("div", { class: "note" }, t("pinned")), one.challenger > 0 && h("div", { class: "note" }, t("against", { n: one.challenger }))) : t("no_version"),
      whole(one.labels), decimal(one.losses.champion, 4), against(one, "base_rate"), against(one, "recency"), decimal(one.roc_auc, 3), flags(one.wrong, t), moment(one.at_ms),
    ]), [2, 3, 4, 5, 6]));
  }

  const against = ({ losses }, name) => h("span", { class: verdict(losses, name) }, decimal(losses[name], 4));

  list(await get("/models"));
  return listen("models", list);
}
