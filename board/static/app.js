// The frame around every page: who you are, where you can go, how fresh what you see is.

import { get, Failed, post } from "/static/api.js";
import { restyleAll } from "/static/charts.js";
import { fill, h } from "/static/dom.js";
import { onState } from "/static/live.js";
import { age, useZone } from "/static/numbers.js";
import { words as shell } from "/static/shell.words.js";
import { language, say, speak } from "/static/words.js";

const page = document.getElementById("page");
let t = say(shell);
let me = null;
let shown = null;
let turn = 0;

// A page's module exports words and open(root, context), which returns what closes it.
// context: { t, me, id, query, go(path), guard(promise) }; id: what stands behind the page's name in the address.
async function show() {
  const mine = ++turn;
  const [, name = "now", ...rest] = location.pathname.split("/");
  shown?.close?.();
  shown = null;
  mark(name);
  document.title = `${t(name)} · Brewline`;
  fill(page, state("loading"));
  try {
    if (!me.pages.includes(name)) {
      const { status } = await fetch(location.pathname, { method: "HEAD" });
      return mine === turn && fill(page, state(status === 404 ? "lost" : "forbidden"));
    }
    const module = await import(`/static/pages/${name}.js`);
    if (mine !== turn) return;
    const context = {
      t: say(shell, module.words), me, id: decodeURIComponent(rest.join("/")), query: new URLSearchParams(location.search), go,
    };
    const root = h("div", { class: `page ${name}`, "aria-busy": "true", "data-busy": t("loading") }, h("h1", {}, t(name)));
    fill(page, root);
    const close = await module.open(root, context);
    if (mine !== turn) return close?.(); // somebody went on meanwhile
    shown = { close };
    root.removeAttribute("aria-busy");
  } catch (error) {
    if (mine !== turn) return;
    if (error instanceof URIError) fill(page, state("lost")); // an address with half a character in it
    else fail(error);
  }
}

function fail(error) {
  fill(page, h("div", { class: "state bad", role: "alert" }, h("h1", {}, t("failed")), h("p", {}, error.message),
    h("button", { type: "button", onclick: show }, t("again"))));
  if (!(error instanceof Failed)) throw error;
}

function state(key) {
  return h("p", { class: "state", role: "status" }, t(key));
}

function go(path) {
  history.pushState(null, "", path);
  show();
  page.focus({ preventScroll: true });
  scrollTo(0, 0);
}

function mark(name) {
  for (const link of document.querySelectorAll("#pages a")) {
    if (link.dataset.page !== name) {
      link.removeAttribute("aria-current");
      continue;
    }
    link.setAttribute("aria-current", "page");
    link.scrollIntoView({ block: "nearest", inline: "center" }); // on a phone the pages stand in a row that scrolls
  }
}

function frame() {
  document.querySelector(".skip").textContent = t("skip");
  const pages = document.getElementById("pages");
  pages.setAttribute("aria-label", t("pages"));
  fill(pages, me.pages.map((name) => h("a", { href: `/${name}`, "data-page": name }, t(name))));
  const fresh = h("span", { class: "fresh", role: "status" });
  let before = "";
  onState((what, ms) => {
    const text = t(what, { age: age(ms) });
    if (text === before) return;
    before = text;
    fresh.className = `fresh ${what}`;
    fresh.textContent = text;
  });
  fill(document.getElementById("top"), h("a", { class: "brand", href: "/now" }, "Brewline"), fresh,
    h("span", { class: "who" }, me.name), themes(),
    h("button", { class: "quiet", type: "button", onclick: () => { speak(language() === "zh" ? "en" : "zh"); location.reload(); } }, t("language")),
    h("button", { class: "quiet", type: "button", onclick: leave }, t("leave")));
}

function themes() {
  const now = localStorage.getItem("brewline.theme") ?? "auto";
  return h("select", { "aria-label": t("theme"), onchange: (event) => { localStorage.setItem("brewline.theme", event.target.value); dress(); restyleAll(); } },
    ["auto", "light", "dark"].map((name) => h("option", { value: name, selected: name === now }, t(name))));
}

function dress() {
  const theme = localStorage.getItem("brewline.theme") ?? "auto";
  if (theme === "auto") document.documentElement.removeAttribute("data-theme");
  else document.documentElement.dataset.theme = theme;
}

async function leave() {
  await post("/leave");
  location.assign("/");
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='/']");
  if (!link || event.defaultPrevented || event.metaKey || event.ctrlKey || event.shiftKey || link.target) return;
  event.preventDefault();
  go(link.getAttribute("href"));
});
addEventListener("popstate", show);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", restyleAll);

dress();
try {
  me = await get("/me");
  useZone(me.zone);
  frame();
  await show();
} catch (error) {
  fail(error);
}
