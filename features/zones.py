"""UTC offsets of time zones as one array, for code that asks for millions of them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache
from zlib import crc32
from zoneinfo import available_timezones

import numpy as np

from features.kernel.arrays import Ints
from features.times import DAY_MS, MINUTE_MS, offset_ms, parse_time

SEARCHED_MS = 6 * DAY_MS  # at once
FROM_MS, TO_MS = parse_time("1990-01-01T00:00:00Z"), parse_time("2100-01-01T00:00:00Z")


class ZoneTable:
    """The zones met so far. `crc32` of the IANA name tells one from another in a record."""

    def __init__(self) -> None:
        self.index: dict[str, int] = {}
        self.crcs: list[int] = []
        self.steps: list[list[tuple[int, int]]] = []
        self.strange = 0
        self.add("UTC")

    def add(self, name: str) -> int:
        """Index of a zone; it is packed when it is first met. Raises ZoneInfoNotFoundError."""
        found = self.index.get(name)
        return self._take(name, crc32(name.encode()), _steps(name)) if found is None else found

    def add_known(self, crc: int) -> None:
        """Adds the zone that a record names. One that this machine does not know is taken for UTC: its customer is read
        all the same, and is at home elsewhere from the next event on that names a zone."""
        name = _names().get(crc)
        if name is not None:
            self.add(name)
        else:
            self._take(f"{crc:08x}", crc, _steps("UTC"))
            self.strange += 1

    def looked(self) -> int:
        """How many zones of records were not known, since this was last asked."""
        strange, self.strange = self.strange, 0
        return strange

    def _take(self, name: str, crc: int, steps: list[tuple[int, int]]) -> int:
        self.crcs.append(crc)
        self.steps.append(steps)
        self.packed = _packed(self.crcs, self.steps)
        self.index[name] = len(self.index)
        return self.index[name]


@lru_cache(maxsize=1)
def _names() -> dict[int, str]:
    return {crc32(name.encode()): name for name in available_timezones() - {"localtime"}}  # each machine has its own


def check_zone(name: str) -> None:
    """Raises ValueError for what is no IANA name, also where ZoneInfo finds a file for it: `posix/UTC`, `right/UTC`."""
    if _names().get(crc32(name.encode())) != name:
        raise ValueError(f"found {name!r}, expected an IANA name such as 'Asia/Shanghai'")


def zone_name(crc: int) -> str:
    """IANA name behind a record's zone; raises KeyError."""
    return _names()[crc]


def _packed(crcs: list[int], steps: list[list[tuple[int, int]]]) -> Ints:
    """Their number; by zone its crc and where its steps start; where the last ends; the steps: from when, offset."""
    flat = [[number for step in of_zone for number in step] for of_zone in steps]
    starts = np.cumsum([2 * len(crcs) + 3, *map(len, flat)])
    head = [x for crc, start in zip(crcs, starts.tolist(), strict=False) for x in (crc, start)]
    return np.array([len(crcs), *head, 0, starts[-1], *(n for zone in flat for n in zone)], dtype=np.int64)


@lru_cache(maxsize=1024)
def _steps(name: str) -> list[tuple[int, int]]:
    """(from then on, offset): every change between 1990 and 2100."""
    return list(_changes(name))


def _changes(name: str) -> Iterator[tuple[int, int]]:
    """Clocks change on a whole minute, and at most once in six days: some have gone back after a week."""
    known = offset_ms(name, FROM_MS)
    yield 0, known
    for start_ms in range(FROM_MS, TO_MS, SEARCHED_MS):
        if (later := offset_ms(name, start_ms + SEARCHED_MS)) != known:
            minutes = range(start_ms, start_ms + SEARCHED_MS, MINUTE_MS)
            changed = bisect_left(minutes, True, key=lambda at_ms: offset_ms(name, at_ms) == later)
            yield start_ms + changed * MINUTE_MS, later  # or just behind the last of these minutes
            known = later
