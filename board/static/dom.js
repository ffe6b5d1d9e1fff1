// Elements without a framework: h("p", { class: "note", onclick: f }, "text", child, ...). Text is never read as HTML.

export function h(name, attributes = {}, ...children) {
  const element = name.startsWith("svg:")
    ? document.createElementNS("http://www.w3.org/2000/svg", name.slice(4))
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "style") Object.assign(element.style, value); // set by script: no inline style that a policy forbids
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// What is drawn anew under somebody's hands leaves the keyboard where it was, and tables as far aside as they were moved.
export function fill(element, ...children) {
  const held = element === document.activeElement || !element.contains(document.activeElement) ? null : document.activeElement;
  const nth = held && alike(element, held).indexOf(held);
  const moved = [...element.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  if (moved.some((left) => left)) element.querySelectorAll(".scroll").forEach((one, i) => { one.scrollLeft = moved[i] ?? 0; });
  if (held) {
    const now = alike(element, held);
    (now[nth] ?? now[0])?.focus({ preventScroll: true });
  }
  return element;
}

const mark = (one) => [one.dataset.key, one.getAttribute("href"), one.getAttribute("aria-label"), one.getAttribute("name")].join("|");
const alike = (element, held) => [...element.querySelectorAll(held.tagName)].filter((one) => mark(one) === mark(held));

// A sentence with `commands` in it.
export const coded = (text) => text.split("`").map((part, i) => (i % 2 ? h("code", {}, part) : part));

// A table with a caption for those who cannot see where it stands. rows: arrays of cells, each a text or an element.
export function table(caption, heads, rows, numbers = []) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {},
      h("caption", { class: "unseen" }, caption),
      h("thead", {}, h("tr", {}, heads.map((head, i) => h("th", { scope: "col", class: numbers.includes(i) && "number" }, head)))),
      h("tbody", {}, rows.map((row) =>
        h("tr", {}, row.map((cell, i) => h("td", { class: numbers.includes(i) && "number" }, cell ?? "–")))))));
}
