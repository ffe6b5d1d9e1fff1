"""Clocks that run only while a store is at work, against a walk minute by minute."""

from __future__ import annotations

from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from alerts.service.working import reach
from features.times import MINUTE_MS, parse_time


def walked(start_ms: int, minutes: int, hours: tuple[int, int], tz: str) -> int:
    at_ms = start_ms
    while minutes:
        wall = datetime.fromtimestamp(at_ms / 1000, timezone.utc).astimezone(ZoneInfo(tz))
        minutes -= hours[0] <= wall.hour * 60 + wall.minute < hours[1]
        at_ms += MINUTE_MS
    return at_ms


@pytest.mark.parametrize("tz", ["Asia/Shanghai", "Europe/Berlin", "Australia/Lord_Howe"])
@settings(max_examples=60, deadline=None)
@example(start=0, length=1, hours=(0, 1440))
@given(
    start=st.integers(0, 2 * 1440),
    length=st.integers(1, 1500),
    hours=st.tuples(st.integers(0, 1380), st.integers(30, 1440)).filter(lambda hours: hours[0] + 30 <= hours[1]),
)
def test_a_clock_that_rests_is_as_a_walk_through_its_working_minutes(
    tz: str, start: int, length: int, hours: tuple[int, int]
) -> None:
    """Over the weekend on which clocks change in Berlin; hours in which they do so are left out."""
    hours = (max(hours[0], 240), max(hours[1], 300))
    start_ms = parse_time("2026-03-28T00:00:00Z") + start * MINUTE_MS
    assert reach(start_ms, length * MINUTE_MS, hours, tz) == walked(start_ms, length, hours, tz)


def test_a_clock_without_hours_always_runs() -> None:
    assert reach(5, 10, None, "") == 15


def test_a_complaint_by_night_is_due_in_the_morning() -> None:
    night, morning = parse_time("2026-05-01T23:00:00+08:00"), parse_time("2026-05-02T09:30:00+08:00")
    assert reach(night, 30 * MINUTE_MS, (540, 1260), "Asia/Shanghai") == morning
