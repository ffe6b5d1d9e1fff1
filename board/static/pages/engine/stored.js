// What Redis holds, and which versions run.

import { get } from "/static/api.js";
import { fill, h, table } from "/static/dom.js";
import { decimal, percent, whole } from "/static/numbers.js";
import { said } from "/static/phrases.js";

const AGAIN_MS = 15_000;
const UNITS = ["B", "kB", "MB", "GB", "TB"];

export function bytes(value) {
  const step = value > 0 ? Math.min(UNITS.length - 1, Math.floor(Math.log10(value) / 3)) : 0;
  return `${decimal(value / 1000 ** step, step > 1 ? 1 : 0)} ${UNITS[step]}`;
}

export function stored(root, { t }) {
  const held = h("section", { class: "card" }, h("h2", {}, t("state_size")), h("p", { class: "state" }, t("loading")));
  const versions = h("section", { class: "card" });
  root.append(held, versions);

  async function look() {
    try {
      show(await get("/engine/state"));
    } catch (error) {
      fill(held, h("h2", {}, t("state_size")), h("p", { class: "down", role: "alert" }, error.message));
    }
  }

  function show({ footprint: it, versions: run }) {
    const total = it.shares.reduce((sum, share) => sum + share.bytes, 0) || 1;
    fill(held, h("h2", {}, t("state_size")),
      h("p", { class: "note" }, t("state_note", { n: whole(it.picked), used: bytes(it.used_bytes), peak: bytes(it.peak_bytes) }), " ",
        it.limit_bytes > 0 && t("of_limit", { limit: bytes(it.limit_bytes) }), " ", t("memory_note", { keys: whole(it.keys) })),
      it.shares.length ? table(t("state_size"), [t("flow"), t("kind"), t("keys"), t("size"), t("each"), t("share")],
        it.shares.slice(0, 12).map((one) => [one.flow || "–", said(one.kind, "held"), whole(one.keys), bytes(one.bytes), bytes(one.bytes / Math.max(1, one.keys)), percent(one.bytes / total, 0)]), [2, 3, 4, 5])
        : h("p", { class: "note" }, t("forbidden_look")));
    fill(versions, h("h2", {}, t("versions")), h("dl", { class: "pairs" }, Object.entries(run).flatMap(([name, text]) => [h("dt", {}, name), h("dd", {}, text || "–")])));
  }

  look();
  const timer = setInterval(look, AGAIN_MS);
  return () => clearInterval(timer);
}
