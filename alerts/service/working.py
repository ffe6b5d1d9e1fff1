"""When a clock that runs only while a store is at work comes to its end."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TypeAlias
from zoneinfo import ZoneInfo

from features.times import local_day

Hours: TypeAlias = tuple[int, int] | None  # first minute of the day, and the one behind the last; None: always


def reach(start_ms: int, elapsed_ms: int, hours: Hours, tz: str) -> int:
    """The moment at which so much working time has passed, epoch ms."""
    if hours is None:
        return start_ms + elapsed_ms
    day, left_ms = local_day(start_ms, tz), elapsed_ms
    while True:
        begins_ms, ends_ms = max(start_ms, _moment(day, hours[0], tz)), _moment(day, hours[1], tz)
        if begins_ms + left_ms <= ends_ms:
            return begins_ms + left_ms
        left_ms -= max(0, ends_ms - begins_ms)
        day += 1


def _moment(day: int, minute: int, tz: str) -> int:
    """When a wall clock shows this."""
    wall = datetime.combine(date.fromordinal(day), datetime.min.time()) + timedelta(minutes=minute)
    return round(wall.replace(tzinfo=ZoneInfo(tz)).timestamp() * 1000)
