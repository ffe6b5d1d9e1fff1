// A question before a model's champion changes; what comes of it, or what is refused, is said in the dialog.

import { h } from "/static/dom.js";

export function ask(question, t, done) {
  const said = h("p", { role: "status" });
  const go = h("button", { class: "main", type: "button", onclick: send }, t("yes"));
  const dialog = h("dialog", { "aria-label": question, onclose: () => dialog.remove() }, h("p", {}, question), said,
    h("div", { class: "bar" }, go, h("button", { type: "button", onclick: () => dialog.close() }, t("cancel"))));
  document.body.append(dialog);
  dialog.showModal();

  async function send() {
    go.disabled = true;
    said.textContent = t("asking");
    try {
      const told = await done();
      if (!told) return dialog.close();
      said.textContent = told;
    } catch (error) {
      said.textContent = error.message;
      go.disabled = false;
    }
  }
}
