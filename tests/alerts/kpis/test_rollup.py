"""What stays of minutes that are forgotten equals the brute-force sum of all that was counted."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.kpis.kpi import Counts
from alerts.kpis.reading import counters, records, slots
from alerts.kpis.rollup import FIVE, HOURS, Kept, Rollup, fold_ms, step_of
from features.loop import Store
from tests.alerts.kpis.test_exactness import (
    END_MS,
    HOUR_MS,
    MINUTE_MS,
    RETENTION_HOURS,
    cuts,
    interleaved,
    logs,
    merged,
    partials_of,
    repeated,
    tick,
)
from tests.oracle_kpis import HOURLY, SHIPPED, Chain

DAY_MS = 24 * HOUR_MS
START_MS = END_MS - 100 * HOUR_MS


def brute_force(chain: Chain, minutes: int) -> dict[tuple[str, int], dict[str, int]]:
    """(dimension, start of the slot) → sums of its minutes, without zeros."""
    sums: dict[tuple[str, int], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for (dim, minute_ms), counted in chain.minutes.items():
        if minutes == 60 or dim.partition(":")[0] not in HOURLY:
            for name, number in counted.items():
                sums[dim, minute_ms - minute_ms % (minutes * MINUTE_MS)][name] += number
    return {key: {name: n for name, n in sorted(counts.items()) if n} for key, counts in sums.items()}


def read(stores: dict[int, Store], minutes: int) -> dict[tuple[str, int], dict[str, int]]:
    """The same out of the records of all partitions, as a board finds them."""
    found = {}
    for store in stores.values():
        dims = {name.split("|", 1)[1] if step_of(name) else name for name in store.records if "watch|" not in name}
        for dim in {name.rpartition("|")[0] for name in dims}:
            names = records(dim, minutes, START_MS, END_MS)
            stored = {name: store.records[name] for name in names if name in store.records}
            for at_ms, counts in slots(stored, minutes, START_MS, END_MS).items():
                if minutes == 60 or dim.partition(":")[0] not in HOURLY:
                    told = counters(SHIPPED, counts)
                    found[dim, at_ms] = {name: n for name, n in sorted(told.items()) if n}
    return found


@given(logs, cuts, cuts, st.sampled_from([0, 1, 3, 30]), st.data())
@settings(max_examples=15, deadline=None)
def test_five_minutes_and_hours_equal_the_sum_of_all_minutes_before_and_after_these_are_forgotten(
    logs, before, after, hours, data
):
    chain, now_ms = Chain(RETENTION_HOURS), END_MS + hours * HOUR_MS
    for log in logs:
        chain.count(log)
    ends = [tick(source, now_ms) for source in "pq"] + [tick(source, now_ms + 1) for source in "pq"]
    sources = [partials_of(number, log + ends, before) for number, log in enumerate(logs)]
    messages = interleaved(data.draw, [repeated(data.draw, store.sent) for store in sources])
    stores = merged(messages, after)
    for minutes in (5, 60):
        found, expected = read(stores, minutes), brute_force(chain, minutes)
        assert {key: counts for key, counts in found.items() if counts} == {k: c for k, c in expected.items() if c}


@given(
    st.lists(st.dictionaries(st.integers(0, 40), st.integers(-(10**15), 10**15), max_size=8), max_size=12), st.data()
)
def test_a_rollup_is_read_as_it_was_written_whatever_columns_come_when(rows: list[Counts], data: st.DataObject):
    raw, numbers = None, data.draw(st.permutations(range(5_880_000, 5_880_000 + len(rows))))
    for number, counts in zip(numbers, rows, strict=True):
        rollup = Rollup(5, raw)
        rollup.add(number, counts)
        raw = rollup.packed()
    expected = {number: {c: n for c, n in counts.items() if n} for number, counts in zip(numbers, rows, strict=True)}
    assert Rollup(5, raw).slots() == expected


def test_a_record_of_another_layout_is_refused():
    rollup = Rollup(5)
    rollup.add(1, {0: 2})
    with pytest.raises(ValueError, match="has layout 9, expected 1"):
        Rollup(5, b"\x09" + rollup.packed()[1:])


def test_a_rollup_is_dropped_when_its_time_has_passed():
    kept = Kept(five_minutes_days=14, hours_days=400)
    record = FIVE.record("store:0012", START_MS // HOUR_MS)
    assert FIVE.end_ms(record) - START_MS <= DAY_MS
    assert (kept.days(FIVE), kept.days(HOURS)) == (14, 400)


def test_minutes_are_not_all_forgotten_at_once_and_never_while_something_may_come_for_them():
    hour = START_MS // HOUR_MS
    ends = [fold_ms(f"store:{number}", hour, RETENTION_HOURS) for number in range(1_000)]
    least = (hour + 1 + RETENTION_HOURS) * HOUR_MS
    assert all(least <= end_ms < least + HOUR_MS for end_ms in ends)
    busiest = max(sum(end_ms // MINUTE_MS == minute for end_ms in ends) for minute in {e // MINUTE_MS for e in ends})
    assert busiest < 40, "of a thousand stores, by the minute"
