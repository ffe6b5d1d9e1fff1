// Numbers and times as people of the chain read them. Amounts are integer cents.

import { language } from "/static/words.js";

let zone = "Asia/Shanghai";
export function useZone(name) {
  zone = name;
}

const tag = () => (language() === "zh" ? "zh-CN" : "en-GB");
export const whole = (value) => (value === null || value === undefined ? "–" : Math.round(value).toLocaleString(tag()));
export const money = (cents) => (cents === null || cents === undefined ? "–"
  : (cents / 100).toLocaleString(tag(), { minimumFractionDigits: 2, maximumFractionDigits: 2 }));
export const percent = (share, digits = 1) => (share === null || share === undefined ? "–"
  : `${(share * 100).toLocaleString(tag(), { minimumFractionDigits: digits, maximumFractionDigits: digits })} %`);
export const decimal = (value, digits = 2) => (value === null || value === undefined ? "–"
  : value.toLocaleString(tag(), { maximumFractionDigits: digits }));
export const clock = (ms) => new Date(ms).toLocaleTimeString(tag(), { hour: "2-digit", minute: "2-digit", timeZone: zone });
export const moment = (ms) => (ms ? new Date(ms).toLocaleString(tag(), {
  month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", timeZone: zone }) : "–");
export const age = (ms) => (ms < 90_000 ? `${Math.round(ms / 1000)} s` : ms < 5_400_000 ? `${Math.round(ms / 60_000)} min`
  : ms < 172_800_000 ? `${Math.round(ms / 3_600_000)} h` : `${Math.round(ms / 86_400_000)} d`);
export const zoneName = () => zone;
