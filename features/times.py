"""Times and durations: RFC 3339 or epoch ms in, epoch ms UTC out; store-local dates."""

from __future__ import annotations

import re
from calendar import isleap
from collections.abc import Iterable
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
CENTURY_MS = 36_500 * DAY_MS
UNITS_MS = {"s": 1_000, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}
EARLIEST_MS, LATEST_MS = -62_135_596_800_000, 253_402_300_799_999  # from the year 1 to the end of 9999
EPOCH_DAY = date(1970, 1, 1).toordinal()

_RFC3339 = re.compile(r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$")
_DURATION = re.compile(r"([0-9]+)([smhd])")


def parse_time(value: int | str) -> int:
    """Epoch ms of an RFC 3339 text with offset, or of epoch ms. Raises ValueError."""
    if isinstance(value, int):
        return value
    if not _RFC3339.match(value):
        raise ValueError(f"expected RFC 3339 with offset such as 2026-05-01T08:30:00+08:00, found {value!r}")
    text = value.upper().replace("Z", "+00:00").replace(" ", "T")
    whole, dot, rest = text.partition(".")
    if dot:
        digits = rest[:-6][:6].ljust(6, "0")
        text = f"{whole}.{digits}{rest[-6:]}"
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def parse_moment(value: int | str) -> int:
    """As `parse_time`, of the years 1 to 9999: one that can be written again."""
    at_ms = parse_time(value)
    if not EARLIEST_MS <= at_ms <= LATEST_MS:
        raise ValueError(f"expected a time of the years 1 to 9999, found {value!r}")
    return at_ms


def rfc3339(at_ms: int) -> str:
    """`2026-05-01T00:30:00.000Z`."""
    return f"{_second(at_ms // 1000)}.{at_ms % 1000:03}Z"


def rfc3339s(at_ms: Iterable[int]) -> list[str]:
    """As `rfc3339`, of many: a quarter of what each takes alone."""
    moments = np.array([*at_ms], dtype="datetime64[ms]")
    found: list[str] = np.datetime_as_string(moments, timezone="UTC").tolist()
    return found


@lru_cache(maxsize=4096)
def _second(second: int) -> str:
    minute, seconds = divmod(second, 60)
    return f"{_minute(minute)}:{seconds:02}"


@lru_cache(maxsize=4096)
def _minute(minute: int) -> str:
    day, minutes = divmod(minute, 1440)
    return f"{date.fromordinal(EPOCH_DAY + day).isoformat()}T{minutes // 60:02}:{minutes % 60:02}"


@lru_cache(maxsize=1024)
def parse_duration(text: str) -> int:
    """Milliseconds of `90s`, `30m`, `24h` or `14d`. Raises ValueError."""
    match = _DURATION.fullmatch(text)
    if not match:
        raise ValueError(f"expected a duration such as '90s', '30m', '24h' or '14d', found {text!r}")
    return int(match[1]) * UNITS_MS[match[2]]


def parse_offset(text: str) -> int:
    """Milliseconds from a start, written `+14d` or `+1d 9h`, a century at most. Raises ValueError."""
    if not text.startswith("+"):
        raise ValueError(f"expected a time from the start such as '+14d' or '+1d 9h', found {text!r}")
    found_ms = sum(parse_duration(part) for part in text[1:].split())
    if found_ms > CENTURY_MS:
        raise ValueError(f"expected a time within a century, found {text!r}")
    return found_ms


def spell_offsets(offsets_ms: list[int]) -> str:
    """Such times as a person writes them: `+1d 9h, +2d`; `no time` for none."""
    return ", ".join(map(_spell_offset, offsets_ms)) or "no time"


def _spell_offset(offset_ms: int) -> str:
    left, parts = offset_ms, []
    for unit in "dhms":
        number, left = divmod(left, UNITS_MS[unit])
        parts += [f"{number}{unit}"] if number else []
    return "+" + (" ".join(parts) or "0s")


def offset_ms(tz: str, at_ms: int) -> int:
    """UTC offset of a time zone."""
    offset = datetime.fromtimestamp(at_ms // 1000, ZoneInfo(tz)).utcoffset()
    assert offset is not None
    return round(offset.total_seconds() * 1000)


@lru_cache(maxsize=65_536)
def _offset_ms(tz: str, quarter: int) -> int:
    """During one quarter of an hour; clocks have changed on such a boundary since 2012."""
    return offset_ms(tz, quarter * 900_000)


def local_ms(at_ms: int, tz: str) -> int:
    """Wall-clock time of a zone, as if it were UTC, in ms."""
    return at_ms + _offset_ms(tz, at_ms // 900_000)


def local_day(at_ms: int, tz: str) -> int:
    """Calendar date in a zone, as a proleptic ordinal."""
    return local_ms(at_ms, tz) // DAY_MS + EPOCH_DAY


def local_hour(at_ms: int, tz: str) -> int:
    """Hour of the day in a zone, 0 to 23."""
    return int(hour_of(local_ms(at_ms, tz)))


def hour_of(local_ms: Any) -> Any:
    """0 to 23, of wall-clock times: a number or an array."""
    return local_ms % DAY_MS // HOUR_MS


def weekday_of(local_ms: Any) -> Any:
    """Monday is 1; the epoch's first day was a Thursday."""
    return (local_ms // DAY_MS + 3) % 7 + 1


def next_day(month_day: str, day: int) -> int:
    """The first day from `day` on that is `MM-DD`, as ordinals; 29 February is 1 March where there is none."""
    year = date.fromordinal(day).year
    return next(found for found in (_day_of(year, month_day), _day_of(year + 1, month_day)) if found >= day)


def _day_of(year: int, month_day: str) -> int:
    month, day = map(int, month_day.split("-"))
    if (month, day) == (2, 29) and not isleap(year):
        month, day = 3, 1
    return date(year, month, day).toordinal()


def midnight_ms(day: int, tz: str) -> int:
    """When a calendar date begins in a zone."""
    return round(datetime.combine(date.fromordinal(day), datetime.min.time(), ZoneInfo(tz)).timestamp() * 1000)


def minute_of(local_ms: Any) -> Any:
    """0 to 1439."""
    return local_ms % DAY_MS // MINUTE_MS


def ordinal_of(local_ms: Any) -> Any:
    """As datetime.date.toordinal."""
    return local_ms // DAY_MS + EPOCH_DAY


def month_of(local_ms: Any) -> Any:
    """1 to 12."""
    return np.asarray(local_ms).astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64) % 12 + 1


def day_of_month_of(local_ms: Any) -> Any:
    """1 to 31."""
    days = np.asarray(local_ms).astype("datetime64[ms]").astype("datetime64[D]")
    return (days - days.astype("datetime64[M]")).astype(np.int64) + 1
