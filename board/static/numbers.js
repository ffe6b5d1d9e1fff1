// Numbers and times as people of the chain read them. Amounts are integer cents.

import { language } from "./words.js";

let zone = "Asia/Shanghai";
export function useZone(name) {
  zone = name;
  shapes.clear();
}

const tag = () => (language() === "zh" ? "zh-CN" : "en-GB");
const CLOCK = { hour: "2-digit", minute: "2-digit" };
const SECOND = { ...CLOCK, second: "2-digit" };
const MOMENT = { month: "short", day: "numeric", ...CLOCK };
const shapes = new Map(); // to make one takes as long as a hundred uses of it

function shape(name, make) {
  if (!shapes.has(name)) shapes.set(name, make());
  return shapes.get(name);
}

function timed(name, parts, ms) {
  return shape(name, () => new Intl.DateTimeFormat(tag(), { ...parts, timeZone: zone })).format(ms);
}

function number(value, least, most) {
  return shape(`${least} ${most}`, () => new Intl.NumberFormat(tag(), { minimumFractionDigits: least, maximumFractionDigits: most })).format(value);
}

const missing = (value) => value === null || value === undefined;
export const whole = (value) => (missing(value) ? "–" : number(Math.round(value), 0, 0));
export const money = (cents) => (missing(cents) ? "–" : number(cents / 100, 2, 2));
export const percent = (share, digits = 1) => (missing(share) ? "–" : `${number(share * 100, digits, digits)} %`);
export const decimal = (value, digits = 2) => (missing(value) ? "–" : number(value, 0, digits));
export const clock = (ms) => timed("clock", CLOCK, ms);
export const second = (ms) => timed("second", SECOND, ms);
export const moment = (ms) => (ms ? timed("moment", MOMENT, ms) : "–");
// A sentence of the engine's with its times as the chain's clocks show them.
export const dated = (text) => text.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z/g, (time) => moment(Date.parse(time)));
// How long it took.
export const took = (ms) => (missing(ms) || ms < 0 ? "–" : ms < 10 ? `${decimal(ms, 1)} ms` : ms < 1000 ? `${whole(ms)} ms` : `${decimal(ms / 1000, 1)} s`);
export const age = (ms) => (ms < 90_000 ? `${Math.round(ms / 1000)} s` : ms < 5_400_000 ? `${Math.round(ms / 60_000)} min`
  : ms < 172_800_000 ? `${Math.round(ms / 3_600_000)} h` : `${Math.round(ms / 86_400_000)} d`);
export const zoneName = () => zone;
