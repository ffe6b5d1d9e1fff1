"""UTC offsets of time zones as one array, for code that asks for millions of them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache
from zlib import crc32
from zoneinfo import ZoneInfo, available_timezones

import numpy as np

from features.kernel.arrays import Ints
from features.times import DAY_MS, MINUTE_MS, offset_ms, parse_time

FROM_MS, TO_MS = parse_time("1990-01-01T00:00:00Z"), parse_time("2100-01-01T00:00:00Z")


class ZoneTable:
    """The zones met so far. `crc32` of the IANA name tells one from another in a record."""

    def __init__(self) -> None:
        self.index: dict[str, int] = {}
        self.add("UTC")

    def add(self, name: str) -> int:
        """Index of a zone; it is packed when it is first met. Raises ZoneInfoNotFoundError."""
        found = self.index.get(name)
        if found is None:
            ZoneInfo(name)
            found = self.index[name] = len(self.index)
            self.packed = _packed(list(self.index))
        return found

    def add_known(self, crc: int) -> bool:
        """Adds the zone that a record names; False when there is none."""
        name = _names().get(crc)
        if name is None:
            return False
        self.add(name)
        return True


@lru_cache(maxsize=1)
def _names() -> dict[int, str]:
    return {crc32(name.encode()): name for name in available_timezones()}


def zone_name(crc: int) -> str:
    """IANA name behind a record's zone; raises KeyError."""
    return _names()[crc]


def _packed(names: list[str]) -> Ints:
    """Their number; by zone its crc and where its steps start; where the last ends; the steps: from when, offset."""
    steps = [[number for step in _steps(name) for number in step] for name in names]
    starts = np.cumsum([2 * len(names) + 3, *map(len, steps)])
    head = [x for name, start in zip(names, starts.tolist(), strict=False) for x in (crc32(name.encode()), start)]
    return np.array([len(names), *head, 0, starts[-1], *(n for zone in steps for n in zone)], dtype=np.int64)


@lru_cache(maxsize=1024)
def _steps(name: str) -> list[tuple[int, int]]:
    """(from then on, offset): every change between 1990 and 2100."""
    return list(_changes(name))


def _changes(name: str) -> Iterator[tuple[int, int]]:
    """Clocks change at most once in 20 days, on a whole minute."""
    known = offset_ms(name, FROM_MS)
    yield 0, known
    for start_ms in range(FROM_MS, TO_MS, 20 * DAY_MS):
        if (later := offset_ms(name, start_ms + 20 * DAY_MS)) != known:
            minutes = range(start_ms, start_ms + 20 * DAY_MS, MINUTE_MS)
            changed = bisect_left(minutes, True, key=lambda at_ms: offset_ms(name, at_ms) == later)
            yield minutes[changed], later
            known = later
