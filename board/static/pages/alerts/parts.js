// What the list and the page of one alert share.

import { h } from "/static/dom.js";
import { said } from "/static/phrases.js";

const STATES = { firing: "bad", "not sent": "bad", held: "warn", acknowledged: "warn", silenced: "low", resolved: "good", closed: "good" };

export const chip = (text, kind) => h("span", { class: `chip ${kind}` }, text);
export const severity = (name, t) => chip(t(name), name);
export const state = (name, t) => chip(t(`is ${name}`), STATES[name] ?? "low");
export const kind = (name, t) => t(`kind ${name}`);
export const plain = (title) => said(title, "title").replaceAll("_", " ");
export const address = (key) => `/alerts/${encodeURIComponent(key)}`;

// Whether they have a say on alerts of this kind; the server decides, this only hides what would be refused.
export function acts({ roles }, kind) {
  return kind === "security" ? roles.includes("security") : roles.includes("marketing") || roles.includes("engineer");
}

// Asks for words before something is done. fields: [{ name, label, value, needed, options }]; done(said) returns a promise.
// What the server refuses is said in the dialog, which stays.
export function ask({ title, note, fields, action, t, done }) {
  const wrong = h("p", { class: "down", role: "alert", hidden: true });
  const inputs = fields.map(({ name, label, value = "", needed, options, hint }) => {
    const input = options
      ? h("select", { name }, options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)))
      : h("input", { name, value, required: needed, placeholder: hint, autocomplete: "off", maxlength: 500 });
    return h("label", {}, label, input);
  });
  const go = h("button", { class: "main", type: "submit" }, action);
  const form = h("form", { class: "ask", method: "dialog", onsubmit: send }, h("h2", {}, title), note && h("p", { class: "note" }, note), inputs, wrong,
    h("div", { class: "bar" }, go, h("button", { type: "button", onclick: () => dialog.close() }, t("cancel"))));
  const dialog = h("dialog", { "aria-label": title, onclose: () => dialog.remove() }, form);
  document.body.append(dialog);
  dialog.showModal();

  async function send(event) {
    event.preventDefault();
    go.disabled = true;
    try {
      await done(Object.fromEntries(new FormData(form)));
      dialog.close();
    } catch (error) {
      wrong.textContent = error.message;
      wrong.hidden = false;
      go.disabled = false;
    }
  }
}

// matchers: what a silence begins with.
export function askSilence({ matchers, me, t, done }) {
  const names = ["kind", "severity", "entity", "rule", "store", "dim", "series", "model", "key"];
  const kinds = ["kpi", "service", "model", "experiment", "security"].filter((kind) => acts(me, kind));
  const rows = names.filter((name) => name === "kind" || matchers[name] !== undefined || ["entity", "rule", "store"].includes(name));
  ask({
    title: t("silence"), note: t("silence_note"), action: t("silence"), t,
    fields: [
      ...rows.map((name) => ({
        name, label: t(`by ${name}`), value: matchers[name] ?? "", hint: "*",
        options: name === "kind" ? kinds.map((one) => [one, kind(one, t)]) : undefined,
      })),
      { name: "last", label: t("how_long"), value: "2h", options: [["30m", "30 min"], ["2h", "2 h"], ["8h", "8 h"], ["1d", t("a_day")], ["7d", t("a_week")]] },
      { name: "reason", label: t("why"), needed: true },
    ],
    done: ({ last, reason, ...said }) => done({ matchers: Object.fromEntries(Object.entries(said).filter(([, glob]) => glob)), last, reason }),
  });
}
