// One stream of events for the page that is open. listen("kpis", f) returns what stops it; state: "live", "stale", "cut".

import { get } from "/static/api.js";

const STALE_MS = 15_000; // the server gives a sign of life every 5 s, and says which feeds it could not look at
const AGAIN_MS = 3_000;
const listeners = new Map();
const watchers = new Set();
let source = null;
let heardAt = 0;
let wholeAt = 0; // when no feed was lost
let joined = null;

export function listen(feed, hear) {
  if (!listeners.has(feed)) listeners.set(feed, new Set());
  listeners.get(feed).add(hear);
  queueMicrotask(join);
  return () => {
    listeners.get(feed)?.delete(hear);
    if (!listeners.get(feed)?.size) listeners.delete(feed);
    queueMicrotask(join);
  };
}

export function onState(tell) {
  watchers.add(tell);
  return () => watchers.delete(tell);
}

function join() {
  const feeds = [...listeners.keys()].sort().join(",");
  if (feeds === joined) return;
  joined = feeds;
  source?.close();
  source = new EventSource(`/api/v1/live?feeds=${feeds}`);
  source.onopen = whole;
  source.addEventListener("pulse", (event) => (JSON.parse(event.data).lost.length ? heard() : whole()));
  for (const feed of listeners.keys()) {
    source.addEventListener(feed, (event) => {
      heard();
      const told = JSON.parse(event.data);
      for (const hear of listeners.get(feed) ?? []) hear(told);
    });
  }
  source.onerror = () => {
    report();
    if (source.readyState === EventSource.CLOSED) setTimeout(again, AGAIN_MS, source); // refused: the browser has given up
  };
}

async function again(refused) {
  if (source !== refused) return;
  try {
    await get("/me"); // whose session is over is shown how to sign in
  } catch {
    // the board is away, or too much was asked
  }
  joined = null;
  join();
}

function whole() {
  wholeAt = Date.now();
  heard();
}

function heard() {
  heardAt = Date.now();
  report();
}

function report() {
  const age = Date.now() - Math.min(heardAt, wholeAt);
  const state = source?.readyState === EventSource.OPEN ? (age > STALE_MS ? "stale" : "live") : "cut";
  for (const tell of watchers) tell(state, age);
}

setInterval(report, 1000);
queueMicrotask(join); // a page without feeds, too, tells whether the board is there
