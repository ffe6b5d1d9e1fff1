// The list of alerts, with filters, and the silences.

import { get, post } from "/static/api.js";
import { fill, h, table } from "/static/dom.js";
import { listen } from "/static/live.js";
import { moment, whole } from "/static/numbers.js";
import { acts, address, ask, askSilence, kind, plain, severity, state } from "/static/pages/alerts/parts.js";
import { said } from "/static/phrases.js";

const SEVERITIES = ["critical", "high", "medium", "low", "informational"];
const STATES = ["firing", "not sent", "held", "acknowledged", "silenced", "over"];
const KINDS = ["kpi", "security", "service", "model", "experiment"];
const SOON_MS = 250; // many changes at once are one look

export async function open(root, { t, me, query, go }) {
  const asked = { kind: query.get("kind") ?? "", severity: query.get("severity") ?? "", state: query.get("state") ?? "firing", entity: query.get("entity") ?? "" };
  const counts = h("div", { class: "cards" });
  const rows = h("div", {});
  const more = h("button", { type: "button", hidden: true, onclick: () => load(shown.next) }, t("more"));
  const quiet = h("section", { class: "card" });
  const feeds = new Map();
  let shown = { items: [], next: "" };
  let timer = 0;
  let turn = 0;

  const seesStaff = me.roles.includes("security") || me.roles.includes("auditor");
  const limited = me.roles.length === 1 && me.roles[0] === "store";
  root.append(
    h("p", { class: "note" }, t("alerts_note")), counts, filters(),
    h("section", { class: "card" }, rows, more), ...(limited ? [] : [quiet]));

  function filters() {
    const pick = (name, label, options, word) => h("label", {}, label,
      h("select", { name, onchange: (event) => change(name, event.target.value) },
        ["", ...options].map((one) => h("option", { value: one, selected: one === asked[name] }, one ? word(one) : t("all")))));
    return h("form", { class: "bar", role: "search", onsubmit: (event) => event.preventDefault() },
      limited || pick("kind", t("by kind"), KINDS.filter((one) => one !== "security" || seesStaff), (one) => kind(one, t)),
      pick("severity", t("by severity"), SEVERITIES, t),
      pick("state", t("state"), STATES, (one) => t(`is ${one}`)),
      h("label", {}, t("about"), h("input", { type: "search", name: "entity", value: asked.entity, placeholder: t("about_hint"), oninput: (event) => change("entity", event.target.value) })));
  }

  function change(name, value) {
    asked[name] = value;
    const told = new URLSearchParams(Object.entries(asked).filter(([, one]) => one));
    history.replaceState(null, "", `/alerts${told.size ? `?${told}` : ""}`);
    soon();
  }

  async function load(after = "") {
    const mine = ++turn;
    const found = await get("/alerts", { ...asked, after, limit: after ? 50 : Math.min(500, Math.max(50, shown.items.length)) });
    if (mine !== turn) return;
    shown = { items: after ? [...shown.items, ...found.items] : found.items, next: found.next };
    list();
  }

  function list() {
    more.hidden = !shown.next;
    if (!shown.items.length) return fill(rows, h("p", { class: "state", role: "status" }, t(asked.state === "firing" ? "all_quiet" : "none_such")));
    fill(rows, table(t("alerts"), [t("by severity"), t("what"), t("about"), t("state"), t("since"), t("times"), ""],
      shown.items.map((one) => [
        severity(one.severity, t),
        h("div", {}, h("a", { href: address(one.key), "data-key": one.key }, plain(one.title)), h("div", { class: "note alerts-why" }, said(one.why, "why"))),
        h("div", {}, one.entity, h("div", { class: "note" }, kind(one.kind, t))),
        h("div", {}, state(one.state, t), one.by && h("div", { class: "note" }, t("by_whom", { who: one.by }))),
        moment(one.started_ms), one.count > 1 ? whole(one.count) : "",
        one.firing && one.state !== "acknowledged" && acts(me, one.kind)
          ? h("button", { type: "button", "data-key": `ack ${one.key}`, "aria-label": `${t("acknowledge")}: ${plain(one.title)}`, onclick: () => acknowledge(one) }, t("acknowledge")) : "",
      ]), [5]));
  }

  function acknowledge(one) {
    ask({
      title: t("acknowledge"), note: `${plain(one.title)} · ${one.entity}`, action: t("acknowledge"), t,
      fields: [{ name: "reason", label: t("why_maybe") }],
      done: async ({ reason }) => { await post(`${address(one.key)}/acknowledge`, { reason }); await load(); },
    });
  }

  async function hush() {
    const { items } = await get("/silences");
    const add = me.roles.some((role) => ["marketing", "security", "engineer"].includes(role))
      && h("button", { type: "button", onclick: () => askSilence({ matchers: {}, me, t, done: async (wish) => { await post("/silences", wish); await hush(); } }) }, t("new_silence"));
    fill(quiet, h("h2", {}, t("silences")), h("p", { class: "note" }, t("silences_note")), add,
      items.length ? table(t("silences"), [t("covers"), t("until"), t("state"), t("who"), t("why"), ""], items.map((one) => [
        Object.entries(one.matchers).map(([name, glob]) => `${t(`by ${name}`)} = ${glob}`).join(", "),
        moment(one.until_ms), t(`is ${one.state}`), one.ended_by ? t("ended_by", { who: one.by, by: one.ended_by }) : one.by, one.reason,
        one.state === "lasting" && acts(me, one.matchers.kind ?? "security") ? h("button", { type: "button", onclick: () => stop(one) }, t("end")) : "",
      ])) : h("p", { class: "note" }, t("no_silences")));
  }

  function stop(one) {
    ask({
      title: t("end"), note: one.reason, action: t("end"), t, fields: [{ name: "reason", label: t("why_maybe") }],
      done: async ({ reason }) => { await post(`/silences/${one.id}/end`, { reason }); await hush(); },
    });
  }

  function tally() {
    const sums = new Map();
    for (const told of feeds.values()) {
      for (const [name, number] of Object.entries(told.counts)) {
        const level = name.split("/")[1];
        sums.set(level, (sums.get(level) ?? 0) + number);
      }
    }
    counts.hidden = limited;
    fill(counts, SEVERITIES.slice(0, 4).map((name) => h("section", { class: "card" },
      h("div", { class: "label" }, t("firing_at", { level: t(name) })),
      h("div", { class: `figure ${sums.get(name) && name !== "low" && name !== "medium" ? "down" : ""}` }, whole(sums.get(name) ?? 0)))));
  }

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(() => Promise.all([load(), limited || hush()]).catch((error) => fill(rows, h("p", { class: "state bad", role: "alert" }, error.message))), SOON_MS);
  }

  const hear = (name) => (told) => {
    feeds.set(name, told);
    tally();
    soon();
  };
  tally();
  await Promise.all([load(), limited || hush()]);
  const stops = [listen("alerts", hear("alerts")), ...(seesStaff ? [listen("findings", hear("findings"))] : [])];
  return () => {
    clearTimeout(timer);
    for (const one of stops) one();
  };
}
