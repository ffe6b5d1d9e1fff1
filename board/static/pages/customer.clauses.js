// Why, in detail: a condition clause by clause, and scores as bars that add up.

import { h, table } from "/static/dom.js";
import { decimal } from "/static/numbers.js";
import { said } from "/static/phrases.js";

export function clausesOf(t, clauses) {
  return table(t("clause"), [t("holds"), t("clause"), t("found"), t("needs")], clauses.map((one) => [held(t, one.holds), h("code", {}, said(one.clause, "clause")), said(one.found, "sights"), said(one.needs, "need")]));
}

export function held(t, holds) {
  const word = holds === null ? "unknown" : holds ? "yes_holds" : "no_holds";
  const look = holds === null ? "warn" : holds ? "good" : "bad";
  return h("span", { class: `chip ${look}` }, t(word));
}

export function scoresOf(t, scores) {
  return scores.map((score) => {
    const terms = score.terms.map((term) => [term.feature, term.added]);
    if (score.rest !== null) terms.push([t("rest"), score.rest]);
    const most = Math.max(0.01, ...terms.map(([, added]) => Math.abs(added)));
    const told = score.sum === null ? t("apart") : t("adds", { sum: decimal(score.sum, 2), scale: score.scale, value: decimal(score.value, 3) });
    return h("figure", { class: "customer-score" }, h("figcaption", {}, h("b", {}, t("score", { model: score.model })), ` ${score.value === null ? "–" : decimal(score.value, 3)} `, h("span", { class: "note" }, told)),
      h("ul", {}, terms.map(([name, added]) => h("li", {}, h("span", {}, name), h("span", { class: "customer-added", "aria-hidden": "true" },
        h("span", { class: added < 0 ? "less" : "more", style: { width: `${(50 * Math.abs(added)) / most}%`, [added < 0 ? "right" : "left"]: "50%" } })),
        h("span", { class: "number" }, `${added > 0 ? "+" : ""}${decimal(added, 2)}`)))));
  });
}
