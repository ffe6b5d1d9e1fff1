// For who is not signed in: name and password, or the company's sign-in, or a link.
import { Failed, get, post } from "/static/api.js";
import { fill, h } from "/static/dom.js";
import { language, say, speak } from "/static/words.js";

export const words = {
  en: {
    title: "Sign in to Brewline", name: "Name", password: "Password", enter: "Sign in", company: "Sign in through the company",
    how: "Or open the link you were given: it works once, for ten minutes. An engineer makes one with `brewline users link`.",
    used: "This link has been used, or is too old: ask for another.", language: "中文",
  },
  zh: {
    title: "登录 Brewline", name: "用户名", password: "密码", enter: "登录", company: "通过公司账号登录",
    how: "也可以打开收到的登录链接：十分钟内有效，仅可使用一次。工程师可用 `brewline users link` 生成。",
    used: "该链接已使用或已过期，请重新获取。", language: "English",
  },
};
const t = say(words);
document.title = `${t("enter")} · Brewline`;

const tried = location.pathname.startsWith("/enter/"); // by a link that opened nothing
const told = h("p", { role: "alert", class: "down" }, tried && t("used"));
const name = h("input", { name: "name", autocomplete: "username", required: true });
const password = h("input", { name: "password", type: "password", autocomplete: "current-password", required: true });
const button = h("button", { class: "main", type: "submit" }, t("enter"));
const company = h("p", {});
const form = h("form", { onsubmit: enter },
  h("label", {}, h("span", {}, t("name")), name),
  h("label", {}, h("span", {}, t("password")), password), button, told);

document.getElementById("page").append(h("section", { class: "card" }, h("h1", {}, t("title")), form, company,
  h("p", { class: "note" }, t("how")),
  h("button", { class: "quiet", type: "button", onclick: () => { speak(language() === "zh" ? "en" : "zh"); location.reload(); } }, t("language"))));

async function enter(event) {
  event.preventDefault();
  button.disabled = true;
  told.textContent = "";
  try {
    await post("/enter", { name: name.value, password: password.value });
    location.assign(tried || location.pathname === "/" ? "/now" : location.pathname + location.search);
  } catch (error) {
    told.textContent = error.message;
    password.value = "";
    password.focus();
    if (!(error instanceof Failed)) throw error;
  } finally {
    button.disabled = false;
  }
}

const doors = await get("/doors");
if (doors.company) fill(company, h("a", { href: "/company" }, t("company")));
