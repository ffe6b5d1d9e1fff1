// How the flows run: throughput, lag, latency, what they could not use, and what Redis holds.

import { get } from "/static/api.js";
import { chart } from "/static/charts.js";
import { fill, h, table } from "/static/dom.js";
import { listen } from "/static/live.js";
import { age, decimal, moment, took, whole } from "/static/numbers.js";
import { words } from "/static/pages/engine.words.js";
import { said } from "/static/phrases.js";
import { bytes, stored } from "/static/pages/engine/stored.js";
import { letters } from "/static/pages/engine/letters.js";

export { words };

const KEPT = 600; // points of a chart: ten minutes
const LINES = 4; // of a chart: the busiest flows

export async function open(root, context) {
  const { t } = context;
  const banner = h("div", { role: "status" });
  const figures = h("div", { class: "cards engine-figures" });
  const charts = h("div", { class: "wide" });
  const flows = h("section", { class: "card" });
  const partitions = h("details", { class: "card" });
  const processes = h("section", { class: "card" });
  const past = { at: [], flows: {} };
  let drawn = null;
  let named = "";

  root.append(h("p", { class: "note" }, t("engine_note")), banner, figures, charts, flows, partitions, processes);
  fill(figures, h("p", { class: "state" }, t("waiting")));

  function hear(now) {
    remember(now);
    const running = now.flows.filter((flow) => flow.up);
    state(now);
    const sum = (name) => running.reduce((total, flow) => total + flow[name], 0);
    const customers = running.find((flow) => flow.name === "customers");
    fill(figures,
      card(t("records_s"), whole(sum("records_per_s")), t("records_note")),
      card(t("lag"), whole(sum("lag")), t("lag_note")),
      card(t("latency"), took(customers?.p99_ms), t("latency_note", { p50: took(customers?.p50_ms) })),
      card(t("outbox"), whole(sum("outbox")), t("outbox_note")),
      card(t("dead_s"), decimal(sum("dead_per_s"), 1)));
    list(now);
    draw(running);
  }

  const card = (label, value, note) => h("section", { class: "card" }, h("div", { class: "label" }, label), h("div", { class: "figure" }, value), note && h("div", { class: "note" }, note));

  function state({ processes: all }) {
    const wrong = all.flatMap((one) => one.complaints.map((line) => `${one.named}: ${said(line, "complaint")}`));
    const lost = all.filter((one) => !one.up && one.since_ms).map((one) => `${one.named} (${one.address}): ${t("down")}, ${t("since", { at: clock(one.since_ms) })}`);
    const told = [...lost, ...wrong];
    const text = !all.some((one) => one.up) ? t("none") : told.join(" · ") || t("all_well");
    const kind = told.length || !all.some((one) => one.up) ? "banner" : "banner good";
    if (banner.textContent !== text) fill(banner, text);
    banner.className = kind;
  }

  function list(now) {
    const heads = [t("flow"), t("state"), t("per_s"), t("batch"), t("lag"), t("p50"), t("p99"), t("outbox"), t("committed"), t("stages")];
    fill(flows, h("h2", {}, t("flows")), table(t("flows"), heads, now.flows.map((flow) => [
      flow.name, flow.up ? h("span", { class: "up" }, t("running")) : h("span", { class: "down" }, t("away", { at: clock(flow.seen_ms) })),
      decimal(flow.records_per_s, 1), decimal(flow.batch_records, 1), whole(flow.lag), took(flow.p50_ms), took(flow.p99_ms), whole(flow.outbox),
      flow.commit_age_s < 0 ? "–" : t("ago", { age: age(flow.commit_age_s * 1000) }), stages(flow.stages_ms),
    ]), [2, 3, 4, 5, 6, 7, 8]));
    const was = partitions.open;
    fill(partitions, h("summary", {}, t("partitions")), was && table(t("partitions"), [t("flow"), t("partition"), t("lag"), t("committed")],
      now.flows.flatMap((flow) => flow.partitions.map((one) => [flow.name, one.partition, one.lag < 0 ? "–" : whole(one.lag), one.commit_age_s < 0 ? "–" : t("ago", { age: age(one.commit_age_s * 1000) })])), [2, 3]));
    fill(processes, h("h2", {}, t("processes")), h("p", { class: "note" }, t("processes_note")),
      table(t("processes"), [t("address"), t("state"), t("runs"), t("process_memory"), t("cpu"), t("complaints")], now.processes.map((one) => [
        h("div", {}, one.address, h("div", { class: "note" }, one.named)),
        h("span", { class: one.up ? "up" : "down" }, one.up ? t("up") : t("down"), " ", one.since_ms ? t("since", { at: clock(one.up ? one.started_ms || one.since_ms : one.since_ms) }) : t("never")),
        one.flows.join(", "), one.up ? bytes(one.memory_bytes) : "–", one.up ? `${Math.round(one.cpu_share * 100)} %` : "–",
        one.up ? (one.complaints.length ? h("span", { class: "down" }, one.complaints.map((line) => said(line, "complaint")).join("; ")) : t("ok")) : said(one.why, "complaint"),
      ]), [3, 4]));
  }

  // What a batch takes, as one bar of its stages; the names and times are its text.
  function stages(found) {
    const all = Object.entries(found);
    const total = all.reduce((sum, [, took]) => sum + took, 0);
    if (!total) return "–";
    return h("div", {}, h("div", { class: "engine-stages", "aria-hidden": "true" }, all.map(([, took], i) => h("i", { class: `s${i % 4}`, style: { width: `${(took / total) * 100}%` } }))),
      h("div", { class: "note" }, all.map(([name, took]) => `${name} ${decimal(took, 1)}`).join(", "), " ms"));
  }

  function remember({ at_ms: at, flows: found }) {
    past.at.push(at / 1000);
    for (const flow of found) past.flows[flow.name] ??= { records_per_s: [], lag: [], p50_ms: [], p99_ms: [] };
    for (const [name, columns] of Object.entries(past.flows)) {
      const flow = found.find((one) => one.name === name && one.up);
      for (const [key, column] of Object.entries(columns)) {
        while (column.length < past.at.length - 1) column.unshift(null);
        column.push(flow && flow[key] >= 0 ? flow[key] : null);
        if (column.length > KEPT) column.shift();
      }
    }
    if (past.at.length > KEPT) past.at.shift();
  }

  function draw(running) {
    const busiest = [...running].sort((a, b) => b.records_per_s - a.records_per_s).slice(0, LINES).map((flow) => flow.name).sort();
    const timed = running.filter((flow) => past.flows[flow.name].p99_ms.some((value) => value !== null)).map((flow) => flow.name);
    const timedFlow = timed.includes("customers") ? "customers" : timed[0];
    if (!drawn || (named !== `${timedFlow}` && timedFlow)) {
      for (const one of drawn ?? []) one.close();
      named = `${timedFlow}`;
      drawn = [
        [chart({ title: t("chart_records"), lines: busiest.map((label) => ({ label })), format: whole, t }), busiest, "records_per_s"],
        [chart({ title: t("chart_lag"), lines: busiest.map((label) => ({ label })), format: whole, t }), busiest, "lag"],
      ].map(([one, names, key]) => ({ ...one, columns: () => names.map((name) => past.flows[name]?.[key] ?? []) }));
      if (timedFlow) {
        const one = chart({ title: `${t("chart_latency")} · ${timedFlow}`, lines: [{ label: "p50" }, { label: "p99" }], format: (value) => decimal(value, 0), t });
        drawn.push({ ...one, columns: () => [past.flows[timedFlow].p50_ms, past.flows[timedFlow].p99_ms] });
      }
      fill(charts, drawn.map((one) => one.root));
    }
    for (const one of drawn) one.draw([past.at, ...one.columns()]);
  }

  const { at_ms: times, flows: curves } = await get("/engine/curves");
  past.at = times.map((at) => at / 1000);
  past.flows = curves;
  const stops = [listen("engine", hear)];
  const more = [stored(root, context), letters(root, context)];
  return () => {
    for (const one of [...stops, ...more]) one();
    for (const one of drawn ?? []) one.close();
  };
}

const clock = (at) => moment(at);
