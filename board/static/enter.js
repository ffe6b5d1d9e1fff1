// For who is not signed in.
import { h } from "/static/dom.js";
import { say } from "/static/words.js";

const words = {
  en: { title: "Sign in", how: "Open the link you were given. It works once, for ten minutes; ask an engineer for another." },
  zh: { title: "登录", how: "请打开收到的链接。链接十分钟内有效，仅可使用一次；如需新链接，请联系工程师。" },
};
const t = say(words);
document.getElementById("page").append(h("section", { class: "card" }, h("h1", {}, t("title")), h("p", {}, t("how"))));
