"""When and where a rule is in season: dates, hours, weekdays, stores, regions, tiers; clauses of its condition."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date

from msgspec import Struct

from alerts.triggers.calendar import Days
from features.quiet import ALWAYS_AWAKE, QuietHours

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN = re.compile(r"([01]\d|2[0-4]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
DAY_MINUTES = 1440


class WrongSchedule(ValueError):
    """A schedule that cannot be used."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}")
        self.key = key


class Schedule(Struct, forbid_unknown_fields=True, frozen=True, rename={"from_": "from"}):
    """All in the store's local time; what is empty does not limit. Dates are inclusive.

    What of `hours` lies past midnight belongs to the day on which they began.
    """

    from_: date | None = None
    until: date | None = None
    hours: list[str] = []  # "14:00-17:00"; "22:00-02:00" goes past midnight
    weekdays: list[str] = []
    not_on: list[date] = []
    holidays: list[str] = []  # of a calendar, or a calendar's name for all of its own
    not_on_holidays: list[str] = []
    stores: list[str] = []
    regions: list[str] = []
    tiers: list[str] = []

    def check(self) -> None:
        """Raises WrongSchedule."""
        if self.from_ and self.until and self.until < self.from_:
            raise WrongSchedule("until", f"found {self.until}, which is before from = {self.from_}")
        spans = [span(hours) for hours in self.hours]
        for hours, (start, end) in zip(self.hours, spans, strict=True):
            if start < self.night_minutes and start < end:
                raise WrongSchedule(
                    "hours",
                    f"found {hours!r}, which begins in the night of another: say where that ends, and begin there",
                )
        for weekday in self.weekdays:
            if weekday not in WEEKDAYS:
                raise WrongSchedule("weekdays", f"found {weekday!r}, expected some of {', '.join(WEEKDAYS)}")

    @property
    def night_minutes(self) -> int:
        """The minute of the day up to which it is still the evening before; 0, if no hours go past midnight."""
        return max((end for start, end in map(span, self.hours) if end < start), default=0)

    def _evening(self, of_day: str, before: str) -> str:
        """What the day is that counts, or what it is of the day: in the night after, what it was in the evening."""
        night = self.night_minutes
        return f"CASE WHEN minute_of_day < {night} THEN {before} ELSE {of_day} END" if night else of_day

    def clauses(self, holidays: Mapping[str, Days]) -> list[tuple[str, str]]:
        """By key, SQL over the local clock and the event; all must hold. Comparisons of numbers come first: they are
        cheap. `holidays`: the days that `holidays` and `not_on_holidays` mean."""
        day, weekday = self._evening("local_day", "local_day - 1"), self._evening("weekday", "(weekday + 5) % 7 + 1")
        found = [("from", f"{day} >= {self.from_.toordinal()}")] if self.from_ else []
        found += [("until", f"{day} <= {self.until.toordinal()}")] if self.until else []
        found += [("not_on", f"{day} <> {rests.toordinal()}") for rests in self.not_on]
        found += [(key, _days(day, days, key == "holidays")) for key, days in holidays.items()]
        found += [("hours", _any(map(_within, self.hours)))] if self.hours else []
        weekdays = [f"{weekday} = {WEEKDAYS.index(one) + 1}" for one in self.weekdays]
        found += [("weekdays", _any(weekdays))] if weekdays else []
        lists = {"store": self.stores, "region": self.regions, "tier": self.tiers}
        return found + [(f"{name}s", f"{name} IN ({', '.join(map(_quoted, ts))})") for name, ts in lists.items() if ts]


def span(hours: str) -> tuple[int, int]:
    """(first minute of the day, the one behind the last): the second is smaller past midnight. Raises WrongSchedule."""
    match = _SPAN.fullmatch(hours)
    start, end = (int(match[i]) * 60 + int(match[i + 1]) for i in (1, 3)) if match else (0, 0)
    if start == end or start >= DAY_MINUTES or end > DAY_MINUTES:
        raise WrongSchedule("hours", f"found {hours!r}, expected for example '14:00-17:00' or '22:00-02:00'")
    return start, end


def read_quiet_hours(hours: str) -> QuietHours:
    """Of "22:00-08:00", or "" for none. Raises WrongSchedule."""
    return QuietHours(*span(hours)) if hours else ALWAYS_AWAKE


def _within(hours: str) -> str:
    start, end = span(hours)
    return f"(minute_of_day >= {start} {'AND' if start < end else 'OR'} minute_of_day < {end})"


def _days(day: str, spans: Days, inside: bool) -> str:
    """Within one of these spans, or outside all of them."""
    if inside:
        return _any(f"({day} >= {first} AND {day} <= {last})" for first, last in spans)
    return f"({' AND '.join(f'({day} < {first} OR {day} > {last})' for first, last in spans)})"


def _any(clauses: Iterable[str]) -> str:
    return f"({' OR '.join(clauses)})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
