"""Which share of an hour lies in a holiday or a campaign."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alerts.kpis.expectation import Moment
from alerts.kpis.seasons import Seasons, joined
from config.settings import load
from features.times import HOUR_MS, MINUTE_MS, parse_time
from flows.seasons import load_seasons

spans = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), max_size=6)


@given(spans, st.integers(0, 6))
def test_it_is_the_share_of_minutes_that_lie_in_any_span(some: list[tuple[int, int]], hour: int) -> None:
    whole = joined([(first * MINUTE_MS, last * MINUTE_MS) for first, last in some])
    inside = [any(first <= minute < last for first, last in some) for minute in range(60 * hour, 60 * hour + 60)]
    assert Seasons(whole, whole).moment(hour) == Moment(sum(inside) / 60, sum(inside) / 60)


def test_shipped_holidays_are_days_where_the_stores_are() -> None:
    seasons = load_seasons(load(environ={}))
    first_ms = parse_time("2026-10-01T00:00:00+08:00")
    assert seasons.moment(first_ms // HOUR_MS).holiday == 1
    assert seasons.moment(first_ms // HOUR_MS - 1 - 24).holiday == 0
