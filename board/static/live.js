// One stream of events for the page that is open. listen("kpis", f) returns what stops it; state: "live", "stale", "cut".

const STALE_MS = 15_000; // the server gives a sign of life every 5 s
const listeners = new Map();
const watchers = new Set();
let source = null;
let heardAt = 0;
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
  source.onopen = heard;
  source.addEventListener("pulse", heard);
  for (const feed of listeners.keys()) {
    source.addEventListener(feed, (event) => {
      heard();
      const told = JSON.parse(event.data);
      for (const hear of listeners.get(feed) ?? []) hear(told);
    });
  }
  source.onerror = report;
}

function heard() {
  heardAt = Date.now();
  report();
}

function report() {
  const age = Date.now() - heardAt;
  const state = source?.readyState === EventSource.OPEN ? (age > STALE_MS ? "stale" : "live") : "cut";
  for (const tell of watchers) tell(state, age);
}

setInterval(report, 1000);
queueMicrotask(join); // a page without feeds, too, tells whether the board is there
