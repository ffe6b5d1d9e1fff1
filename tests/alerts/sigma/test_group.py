"""A group's memory is bounded, and what it forgets is counted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.security.finding import EVIDENCE, Rule, digest
from alerts.sigma import group as groups
from alerts.sigma import sketch
from alerts.sigma.correlating import Correlation, Limit, Part
from alerts.sigma.group import MAX_EVENTS, Group, Last, Open, Window, decode_group, encode_group
from alerts.sigma.measure import Counted
from alerts.sigma.panes import Pane
from alerts.sigma.reading import load

RULE = Rule("r", "r", "r", "high", ())
PARTS = (Part("r", 0, False),)


def observe(group: Group | Open, rule: Correlation, event: Counted, now_ms: int) -> Window | None:
    return groups.observe(group if isinstance(group, Open) else Open(group, rule), event, now_ms)


def opened(rule: Correlation) -> tuple[Group, Open]:
    group = Group()
    return group, Open(group, rule)


def counting(threshold: float, kind: str = "event_count", timespan_ms: int = 60_000, op: str = "gte") -> Correlation:
    limits = (Limit(op, threshold),)
    return Correlation(RULE, kind, PARTS, ("actor",), timespan_ms, "1m", limits, ("object",))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["value_percentile", "temporal"])
def test_a_group_keeps_no_more_than_its_bound(kind: str) -> None:
    group = Group()
    for n in range(MAX_EVENTS + 10):
        observe(group, counting(10**9, kind), Counted(n * 60_000, 1, f"e{n}"), 0)
    assert (len(group.events), group.forgotten) == (MAX_EVENTS, 10)
    assert group.events[0].at_ms == 10 * 60_000


@pytest.mark.parametrize("threshold", [MAX_EVENTS - 1, 20_000])
def test_a_count_of_any_height_is_reached_when_it_should_be(threshold: int) -> None:
    rule = counting(threshold, timespan_ms=3_600_000)
    group, open = opened(rule)
    windows = [observe(open, rule, Counted(n * 100, 1, f"e{n}"), 0) for n in range(threshold + 5)]
    assert [n for n, window in enumerate(windows) if window] == [threshold - 1]
    assert group.forgotten == 0


def test_more_different_values_than_a_group_keeps_are_counted_within_5_percent() -> None:
    rule = counting(20_000, "value_count", timespan_ms=3_600_000)
    group, open = opened(rule)
    fired = next(n for n in range(30_000) if observe(open, rule, Counted(n * 50, hashed(n), f"e{n}"), n * 50))
    assert abs(fired - 20_000) < 1_000
    assert len(encode_group(group)) < 50_000
    assert group.forgotten == 0


def test_repeats_never_push_different_values_out() -> None:
    rule = counting(30, "value_count", timespan_ms=3_600_000)
    group, open = opened(rule)
    values = [*range(29), *[0] * (2 * MAX_EVENTS), 29]
    windows = [observe(open, rule, Counted(n * 10, hashed(value), f"e{n}"), 0) for n, value in enumerate(values)]
    assert [n for n, window in enumerate(windows) if window] == [len(values) - 1]
    assert not group.panes


def test_sketches_go_when_their_timespan_is_over() -> None:
    rule = counting(4_500, "value_count")
    group, open = opened(rule)
    for n in range(5_000):
        observe(open, rule, Counted(n, hashed(n), f"e{n}"), n)
    assert group.panes
    assert observe(open, rule, Counted(200_000, 7, "later"), 200_000) is None
    assert not group.panes


def hashed(value: int) -> int:
    return int.from_bytes(digest((str(value),), 8), "big")


@pytest.mark.parametrize("different", [1, 100, 10_000, 60_000])
def test_a_sketch_is_within_8_percent(different: int) -> None:
    registers = sketch.empty()
    for n in range(different):
        sketch.add(registers, hashed(n))
        sketch.add(registers, hashed(n // 2))
    assert abs(sketch.estimate([registers, sketch.empty()]) - different) <= 0.08 * different


def test_an_event_before_all_that_a_full_group_keeps_is_not_judged() -> None:
    group = Group([Counted(n, 1) for n in range(100, MAX_EVENTS + 100)])
    assert observe(group, counting(1, "value_median"), Counted(1, 1, "late"), 0) is None
    assert (len(group.events), group.events[0].at_ms, group.forgotten) == (MAX_EVENTS, 100, 1)


def summing(threshold: float, timespan_ms: int) -> Correlation:
    return counting(threshold, "value_sum", timespan_ms, "gt")


def test_many_small_exports_reach_the_limit_of_a_sum_as_soon_as_few_large_ones() -> None:
    rule = summing(10_000, 3_600_000)
    _, open = opened(rule)
    windows = [observe(open, rule, Counted(n * 600, 2, f"e{n}"), 0) for n in range(6_000)]
    (window,) = (window for window in windows if window)
    assert windows.index(window) == 5_000, "the first that brings more than 10000 rows out within an hour"
    assert (window.observed, window.events) == (10_002, 5_001)
    assert 0 <= window.started_ms <= 3_600_000 // groups.CELLS
    assert window.evidence == [f"e{n}" for n in range(5_001 - EVIDENCE, 5_001)]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), min_size=60, max_size=300))
def test_a_sum_of_many_events_is_never_less_than_that_of_its_window_nor_more_than_of_one_a_little_longer(
    steps: list[tuple[int, int]],
) -> None:
    rule, seen, now_ms = summing(0, 1_600), [], 0
    group, open = opened(rule)
    with pytest.MonkeyPatch.context() as small:
        small.setattr(groups, "MAX_EVENTS", 50)
        small.setattr(groups, "CELLS", 16)
        for step_ms, value in steps:
            now_ms += step_ms
            seen.append((now_ms, value))
            window = observe(open, rule, Counted(now_ms, value), now_ms)
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


def grouped(rule: Correlation, event: dict[str, Any]) -> float | None:
    return rule.value(event, 1)


def test_a_group_without_a_text_field_counts_nothing() -> None:
    assert grouped(counting(1, "value_count"), {}) is None
    one, other = (grouped(counting(1, "value_count"), {"object": name}) for name in ("c1", "c2"))
    assert one != other


def test_an_export_of_nothing_cannot_push_others_out() -> None:
    assert grouped(summing(1, 60_000), {"object": 0}) is None
    assert grouped(summing(1, 60_000), {"object": 7}) == 7


CORRELATED = """title: views
name: views
detection: {{s: {{a: 1}}, condition: s}}
logsource: {{product: x}}
---
title: exports
name: exports
detection: {{s: {{a: 2}}, condition: s}}
logsource: {{product: x}}
---
title: counted
id: 00000000-0000-4000-8000-000000000001
correlation: {{type: {type}, rules: {rules}, group-by: {by}, timespan: {span}, condition: {{{limit}}}}}
"""


@pytest.mark.parametrize(
    ("edited", "same"),
    [
        ({"limit": "gte: 99, field: b"}, True),
        ({"span": "1h"}, True),
        ({"limit": "lt: 3, field: b"}, False),
        ({"limit": "gte: 3, field: c"}, False),
        ({"type": "value_sum"}, False),
        ({"by": "[actor, store]"}, False),
        ({"by": "[store]"}, False),
        ({"rules": "[exports]"}, False),
        ({"rules": "[views, exports]"}, False),
    ],
    ids=str,
)
def test_a_rule_that_counts_something_else_or_in_another_way_starts_afresh(edited: dict[str, str], same: bool) -> None:
    def record(words: dict[str, str]) -> str:
        rules, refused = load([("f.yml", CORRELATED.format(**words))])
        assert not refused
        return rules.correlations[0].record(["ann"])

    written = {"type": "value_count", "rules": "[views]", "by": "[actor]", "span": "10m", "limit": "gte: 3, field: b"}
    assert (record(written | edited) == record(written)) is same


def closing(limits: tuple[Limit, ...], kind: str = "value_count") -> Correlation:
    return Correlation(
        RULE,
        kind,
        PARTS,
        ("actor",),
        600_000,
        "10m",
        limits,
        ("object",),
        rising=False,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("limits", "fires"),
    [((Limit("lt", 4_000),), 0), ((Limit("eq", 1),), 0), ((Limit("gte", 4_000), Limit("lte", 6_000)), 1)],
)
def test_a_whole_window_of_more_values_than_a_group_keeps_is_not_said_to_have_few(
    limits: tuple[Limit, ...], fires: int
) -> None:
    rule, group = closing(limits), Group()
    for n in range(10_000):
        assert groups.wait(group, rule, Counted(n, hashed(min(n, 5_000)), f"e{n}"), 0)
        assert len(group.events) <= MAX_EVENTS
    assert groups.wait(group, rule, Counted(700_000, hashed(1), "next"), 0)
    windows = groups.close(group, rule, 600_000)
    assert len(windows) == fires
    assert all(abs(window.observed - 5_001) < 300 and window.events == 10_000 for window in windows)
    assert (len(group.events), group.panes, group.opened_ms) == (1, [], 700_000)
    [window] = groups.close(group, closing((Limit("eq", 1),)), 1_300_000)
    assert (window.observed, window.evidence, window.started_ms) == (1, ["next"], 700_000)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)), min_size=1, max_size=60))
def test_windows_with_sketches_end_where_those_without_do(steps: list[tuple[int, int]]) -> None:
    rule = closing((Limit("gte", 0), Limit("lte", 10**9)))
    group, at_ms, seen = Group(), 0, []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(groups, "MAX_EVENTS", 8)
        for n, (step, value) in enumerate(steps):
            at_ms += step * 10_000
            seen.append((at_ms, value))
            groups.wait(group, rule, Counted(at_ms, hashed(value), f"e{n}"), 0)
        found = [(w.started_ms, w.events, round(w.observed)) for w in groups.close(group, rule, 10**9)]
    expected, opened_ms = list[list[tuple[int, int]]](), -(10**9)
    for each in seen:
        if each[0] >= opened_ms + rule.timespan_ms:
            opened_ms = each[0]
            expected.append([])
        expected[-1].append(each)
    assert found == [(held[0][0], len(held), len({value for _, value in held})) for held in expected]


def test_each_whole_window_is_a_finding_of_its_own_however_far_the_clock_is_behind() -> None:
    rule, group = closing((Limit("gte", 1), Limit("lte", 1_000)), "event_count"), Group()
    for n in range(120):
        groups.wait(group, rule, Counted(n * 10_000, 1, f"e{n}"), 0)
    assert [window.id for window in groups.close(group, rule, 10**9)] == ["e59", "e119"]


def test_a_late_event_that_decides_is_named() -> None:
    for later in range(EVIDENCE - 2, EVIDENCE + 3):
        _, open = opened(rule := counting(40, timespan_ms=3_600_000))
        for n in range(39):
            observe(open, rule, Counted(n * 1_000, 1, f"e{n}"), 0)
        window = observe(open, rule, Counted((39 - later) * 1_000 - 500, 1, "late"), 0)
        assert window is not None
        assert (window.id, window.evidence[-1]) == ("late", "late")


def test_a_record_is_read_back_as_it_was() -> None:
    pane = Pane(0, 5, 2, bytearray(b"\1\2"))
    group = Group([Counted(1, 2**64 - 1, "a"), Counted(1, 0.5)], [1], 3, [pane], 7, 9, Last("r", ("a",), b"x"))
    assert decode_group(encode_group(group)) == group


def test_a_record_of_before_is_read() -> None:
    assert decode_group(b"\x93\x91\x94\x01\x07\xa1a\x01\x91\x01\x03") == Group([Counted(1, 7, "a")], [1], 3)


def test_groups_have_records_of_their_own() -> None:
    names = {counting(1).record(values) for values in [("a", "bc"), ("ab", "c"), ("", "abc")]}
    assert len(names) == 3
