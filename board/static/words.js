// The two languages. A page keeps its words beside it: export const words = { en: {...}, zh: {...} }.

const KEY = "brewline.language";

export function language() {
  return localStorage.getItem(KEY) ?? (navigator.language.startsWith("zh") ? "zh" : "en");
}

export function speak(tongue) {
  localStorage.setItem(KEY, tongue);
}

// t("left", { n: 3 }) for { left: "{n} left" }. A word that is missing shows as its key: a test finds it.
export function say(...books) {
  const tongue = language();
  document.documentElement.lang = tongue === "zh" ? "zh-CN" : "en";
  const all = Object.assign({}, ...books.map((book) => book[tongue]));
  return (key, values = {}) => (all[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}
