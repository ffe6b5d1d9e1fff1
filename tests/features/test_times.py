"""Times read from any RFC 3339 text; dates and hours on a store's own wall, against the standard library."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from features.times import (
    EARLIEST_MS,
    HOUR_MS,
    LATEST_MS,
    local_day,
    local_hour,
    local_ms,
    parse_duration,
    parse_moment,
    parse_time,
    rfc3339,
    rfc3339s,
)

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MAY_MS = 1_777_595_400_000  # 2026-05-01T00:30:00Z
ZONES = [
    "Asia/Shanghai", "America/New_York", "Europe/London", "Asia/Kathmandu", "Australia/Lord_Howe",
    "America/St_Johns", "Pacific/Chatham", "Pacific/Apia", "America/Sao_Paulo", "UTC",
]  # fmt: skip
SINCE_MS, UNTIL_MS = parse_time("2012-01-01T00:00:00Z"), parse_time("2037-12-31T00:00:00Z")


@pytest.mark.parametrize(
    "text",
    [
        "2026-05-01T00:30:00Z",
        "2026-05-01t00:30:00z",
        "2026-05-01 00:30:00Z",
        "2026-05-01T08:30:00+08:00",
        "2026-04-30T20:30:00-04:00",
        "2026-05-01T06:15:00+05:45",
        "2026-05-01T00:30:00.0Z",
        "2026-05-01T00:30:00.000000000Z",
        "2026-05-01T08:30:00.000+08:00",
    ],
)
def test_every_form_of_rfc_3339_is_the_same_moment(text: str) -> None:
    assert parse_time(text) == MAY_MS


@pytest.mark.parametrize(
    "text",
    [
        "2026-05-01T08:30:00",  # whose noon?
        "2026-05-01",
        "2026-05-01T08:30Z",
        "2026-02-30T00:00:00Z",
        "2026-05-01T24:01:00Z",
        "2026-05-01T08:30:00+0800",
        "2026-05-01T08:30:00Z\n",
        "2026-05-01T08:30:00.5\n+08:00",
        "1777595400000",
        "tomorrow",
        "",
    ],
)
def test_what_is_no_rfc_3339_with_offset_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the text differs
        parse_time(text)


@pytest.mark.parametrize(("fraction", "later_ms"), [("0004", 0), ("0006", 1), ("9996", 1000), ("123456789", 123)])
def test_a_finer_fraction_is_rounded_to_the_millisecond(fraction: str, later_ms: int) -> None:
    assert parse_time(f"2026-05-01T00:30:00.{fraction}Z") == MAY_MS + later_ms


@given(st.integers(0, UNTIL_MS), st.integers(-14 * 60, 14 * 60))
def test_a_time_written_with_any_offset_is_read_back(at_ms: int, offset_min: int) -> None:
    zone = timezone(timedelta(minutes=offset_min))
    text = (EPOCH + timedelta(milliseconds=at_ms)).astimezone(zone).isoformat(timespec="milliseconds")
    assert parse_time(text) == parse_time(at_ms) == at_ms
    assert parse_time(rfc3339(at_ms)) == at_ms


@given(st.lists(st.integers(EARLIEST_MS, LATEST_MS)))
@example([EARLIEST_MS, -1, 0, LATEST_MS])
def test_many_are_written_as_one_is(at_ms: list[int]) -> None:
    assert rfc3339s(at_ms) == [rfc3339(ms) for ms in at_ms]


@given(st.integers(SINCE_MS, UNTIL_MS), st.sampled_from(ZONES))
@example(parse_time("2026-03-08T06:59:59.999Z"), "America/New_York")
@example(parse_time("2026-03-08T07:00:00Z"), "America/New_York")
@example(parse_time("2026-11-01T05:59:59.999Z"), "America/New_York")
@example(parse_time("2026-11-01T06:00:00Z"), "America/New_York")
@example(parse_time("2026-10-03T15:30:00Z"), "Australia/Lord_Howe")  # half an hour of summer time
def test_date_and_hour_are_those_of_the_wall(at_ms: int, tz: str) -> None:
    wall = (EPOCH + timedelta(milliseconds=at_ms)).astimezone(ZoneInfo(tz))
    assert local_day(at_ms, tz) == wall.date().toordinal()
    assert local_hour(at_ms, tz) == wall.hour
    assert EPOCH + timedelta(milliseconds=local_ms(at_ms, tz)) == wall.replace(tzinfo=timezone.utc)


@pytest.mark.parametrize("value", [10**15, 2**63, -(10**14), "9999-12-31T23:59:59-23:00"])
def test_a_moment_that_could_not_be_written_again_is_refused(value: int | str) -> None:
    with pytest.raises(ValueError, match=r"^expected a time of the years 1 to 9999, found "):
        parse_moment(value)


def test_the_first_and_the_last_moment_are_read_and_written_again() -> None:
    for text in ("0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"):
        assert rfc3339(parse_moment(text)) == text


@pytest.mark.parametrize(("date", "hours"), [("2026-03-08", 23), ("2026-11-01", 25), ("2026-05-04", 24)])
def test_a_day_of_new_york_has_23_25_or_24_hours(date: str, hours: int) -> None:
    start_ms = parse_time(f"{date}T00:00:00{'-04:00' if date != '2026-03-08' else '-05:00'}")
    days = [local_day(start_ms + hour * HOUR_MS, "America/New_York") for hour in range(26)]
    assert days.count(days[0]) == hours


@given(st.integers(0, 10**6), st.sampled_from([("s", 1000), ("m", 60_000), ("h", HOUR_MS), ("d", 24 * HOUR_MS)]))
def test_a_duration_is_a_number_and_a_unit(number: int, unit: tuple[str, int]) -> None:
    assert parse_duration(f"{number}{unit[0]}") == number * unit[1]


@pytest.mark.parametrize("text", ["", "14", "d", "-1d", "1.5h", "14 d", "1w", "1d 9h", "14D", "14d\n", "１４d"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration such as"):
        parse_duration(text)
