"""Holiday calendars: which days each holiday takes, year by year; the fixed ones and those of the moon alike."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from datetime import date
from difflib import get_close_matches
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from features.times import DAY_MS, EPOCH_DAY, MINUTE_MS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MONTHS_OF = range(2020, 2050)
Days = tuple[tuple[int, int], ...]  # (first, last) as datetime.date.toordinal, in order


class WrongCalendar(ValueError):
    """A calendar that cannot be used, or a holiday that none knows."""


class Holiday(Struct, forbid_unknown_fields=True, frozen=True):
    name: str
    days: list[tuple[date, date]]  # first and last


class Calendars(Struct, frozen=True):
    """What names stand for: a calendar's for all of its holidays, a holiday's for itself."""

    days: Mapping[str, Days] = {}

    def of(self, names: Iterable[str]) -> Days:
        """The days that any of these takes. Raises WrongCalendar."""
        for name in names:
            if name not in self.days:
                close = get_close_matches(name, self.days, 1)
                told = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(self.days)) or 'none'}"
                raise WrongCalendar(f"there is no holiday or calendar {name!r}; {told}")
        return _joined(span for name in names for span in self.days[name])


NONE = Calendars()


class At(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Look at a holiday, so many days before its first day, or on a day of each month; at a time of the day where the
    customer is."""

    holiday: str = ""  # of a calendar, or a calendar's name for all of its own
    day_of_month: Annotated[int, Meta(ge=0, le=28)] = 0
    time: Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
    days_before: Annotated[int, Meta(ge=0, le=60)] = 0

    def wall_ms(self, days: Days) -> tuple[int, ...]:
        """What wall clocks show then, as if it were UTC."""
        hour, minute = map(int, self.time.split(":"))
        of_day_ms = (60 * hour + minute) * MINUTE_MS
        return tuple((first - self.days_before - EPOCH_DAY) * DAY_MS + of_day_ms for first, _ in days)


def every_month(day: int) -> Days:
    """That day of each month."""
    days = (date(year, month, day).toordinal() for year in MONTHS_OF for month in range(1, 13))
    return tuple((one, one) for one in days)


def read_calendar(text: str, file: str) -> dict[str, Days]:
    """The days of each of its holidays. Raises WrongCalendar."""
    try:
        holidays = msgspec.convert(tomllib.loads(text), dict[str, Holiday])
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise WrongCalendar(f"{file}: {error}; expected tables such as [mid-autumn] with name and days") from error
    for id, holiday in holidays.items():
        for first, last in holiday.days:
            if last < first:
                raise WrongCalendar(f"{file}: [{id}] days: found {last} as the last day, which is before {first}")
    return {id: _joined((a.toordinal(), b.toordinal()) for a, b in holiday.days) for id, holiday in holidays.items()}


def all_calendars(read: Mapping[str, Mapping[str, Days]]) -> Calendars:
    """Of the holidays of each calendar, by its name. Raises WrongCalendar."""
    found: dict[str, Days] = {
        name: _joined(s for days in holidays.values() for s in days) for name, holidays in read.items()
    }
    for calendar, holidays in read.items():
        for id, days in holidays.items():
            if id in found:
                raise WrongCalendar(f"calendar {calendar}: the name {id!r} is taken: choose another")
            found[id] = days
    return Calendars(found)


def _joined(spans: Iterable[tuple[int, int]]) -> Days:
    """In order, and those that touch made one."""
    out: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if out and first <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(last, out[-1][1]))
        else:
            out.append((first, last))
    return tuple(out)
