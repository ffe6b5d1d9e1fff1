// A customer's features as of a time: what matters most as cards, all of them as tables.

import { h, table } from "/static/dom.js";
import { decimal, moment, whole } from "/static/numbers.js";
import { said } from "/static/phrases.js";

export function profileOf({ t }, profile) {
  const values = Object.fromEntries(profile.groups.flatMap((group) => group.items.map((one) => [one.name, one.value])));
  return [
    profile.suppressed && h("p", { class: "banner" }, t("suppressed", { reason: said(profile.suppressed, "because"), until: profile.suppressed_until_ms ? t("until", { at: moment(profile.suppressed_until_ms) }) : t("until_lifted") })),
    h("div", { class: "cards" }, cards(t, values, profile).map(([name, value, more]) => h("section", { class: "card" }, h("div", { class: "label" }, t(name)),
      h("div", { class: "customer-fact" }, value ?? "–"), more && h("div", { class: "note" }, more)))),
    h("details", { class: "card" }, h("summary", {}, t("all_features")), h("h3", {}, t("counts")), counts(t, profile),
      h("div", { class: "wide" }, profile.groups.map((group) => h("div", {}, h("h3", {}, t({ rhythm: "rhythm_group", points: "points_group" }[group.name] ?? group.name)),
        table(group.name, [t("feature"), t("value")], group.items.map((one) => [named(t, one), plain(one.value)]), [1]))))),
  ];
}

function cards(t, values, profile) {
  const usual = ["usual_sku", "usual_size", "usual_sugar", "usual_ice"].map((name) => values[name]).filter(Boolean);
  const consents = profile.consents.map((one) => t("granted", { purpose: one.purpose, word: t(one.granted ? "yes" : "no"), at: moment(one.since_ms) }));
  const rhythm = values.rhythm_days === null || values.rhythm_days === undefined ? null : decimal(values.rhythm_days, 1);
  const spread = values.rhythm_spread_days;
  return [
    ["segment", values.segment], ["tier", values.tier], ["points", whole(values.points_balance)], ["store", values.favourite_store],
    ["usual", usual[0], usual.slice(1).join(", ")], ["rhythm", rhythm, spread === null || spread === undefined ? null : t("spread", { n: decimal(spread, 1) })],
    ["since", profile.first_order_ms ? moment(profile.first_order_ms) : null], ["consent", consents[0] ?? t("no_consent_known"), consents.slice(1).join("; ")],
    ...(profile.joined.length ? [["joined", profile.joined.join(", ")]] : []),
  ];
}

function counts(t, profile) {
  return table(t("counts"), [t("measure"), ...profile.windows], profile.measures.map((one) => [named(t, one), ...one.values.map((value) => (value === null ? "" : decimal(value, 0)))]),
    profile.windows.map((_, i) => i + 1));
}

function named(t, one) {
  return one.since_ms ? h("span", {}, one.name, h("span", { class: "note" }, ` ${t("counts_since", { at: moment(one.since_ms) })}`)) : one.name;
}

function plain(value) {
  return value === null ? "–" : typeof value === "string" ? value : decimal(value, 3);
}
