"""What an earlier version has kept is read, and counted on."""

from __future__ import annotations

from msgspec import msgpack

from alerts.kpis.hour import decode_hour as merged_hour
from alerts.kpis.kpi import Row, counts_of
from alerts.kpis.partials import decode_counts, decode_hour
from features.loop import Store
from tests.alerts.kpis.test_partials import HOUR_MS, JOB, MINUTE_MS, NOON_MS, batches, chain, ev, order, run

KEPT = [3, 2700, 9, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0]  # a list by column, of the thirteen that there were


def test_an_hour_of_a_partition_kept_as_lists_is_counted_on():
    store = Store(records={f"chain:*|{NOON_MS // HOUR_MS}": msgpack.encode({0: KEPT})})
    run(JOB, batches("events", 1, [ev.encode(order())]), {1: store})
    found = chain(store)[NOON_MS]
    assert (found["orders"], found["revenue_cents"], found["items"], found["visits"]) == (4, 3600, 12, 5)


def test_an_hour_of_the_merge_kept_as_lists_is_read_and_its_parts_replaced():
    minute = NOON_MS // MINUTE_MS
    raw = msgpack.encode([[minute], {minute: msgpack.encode({0: (7, KEPT), 1: (2, KEPT)})}])
    hour = merged_hour(raw)
    assert hour.sums(minute, 24)[1][:7] == [6, 5400, 18, 0, 0, 0, 10]
    assert not hour.take(0, Row("chain:*", NOON_MS, {0: 9}, 7))
    assert hour.take(0, Row("chain:*", NOON_MS, counts_of(KEPT), 8))
    assert hour.take(1, Row("chain:*", NOON_MS, {0: 1}, 3))
    assert hour.sums(minute, 24)[1][:7] == [4, 2700, 9, 0, 0, 0, 5]


def test_lists_and_columns_are_the_same_counts():
    counts = {0: 3, 1: 2700, 2: 9, 6: 5}
    kept = decode_hour(msgpack.encode({4: KEPT, 5: counts, 6: msgpack.encode(counts)}))
    assert {minute: decode_counts(each) for minute, each in kept.items()} == {4: counts, 5: counts, 6: counts}
