// Times as a person types them, on the clocks of a zone.

import { zoneName } from "/static/numbers.js";

// "2026-05-04T12:30" for a field of the type datetime-local.
export function typed(ms, zone = zoneName()) {
  const parts = Object.fromEntries(new Intl.DateTimeFormat("en-CA", {
    timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
  }).formatToParts(new Date(ms)).map((part) => [part.type, part.value]));
  return `${parts.year}-${parts.month}-${parts.day}T${parts.hour}:${parts.minute}`;
}

// NaN: nothing is typed, or a year of which only a part is there yet.
export function meant(text, zone = zoneName()) {
  if (!/^[12]\d{3}-\d\d-\d\dT\d\d:\d\d$/.test(text)) return NaN;
  const asIfUtc = Date.parse(`${text}:00Z`);
  let ms = asIfUtc;
  for (let turn = 0; turn < 2; turn += 1) ms += asIfUtc - Date.parse(`${typed(ms, zone)}:00Z`); // twice, for clocks that change between
  return ms;
}
