// Sentences that the core writes and keeps in English, told in the language of the page. What no phrase fits stays as it is.
//
// A phrase is a pair of templates. A blank's kind is what may stand in it: `{kpi}`, or `{other:kpi}` under a name of its
// own. A kind is one of KINDS below, a group of phrases, or a list of them ("joined"); with `?`, what does not fit is kept.

import { words as kpis } from "./kpis.words.js"; // relative, so that it can be read without a server
import { dated, moment } from "./numbers.js";
import { groups, joined } from "./phrases/zh.js";
import { language } from "./words.js";

const UNITS = { s: "秒", m: "分钟", h: "小时", d: "天" };
const WEEKDAYS = { mon: "周一", tue: "周二", wed: "周三", thu: "周四", fri: "周五", sat: "周六", sun: "周日" };
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const MANY = 5_000; // sentences that are remembered

// What a text of a kind is in Chinese; null: it is none.
const KINDS = {
  text: (text) => text,
  word: (text) => (/\s/.test(text) ? null : text),
  name: (text) => (/[:;()]|, /.test(text) ? null : text),
  number: (text) => (/^[-+]?[\d.,]+(e[-+]?\d+)?%?$/.test(text) ? text : null),
  time: (text) => (/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?Z$/.test(text) ? moment(Date.parse(text)) : null),
  weekday: (text) => WEEKDAYS[text] ?? null,
  span, day, kpi,
};

// By the words that pages have for KPIs; those of a chain's own keep their names.
function kpi(text) {
  const name = text.replaceAll(" ", "_");
  if (!/^[a-z]\w*$/.test(name)) return null;
  return name === "offline" ? "离线" : kpis.zh[name] ?? kpis.zh[`${name}_cents`] ?? text;
}

function span(text) {
  const rhythms = text.match(/^([\d.]+) rhythms?$/);
  if (rhythms) return `${rhythms[1]} 个下单周期`;
  return /^\d+[smhd]$/.test(text) ? text.replace(/[smhd]$/, (unit) => ` ${UNITS[unit]}`) : null;
}

// "Mon 4 May 2026 12:30", on the clocks of the customer.
function day(text) {
  const [weekday, date, month, year, clock, ...more] = text.split(" ");
  const number = MONTHS.indexOf(month) + 1;
  return number && clock && !more.length && WEEKDAYS[weekday.toLowerCase()] ? `${year}年${number}月${date}日 ${WEEKDAYS[weekday.toLowerCase()]} ${clock}` : null;
}

// Phrases by group, those with the most letters of their own first: "offline low" comes before "{kpi} low".
const made = Object.fromEntries(Object.entries(groups).map(([group, phrases]) => [group, phrases.map(([from, to]) => phrase(group, from, to)).sort((a, b) => b.own - a.own)]));

function phrase(group, from, to) {
  const parts = from.split(/\{([\w:?]+)\}/).map((part, i) => {
    if (i % 2 === 0) return part;
    const [name, kind] = part.split(":");
    const bare = name.replace("?", "");
    return { name: bare, kind: kind ?? (bare in KINDS || bare in groups || bare in joined ? name : "text") };
  });
  const own = parts.reduce((sum, part) => sum + (part.kind === group ? 1_000 : part.length ?? 0), 0); // what goes on after a whole one comes first
  return { parts, to: to.split(/\{(\w+)\}/), key: `${group}: ${from}`, own };
}

// { text, by }: what it is in Chinese, and the phrases that say so; null where none do.
export function told(text, kind) {
  if (kind.endsWith("?")) return told(text, kind.slice(0, -1)) ?? { text, by: [] };
  if (kind in KINDS) {
    const known = KINDS[kind](text);
    return known === null ? null : { text: known, by: [] };
  }
  if (kind in joined) return list(text, joined[kind]);
  for (const one of made[kind]) {
    const found = fit(one.parts, 0, text);
    if (found) return { text: one.to.reduce((text, part, i) => spaced(text, i % 2 ? found[part].text : part), ""), by: [one.key, ...Object.values(found).flatMap((part) => part.by)] };
  }
  return null;
}

// Latin letters and digits stand a little apart from Chinese ones.
function spaced(before, after) {
  const apart = (/[\u4e00-\u9fff]$/.test(before) && /^[A-Za-z0-9]/.test(after)) || (/[A-Za-z0-9%]$/.test(before) && /^[\u4e00-\u9fff]/.test(after));
  return before + (apart ? " " : "") + after;
}

// The blanks of a template, as a text fills them.
function fit(parts, at, text) {
  if (!text.startsWith(parts[at])) return null;
  const rest = text.slice(parts[at].length);
  if (at === parts.length - 1) return rest ? null : {};
  const { name, kind } = parts[at + 1];
  const next = parts[at + 2];
  const first = !next && at + 2 === parts.length - 1 ? rest.length : 1;
  for (let end = rest.indexOf(next, first); end >= 1 && end <= rest.length; end = end < rest.length ? rest.indexOf(next, end + 1) : -1) {
    const more = fit(parts, at + 2, rest.slice(end));
    const mine = more && told(rest.slice(0, end), kind);
    if (mine) return { ...more, [name]: mine };
  }
  return null;
}

// Items that stand behind each other; `by`: what is between them, and what is in Chinese.
function list(text, { of, by: [between, then] }) {
  for (let at = text.indexOf(between); at >= 0; at = text.indexOf(between, at + 1)) {
    const head = told(text.slice(0, at), of);
    const rest = head && list(text.slice(at + between.length), { of, by: [between, then] });
    if (rest) return { text: head.text + then + rest.text, by: [...head.by, ...rest.by] };
  }
  return told(text, of);
}

const known = new Map();

// A sentence of the core's as the page tells it, its times as the chain's clocks show them.
export function said(text, kind) {
  if (!text || language() !== "zh") return dated(text ?? "");
  const key = `${kind} ${text}`;
  if (!known.has(key)) {
    if (known.size >= MANY) known.clear();
    known.set(key, told(text, kind)?.text ?? dated(text));
  }
  return known.get(key);
}
