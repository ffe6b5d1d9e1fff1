// One model: its quality over time, calibration, drift, versions, and what moves its score.

import { get, post } from "/static/api.js";
import { chart } from "/static/charts.js";
import { fill, h, table } from "/static/dom.js";
import { listen } from "/static/live.js";
import { decimal, moment, whole } from "/static/numbers.js";
import { ask } from "/static/pages/models/asking.js";
import { curve, reliability } from "/static/pages/models/drawings.js";
import { flags, loss, verdict } from "/static/pages/models/list.js";
import { said } from "/static/phrases.js";

const SHOWN = 15; // inputs
const AGAIN_MS = 2_000; // between two looks, whatever happens

export async function open(root, { t, id }) {
  const path = `/models/${encodeURIComponent(id)}`;
  const head = h("section", { class: "card" });
  const cards = h("div", { class: "cards" });
  const scorers = ["champion", "challenger", "base_rate", "recency"];
  const losses = chart({ title: t("loss_curve"), lines: scorers.map((name, i) => ({ label: t(name), dash: i > 1 ? [6, 4] : undefined })), format: loss, height: 220, t });
  const auc = chart({ title: t("auc_curve"), lines: [{ label: "AUC" }], format: (value) => decimal(value, 3), height: 220, t });
  const calibration = h("section", { class: "card" });
  const drift = h("section", { class: "card" });
  const versions = h("section", { class: "card" });
  const inputs = h("section", { class: "card" });
  const turns = h("section", { class: "card" });
  let wasAt = 0;
  let timer = 0;
  root.append(h("p", {}, h("a", { href: "/models" }, `← ${t("models")}`)), head, cards, h("div", { class: "wide" }, losses.root, auc.root), h("div", { class: "wide" }, calibration, drift), versions, inputs, turns);

  async function look() {
    wasAt = Date.now();
    const one = await get(path);
    const { summary: it } = one;
    fill(head, h("h2", {}, it.name.replaceAll("_", " ")), h("p", {}, flags(it, t)),
      h("p", { class: "note" }, t(it.is_probability ? "loss_log" : "loss_deviance"), " ", t("window_note", { n: whole(one.window) })),
      h("p", {}, it.champion ? t("scoring", { n: it.champion }) : t("no_version"), it.pinned && ` · ${t("pinned")}`, it.challenger > 0 && ` · ${t("against", { n: it.challenger })}`, ` · ${t("labels_so_far", { n: whole(it.labels) })}`),
      actions(one));
    figures(one);
    const times = one.points.map((point) => point.at_ms / 1000);
    losses.draw([times, ...scorers.map((_, i) => one.points.map((point) => point.losses[i]))]);
    auc.draw([times, one.points.map((point) => point.roc_auc)]);
    auc.root.hidden = !it.is_probability;
    calibration.hidden = !it.is_probability;
    fill(calibration, h("h2", {}, t("calibration")), h("p", { class: "note" }, t("calibration_note")), reliability(one.reliability, t));
    drifted(one);
    list(one);
    weigh(one);
    fill(turns, h("h2", {}, t("turns")), table(t("turns"), [t("when"), t("version_head"), t("before"), t("why"), t("by")],
      one.turns.map((turn) => [moment(turn.at_ms), turn.version, turn.before || "–", t(`turn ${turn.why}`), turn.by || t("learning")])));
  }

  function figures({ figures: found, summary: it }) {
    fill(cards, scorers.filter((name) => found[name]?.[it.loss] !== undefined).map((name) => h("section", { class: "card" },
      h("div", { class: "label" }, t(name)), h("div", { class: "figure" }, loss(found[name][it.loss])),
      name !== "champion" && verdict(it.losses, name) && h("div", { class: verdict(it.losses, name) }, t(verdict(it.losses, name) === "up" ? "beaten" : "not_beaten")),
      h("div", { class: "note" }, it.is_probability ? t("more_figures", { auc: decimal(found[name].roc_auc, 3), pr: decimal(found[name].pr_auc, 3), error: decimal(found[name].calibration_error, 3) }) : t("mean_error", { error: loss(found[name].mean_absolute_error) })))));
  }

  function actions({ may, summary: it, former }) {
    return may.length > 0 && h("div", { class: "bar" },
      may.includes("rollback") && button("rollback", () => decide("rollback", 0, t("rollback_ask", { n: former }))),
      may.includes("unpin") && button("unpin", () => decide("promote", 0, t("unpin_ask"))));
    function button(word, onclick) {
      return h("button", { type: "button", onclick }, t(word, { n: word === "rollback" ? former : it.champion }));
    }
  }

  function decide(word, version, question) {
    ask(question, t, async () => {
      const done = await post(`${path}/${word}`, { version });
      await look();
      return done.taken ? "" : t("not_taken");
    });
  }

  function drifted({ wrong }) {
    fill(drift, h("h2", {}, t("drift")), h("p", { class: "note" }, t("drift_note")),
      wrong.length ? table(t("drift"), [t("what"), t("since"), t("inputs")], wrong.map((one) => [h("span", { class: "chip bad" }, t(`wrong ${one.what}`)), h("div", {}, moment(one.since_ms), h("div", { class: "note" }, t("labels_so_far", { n: whole(one.since_labels) }))), one.inputs.map((name) => said(name, "drift").replaceAll("_", " ")).join(", ") || "–"]))
        : h("p", { class: "up" }, t("no_drift")));
  }

  function list({ versions: found, beside, may, summary: it }) {
    const duel = beside && h("p", {}, t("duel", { n: it.challenger, labels: whole(beside.labels), needed: whole(beside.needed) }), beside.loss !== null && ` ${t("duel_loss", { mine: decimal(beside.loss, 4), other: decimal(beside.champion_loss, 4) })}`);
    fill(versions, h("h2", {}, t("versions")), h("p", { class: "note" }, t("versions_note")), duel,
      found.length ? table(t("versions"), [t("version_head"), t("role"), t("published"), t("labels"), t("before_it"), t("beside"), ""], found.map((one) => [
        one.number, one.fault ? h("span", { class: "down" }, t("cannot", { why: said(one.fault, "fault") })) : one.role ? h("span", { class: `chip ${one.role === "champion" ? "good" : "warn"}` }, t(one.role)) : "–",
        moment(one.at_ms), whole(one.labels), decimal(one.figures[it.loss], 4),
        one.won === null ? "–" : h("span", { class: one.won ? "up" : "down" }, t("compared", { mine: decimal(one.compared_loss, 4), other: decimal(one.champion_loss, 4), n: one.compared_with, labels: whole(one.compared_labels) })),
        may.includes("promote") && !one.fault && !(one.role === "champion" && it.pinned) ? h("button", { type: "button", "aria-label": `${t("promote")}: ${one.number}`, onclick: () => decide("promote", one.number, t("promote_ask", { n: one.number })) }, t("promote")) : "",
      ]), [0, 3, 4]) : h("p", { class: "state" }, t("none_yet")));
  }

  function weigh({ inputs: found, summary: it }) {
    const most = Math.max(...found.map((one) => one.span), 1e-12);
    fill(inputs, h("h2", {}, t("weights")), h("p", { class: "note" }, t(it.is_probability ? "weights_logit" : "weights_note")),
      found.length ? table(t("weights"), [t("input"), t("moves"), "", t("challenger"), t("curve")], found.slice(0, SHOWN).map((one) => [
        one.name.replaceAll("_", " "), decimal(one.span, 3), h("div", { class: "models-bar", "aria-hidden": "true", style: { width: `${(one.span / most) * 100}%` } }), decimal(one.other_span, 3), curve(one, t),
      ]), [1, 3]) : h("p", { class: "state" }, t("none_yet")));
  }

  await look();
  const stop = listen("models", ({ items }) => {
    if (!items.some((one) => one.name === id) || document.querySelector("dialog[open]")) return;
    clearTimeout(timer);
    timer = setTimeout(() => look().catch(() => {}), Math.max(0, wasAt + AGAIN_MS - Date.now()));
  });
  return () => {
    clearTimeout(timer);
    stop();
    losses.close();
    auc.close();
  };
}
