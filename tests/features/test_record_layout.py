"""The documented bytes of a record are what the kernel writes: plain readers in two languages agree on them."""

from __future__ import annotations

import json
import math
import shutil
import struct
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict

from alerts.triggers.gifts import Then
from alerts.triggers.rule import After, Rule
from features import events as e
from features.kernel.words import hash_texts
from features.labels import labels_of
from features.loop import batches, run
from features.record import CorruptRecord, Record, WrongLayout, decode_record, encode_ledger
from features.times import parse_time
from features.zones import zone_name
from tests.alerts.triggers.jobs import CATALOG, customers_job, encoded
from tests.features.known import Known
from tests.features.streams import logs, with_ticks

ROOT = Path(__file__).parents[2]
LAYOUT, WIDTH = CATALOG.layout.id, CATALOG.cells
NOON_MS = parse_time("2026-05-04T12:00:00+08:00")
RULES = [
    Rule(id="cart", after=After("cart_add", "30m"), when="orders_1h = 0", then=Then("c"), cooldown="1d"),
    Rule(id="tea", on=["order"], when="orders_24h >= 2", then=Then("t"), cooldown="1d"),
]
JOB = customers_job(RULES, labels=labels_of(CATALOG))
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js, and there is none on PATH")


def read_by_javascript(raw: bytes) -> dict[str, Any]:
    command = ["node", "docs/decode-record.mjs", str(WIDTH)]
    return json.loads(subprocess.run(command, input=raw, cwd=ROOT, check=True, capture_output=True).stdout)


def in_json(record: Record) -> dict[str, Any]:
    """As the JavaScript reader writes it."""
    return {
        "layout": record.layout,
        "zone": record.zone,
        "wake_ms": record.wake_ms,
        "first_order_ms": record.first_order_ms,
        "deals": [str(hash) for hash in record.deals],
        "seen": [str(hash) for hash in record.seen],
        "last_ms": {str(kind): at_ms for kind, at_ms in record.last_ms.items()},
        "complaints": [str(hash) for hash in record.complaints],
        "consent": {str(purpose): list(word) for purpose, word in record.consent.items()},
        "timers": [list(timer) for timer in record.timers],
        "waiting": record.waiting and with_row(record.waiting),
        "spending": record.spending and with_row(record.spending),
        "later": record.later and with_row(record.later),
        "tables": [
            {
                "table": t.table,
                "weighed_ms": t.weighed_ms,
                "pairs": [[str(code), str(value)] for code, value in t.pairs],
            }
            for t in record.tables
        ],
        "lifetime": record.lifetime,
        "panes": [{"level": p.level, "number": p.number, "day": p.day, "cells": p.cells} for p in record.panes],
        "ledger": encode_ledger(record.ledger).hex() if record.ledger.fired_ms or record.ledger.issued_ms else "",
    }


def with_row(waiting: Any) -> dict[str, Any]:
    if waiting.row is None:
        return asdict(waiting)
    row = struct.unpack(f"<{len(waiting.row) // 4}f", waiting.row)
    return asdict(waiting) | {"row": [None if math.isnan(x) else x for x in row]}


@needs_node
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(logs(("ca",), longest=40).flatmap(with_ticks))
def test_javascript_reads_what_python_reads(log: list[e.Event]) -> None:
    store = run(JOB, batches("events", 0, encoded(log), [7, 19])).get(0)
    for raw in store.records.values() if store else ():
        assert read_by_javascript(raw) == in_json(decode_record(raw, LAYOUT, WIDTH))


def test_a_record_says_in_plain_what_its_events_were() -> None:
    known = Known(CATALOG)
    cart = e.CartAdd(id="a1", at_ms=NOON_MS, tz="Asia/Shanghai", sku="tea")
    consent = e.Consent(id="a2", at_ms=NOON_MS + 1, tz="Asia/Shanghai", purpose="marketing", granted=True)
    complaint = e.Complaint(id="a3", at_ms=NOON_MS + 2, tz="Asia/Shanghai", case="case 7")
    known.take(cart, consent, complaint)
    record = known.record
    assert zone_name(record.zone) == "Asia/Shanghai"
    assert record.consent == {crc32(b"marketing"): (NOON_MS + 1, True)}
    assert len(record.seen) == 3
    assert len(record.complaints) == 1
    assert [dict(zip(CATALOG.layout.cells, pane.cells, strict=True))["sum cart_add=1"] for pane in record.panes] == [1]


def test_the_hash_of_an_id_is_fnv_1a_with_murmur3_s_finalizer() -> None:
    def plainly(text: str) -> int:
        h, mask = 0xCBF29CE484222325, 2**64 - 1
        for byte in text.encode():
            h = (h ^ byte) * 0x100000001B3 & mask
        h = (h ^ h >> 33) * 0xFF51AFD7ED558CCD & mask
        h = (h ^ h >> 33) * 0xC4CEB9FE1A85EC53 & mask
        return h ^ h >> 33

    texts = ["", "o1", "茶-42", "x" * 128]
    found = hash_texts(texts)
    assert found.view(np.uint64).tolist() == [plainly(text) for text in texts]


def test_a_cut_or_foreign_record_is_refused_wherever_it_is_cut() -> None:
    known = Known(CATALOG)
    known.take(*(e.View(id=str(n), at_ms=NOON_MS + n * 900_000, tz="Asia/Shanghai") for n in range(9)))
    whole = known.raw
    for length in range(1, len(whole)):
        with pytest.raises((CorruptRecord, WrongLayout)):
            known.core.row(whole[:length], NOON_MS)
        with pytest.raises((CorruptRecord, WrongLayout)):
            decode_record(whole[:length], LAYOUT, WIDTH)
    for changed in (b"\x01" + whole[1:], whole[:1] + b"\0\0\0\0" + whole[5:]):
        with pytest.raises(WrongLayout):
            known.core.row(changed, NOON_MS)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_damaged_bytes_are_refused_or_read_and_never_end_the_process(data: st.DataObject) -> None:
    known = Known(CATALOG)
    known.take(*(e.Order(id=str(n), at_ms=NOON_MS + n, lines=[e.Line("t")], total_cents=1, tz="UTC") for n in range(3)))
    damaged = bytearray(known.raw)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(9, len(damaged) - 1))] = data.draw(st.sampled_from((0, 1, 127, 128, 255)))
    known.raw = bytes(damaged)
    with suppress(CorruptRecord):
        known.take(e.View(id="v", at_ms=NOON_MS + 10, tz="UTC"))
        known.row(NOON_MS)
