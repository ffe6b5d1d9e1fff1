// Dead letters: searched, looked at, sent again.

import { get, post } from "/static/api.js";
import { fill, h, table } from "/static/dom.js";
import { listen } from "/static/live.js";
import { meant } from "/static/moments.js";
import { moment, whole } from "/static/numbers.js";
import { said as spoken } from "/static/phrases.js";
import { purpose, purposeChooser } from "/static/purpose.js";

const AT_ONCE = 500;
const AGAIN_MS = 10_000;

export function letters(root, { t, me }) {
  const asked = { reason: "", topic: "", q: "", from: "", to: "" };
  const mends = me.roles.includes("engineer");
  const note = h("p", { class: "note", role: "status" });
  const rows = h("div", {});
  const bar = h("form", { class: "bar", role: "search", onsubmit: (event) => event.preventDefault() });
  const more = h("button", { type: "button", hidden: true, onclick: () => look(shown.next) }, t("more"));
  const all = h("button", { type: "button", hidden: true, onclick: () => again(shown.items.slice(0, AT_ONCE).map((one) => one.id)) });
  let shown = { items: [], next: "" };
  let offered = "";
  let turn = 0;
  root.append(h("section", { class: "card", id: "letters" }, h("h2", {}, t("letters")), h("p", { class: "note" }, t("letters_note")), bar, note, rows, h("div", { class: "bar" }, more, mends && all)));

  async function look(after = "") {
    const mine = ++turn;
    try {
      const found = await get("/dead-letters", { reason: asked.reason, topic: asked.topic, q: asked.q, from_ms: meant(asked.from) || null, to_ms: meant(asked.to) || null, after, limit: after ? 50 : Math.min(500, Math.max(20, shown.items.length)) });
      if (mine !== turn) return; // something else was asked for meanwhile
      shown = { ...found, items: after ? [...shown.items, ...found.items] : found.items };
      offer();
      list();
    } catch (error) {
      if (mine === turn) fill(rows, h("p", { class: "state bad", role: "alert" }, error.message));
    }
  }

  // The filters are made anew only when there is a new topic or reason: nobody's choice is taken from under their hands.
  function offer() {
    const topics = [...new Set(shown.groups.map((group) => group.topic))].sort();
    const reasons = [...new Set(shown.groups.map((group) => group.reason))].sort();
    const now = [...topics, "", ...reasons].join("|");
    if (now === offered) return;
    offered = now;
    const pick = (name, label, options) => h("label", {}, label, h("select", { name, onchange: (event) => change(name, event.target.value) },
      ["", ...options].map((one) => h("option", { value: one, selected: one === asked[name] }, one ? `${spoken(one, "reason")} (${whole(count(name, one))})` : t("all")))));
    const when = (name, label) => h("label", {}, label, h("input", { type: "datetime-local", name, value: asked[name], onchange: (event) => change(name, event.target.value) }));
    fill(bar, pick("topic", t("topic"), topics), pick("reason", t("reason"), reasons), when("from", t("from")), when("to", t("to")),
      h("label", {}, t("text"), h("input", { type: "search", name: "q", value: asked.q, oninput: (event) => change("q", event.target.value) })));
  }

  const count = (name, one) => shown.groups.filter((group) => group[name] === one).reduce((sum, group) => sum + group.letters, 0);

  function change(name, value) {
    asked[name] = value;
    shown.items = [];
    look();
  }

  function list() {
    more.hidden = !shown.next;
    all.hidden = !shown.items.length;
    all.textContent = t("resend_all", { n: whole(Math.min(AT_ONCE, shown.items.length)) });
    if (shown.older) note.textContent = t("letters_older", { n: whole(shown.read), older: whole(shown.older) });
    if (!shown.items.length) return fill(rows, h("p", { class: "state", role: "status" }, t(shown.read ? "none_such" : "letters_none")));
    fill(rows, table(t("letters"), [t("time"), t("topic"), t("reason"), t("detail"), t("bytes"), ""], shown.items.map((one) => [
      moment(one.at_ms), h("div", {}, one.topic, h("div", { class: "note" }, one.id)), spoken(one.reason, "reason"), h("div", { class: "engine-detail" }, spoken(one.detail, "detail") || "–"), h("div", {}, whole(one.bytes), !one.whole && h("div", { class: "note" }, t("part_only"))),
      h("div", { class: "bar" }, h("button", { type: "button", "data-key": one.id, "aria-label": `${t("look")}: ${one.id}`, onclick: () => open(one) }, t("look"))),
    ]), [4]));
  }

  async function open(one) {
    const body = h("pre", { tabindex: "0" }, "…");
    const said = h("p", { class: "note", role: "status" }, t("masked"));
    const unmasks = h("button", { type: "button", disabled: !purpose(), onclick: unmask }, t("unmask"));
    const dialog = h("dialog", { class: "engine-letter", "aria-label": one.id, onclose: () => dialog.remove() }, h("h2", {}, one.id),
      h("p", {}, `${spoken(one.reason, "reason")}: ${spoken(one.detail, "detail") || "–"}`), body, said,
      mends && h("div", { class: "bar" }, purposeChooser(() => { unmasks.disabled = !purpose(); }), unmasks, h("button", { type: "button", onclick: () => { dialog.close(); again([one.id]); } }, t("resend"))),
      mends && h("p", { class: "note" }, t("purpose_note")),
      h("button", { class: "main", type: "button", onclick: () => dialog.close() }, t("close")));
    document.body.append(dialog);
    dialog.showModal();
    await show(`/dead-letters/${one.id}`);

    async function show(path, options) {
      try {
        const found = await get(path, {}, options);
        body.textContent = found.text;
        said.hidden = !found.masked;
      } catch (error) {
        said.hidden = false;
        said.textContent = error.message;
      }
    }
    function unmask() {
      show(`/dead-letters/${one.id}/record`, { purpose: purpose() });
    }
  }

  function again(ids) {
    const dialog = h("dialog", { "aria-label": t("resend"), onclose: () => dialog.remove() }, h("p", {}, t("resend_ask", { n: whole(ids.length) })),
      h("div", { class: "bar" }, h("button", { class: "main", type: "button", onclick: send }, t("resend")), h("button", { type: "button", onclick: () => dialog.close() }, t("cancel"))));
    document.body.append(dialog);
    dialog.showModal();

    async function send() {
      dialog.close();
      try {
        const { sent, left_out: left } = await post("/dead-letters/resend", { ids });
        note.textContent = t("resent", { sent: whole(sent), left: whole(left) });
      } catch (error) {
        note.textContent = error.message;
      }
      look();
    }
  }

  look();
  let seenAt = Date.now();
  // Asked anew when a flow tells of more, and no more often than a person reads.
  const stop = listen("engine", ({ flows }) => {
    if (Date.now() - seenAt < AGAIN_MS || !flows.some((flow) => flow.dead_per_s > 0) || document.querySelector("dialog[open]")) return;
    seenAt = Date.now();
    look();
  });
  return stop;
}
