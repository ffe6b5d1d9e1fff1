"""Which share of an hour lies in a holiday or a campaign."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from alerts.kpis.book import Judging
from alerts.kpis.expectation import Moment
from alerts.kpis.judge import Judge
from alerts.kpis.seasons import Seasons, joined
from config.settings import load
from features.times import HOUR_MS, MINUTE_MS, parse_time
from flows.followed import EVERY_S
from flows.kpis import follow_files
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


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York"])
def test_what_lasts_until_the_last_day_there_is_lasts_for_ever(tmp_path: Path, zone: str) -> None:
    for folder in ("campaigns", "calendars"):
        (tmp_path / folder).mkdir()
    (tmp_path / "campaigns" / "ever.toml").write_text('id = "ever"\nfrom = 2026-03-01\nuntil = 9999-12-31\n')
    (tmp_path / "calendars" / "ever.toml").write_text('[long]\nname = "Ever"\ndays = [[2026-03-03, 9999-12-31]]\n')
    settings = load(environ={})
    settings.coupons.campaigns, settings.coupons.calendars = str(tmp_path / "campaigns"), str(tmp_path / "calendars")
    settings.stores.timezone = zone
    assert load_seasons(settings).moment(parse_time("2999-01-01T12:00:00Z") // HOUR_MS) == (1, 1)


def test_the_judge_is_told_of_holidays_and_regions_as_their_files_change(tmp_path: Path) -> None:
    (tmp_path / "calendars").mkdir()
    (tmp_path / "stores.csv").write_text("store,region,timezone\nS1,east,Asia/Shanghai\n")
    settings = load(environ={})
    settings.stores.file, settings.coupons.calendars = str(tmp_path / "stores.csv"), str(tmp_path / "calendars")
    settings.coupons.campaigns = ""
    judge, at_s = Judge("alerts", "dead-letters", Judging(), {}, Seasons()), [0.0]
    follow = follow_files(settings, judge, lambda: at_s[0])

    def look() -> None:
        for _ in range(2):
            at_s[0] += EVERY_S
            follow()

    (tmp_path / "stores.csv").write_text("store,region,timezone\nS1,east,Asia/Shanghai\nS2,west,Asia/Shanghai\n")
    (tmp_path / "calendars" / "cn.toml").write_text('[fair]\nname = "Fair"\ndays = [[2026-03-03, 2026-03-03]]\n')
    look()
    assert judge.regions == {"S1": "east", "S2": "west"}
    assert judge.seasons.moment(parse_time("2026-03-03T12:00:00+08:00") // HOUR_MS).holiday == 1
    (tmp_path / "stores.csv").write_text("store,place\nS1,east\n")
    with capture_logs() as told:
        look()
    assert [one["event"] for one in told] == ["seasons and regions refused, the former ones stay"]
    assert judge.regions == {"S1": "east", "S2": "west"}
