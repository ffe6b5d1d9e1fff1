// Reads a customer's record as it stands in Redis; the bytes are described in features/record.py.
//
//   redis-cli --raw HGET 'bl:{customers.3}:records' c1f0… | head -c -1 | node docs/decode-record.mjs 29
//
// The argument is the number of cells of the record's layout (redis-cli HGETALL bl:layouts). Prints JSON; hashes are
// decimal texts, and so are the values of tables, as unsigned whole numbers.

import { readFileSync } from "node:fs";

export function decodeRecord(bytes, width) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const u8 = () => view.getUint8(at++);
  const u32 = () => view.getUint32((at += 4) - 4, true);
  const u64 = () => view.getBigUint64((at += 8) - 8, true);
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = BigInt(u8());
      value |= (byte & 127n) << shift;
      if (byte < 128n) return value;
    }
  };
  const number = () => Number(varint());
  const signed = () => {
    const raw = varint();
    return Number((raw >> 1n) ^ -(raw & 1n));
  };
  const float = () => {
    const bits = new DataView(new ArrayBuffer(4));
    bits.setUint32(0, number(), true); // its bytes are turned
    return bits.getFloat32(0);
  };
  const list = (read) => Array.from({ length: number() }, read);
  const cells = () => {
    const mask = varint();
    return Array.from({ length: width }, (_, m) => ((mask >> BigInt(m)) & 1n ? signed() : 0));
  };
  const waiting = () => {
    const at_ms = number();
    if (!at_ms) return null;
    return { at_ms, due_ms: number(), told_ms: number(), gap_ms: number(), rhythm_ms: number(), row: list(float) };
  };
  const spending = () => {
    const at_ms = number();
    return at_ms ? { at_ms, end_ms: number(), due_ms: number(), cents: signed(), row: list(float) } : null;
  };
  const later = () => {
    const from_ms = number();
    if (!from_ms) return null;
    if (number()) return { from_ms, ...waiting() };
    return { from_ms, at_ms: number(), due_ms: number(), rhythm_ms: number(), told_ms: 0, gap_ms: 0, row: null };
  };

  const whole = () => {
    const raw = varint();
    return BigInt.asUintN(64, (raw >> 1n) ^ -(raw & 1n));
  };
  let newest_ms = 0; // of any type
  const latest = () => {
    const pair = [number(), number()];
    newest_ms = Math.max(newest_ms, pair[1]);
    return pair;
  };
  const table = () => {
    const head = number();
    const weighed_ms = head & 1 ? newest_ms - signed() : 0;
    const value = head & 2 ? u64 : whole;
    return { table: head >> 2, weighed_ms, pairs: list(() => [String(varint()), String(value())]) };
  };

  const version = u8();
  if (version !== 6) throw new Error(`record version ${version}, this reads version 6`);
  return {
    layout: u32(),
    zone: u32(),
    wake_ms: number(),
    first_order_ms: number(),
    deals: list(() => String(u64())),
    seen: list(() => String(u64())),
    last_ms: Object.fromEntries(list(latest)),
    complaints: list(() => String(u64())),
    consent: Object.fromEntries(list(() => [u32(), [number(), number() > 0]])),
    timers: list(() => [u32(), number(), number()]),
    waiting: waiting(),
    spending: spending(),
    later: later(),
    tables: list(table),
    lifetime: cells(),
    panes: list(() => ({ level: number(), number: number(), day: number(), cells: cells() })),
    ledger: Buffer.from(bytes.subarray(at)).toString("hex"), // MessagePack
  };
}

if (process.argv[2]) {
  console.log(JSON.stringify(decodeRecord(new Uint8Array(readFileSync(0)), Number(process.argv[2]))));
}
