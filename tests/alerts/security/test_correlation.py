"""A group's memory is bounded, and what it forgets is counted."""

from __future__ import annotations

import pytest
from alerts.security.correlation import MAX_EVENTS, Correlation, Counted, Group, observe
from hypothesis import given
from hypothesis import strategies as st

from alerts.security import correlation
from alerts.security.finding import EVIDENCE, Rule

RULE = Rule("r", "r", "r", "high", ())


def counting(threshold: float, kind: str = "event_count") -> Correlation:
    return Correlation(RULE, kind, frozenset({0}), ("actor",), 60_000, "1m", threshold, True, "object")  # type: ignore[arg-type]


def test_a_group_keeps_no_more_than_its_bound() -> None:
    group = Group()
    for n in range(MAX_EVENTS + 10):
        observe(group, counting(10**9), Counted(n * 60_000, 1, f"e{n}"), 0)
    assert (len(group.events), group.forgotten) == (MAX_EVENTS, 10)
    assert group.events[0].at_ms == 10 * 60_000


def test_an_event_before_all_that_a_full_group_keeps_is_not_judged() -> None:
    group = Group([Counted(n, 1) for n in range(100, MAX_EVENTS + 100)])
    assert observe(group, counting(1), Counted(1, 1, "late"), 0) is None
    assert (len(group.events), group.events[0].at_ms, group.forgotten) == (MAX_EVENTS, 100, 1)


def test_the_largest_threshold_that_loads_can_still_be_reached() -> None:
    group, rule = Group([Counted(n, n) for n in range(MAX_EVENTS - 3)]), counting(MAX_EVENTS - 1, "value_count")
    assert observe(group, rule, Counted(MAX_EVENTS, MAX_EVENTS), 0) is None
    window = observe(group, rule, Counted(MAX_EVENTS + 1, MAX_EVENTS + 1), 0)
    assert window is not None
    assert window.observed == MAX_EVENTS - 1


def summing(threshold: float, timespan_ms: int) -> Correlation:
    return Correlation(
        RULE, "value_sum", frozenset({0}), ("actor",), timespan_ms, "1h", threshold, inclusive=False, field="rows"
    )


def test_many_small_exports_reach_the_limit_of_a_sum_as_soon_as_few_large_ones() -> None:
    group, rule = Group(), summing(10_000, 3_600_000)
    windows = [observe(group, rule, Counted(n * 600, 2, f"e{n}"), 0) for n in range(6_000)]
    (window,) = (window for window in windows if window)
    assert windows.index(window) == 5_000, "the first that brings more than 10000 rows out within an hour"
    assert (window.observed, window.events) == (10_002, 5_001)
    assert 0 <= window.started_ms <= 3_600_000 // correlation.CELLS
    assert window.evidence == [f"e{n}" for n in range(5_001 - EVIDENCE, 5_001)]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), min_size=60, max_size=300))
def test_a_sum_of_many_events_is_never_less_than_that_of_its_window_nor_more_than_of_one_a_little_longer(
    steps: list[tuple[int, int]],
) -> None:
    group, rule, seen, now_ms = Group(), summing(0, 1_600), [], 0
    with pytest.MonkeyPatch.context() as small:
        small.setattr(correlation, "MAX_EVENTS", 50)
        small.setattr(correlation, "CELLS", 16)
        for step_ms, value in steps:
            now_ms += step_ms
            seen.append((now_ms, value))
            window = observe(group, rule, Counted(now_ms, value), now_ms)
            group.fired_ms.clear()
            assert window is not None
            assert held(seen, now_ms, 1_600) <= window.observed <= held(seen, now_ms, 1_600 + 2 * 100)
            assert len(group.events) <= 50
    assert group.forgotten == 0


def held(seen: list[tuple[int, int]], now_ms: int, span_ms: int) -> int:
    return sum(value for at_ms, value in seen if at_ms > now_ms - span_ms)


def test_a_late_event_among_many_that_are_added_up_is_judged_at_its_own_time() -> None:
    group = Group([Counted(n, 1) for n in range(MAX_EVENTS)])
    window = observe(group, summing(0, 3_600_000), Counted(100, 7, "late"), 0)
    assert window is not None
    assert (window.observed, window.events, window.evidence) == (MAX_EVENTS + 7, MAX_EVENTS + 1, ["late"])
    assert Counted(100, 7, "late") in group.events


def test_an_event_of_before_all_that_counts_is_not_judged() -> None:
    group, rule = Group(), counting(1)
    assert observe(group, rule, Counted(10_000, 1, "too late"), 130_000) is None
    assert group == Group()
    assert observe(group, rule, Counted(10_001, 1, "just in time"), 130_000) is not None


def test_only_the_latest_events_keep_their_ids() -> None:
    group = Group()
    for n in range(100):
        observe(group, counting(10**9), Counted(n, 1, f"e{n}"), 0)
    assert [event.id for event in group.events if event.id] == [f"e{n}" for n in range(100 - EVIDENCE, 100)]


def test_the_heaviest_of_the_windows_around_an_event_is_reported() -> None:
    group = Group([Counted(0, 1, "a"), Counted(59_000, 1, "b"), Counted(80_000, 1, "c"), Counted(81_000, 1, "d")])
    window = observe(group, counting(2), Counted(30_000, 1, "late"), 0)
    assert window is not None
    assert (window.observed, window.started_ms, window.evidence) == (4, 30_000, ["b", "c", "d", "late"])


def test_a_group_without_a_text_field_counts_nothing() -> None:
    assert counting(1, "value_count").value({"object": ""}) is None
    assert counting(1, "value_count").value({"object": "c1"}) != counting(1, "value_count").value({"object": "c2"})


def test_an_export_of_nothing_cannot_push_others_out() -> None:
    rule = Correlation(RULE, "value_sum", frozenset({0}), ("actor",), 60_000, "1m", 1, True, "rows")
    assert rule.value({"rows": 0}) is None
    assert rule.value({"rows": 7}) == 7


def test_a_rule_that_counts_something_else_starts_afresh() -> None:
    fields = {"actor": "a", "store": "s", "object": "o", "purpose": "p"}
    names = {
        Correlation(RULE, "value_count", frozenset({0}), group, 60_000, "1m", 1, True, field).record(fields)
        for group in (("actor",), ("actor", "store"))
        for field in ("object", "purpose")
    }
    assert len(names) == 4


def test_a_record_is_read_back_as_it_was() -> None:
    group = Group([Counted(1, 2**64 - 1, "a")], [1], 3)
    assert correlation.decode_group(correlation.encode_group(group)) == group


def test_groups_have_records_of_their_own() -> None:
    rule = Correlation(RULE, "event_count", frozenset({0}), ("store", "actor"), 60_000, "1m", 1, True)
    names = {rule.record({"store": store, "actor": actor}) for store, actor in [("a", "bc"), ("ab", "c"), ("", "abc")]}
    assert len(names) == 3
