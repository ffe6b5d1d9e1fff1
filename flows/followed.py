"""Files that a running flow follows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import structlog

from alerts.service.promise import WrongPromises
from alerts.triggers.gifts import WrongRule
from config.settings import WrongSettings
from features.stores import WrongStores
from operators.health import REFUSED, RULES

log = structlog.get_logger()
EVERY_S = 1.0
OUTCOMES = ("loaded", "refused")
SUFFIXES = (".toml", ".yml", ".yaml")
Stamp = list[tuple[str, int, int]]


class Followed:
    """Files, and folders of TOML and YAML files: looked at once a second, read anew once changed and standing still."""

    def __init__(self, what: str, places: list[Path], clock: Callable[[], float] = time.monotonic) -> None:
        self.what = what
        self.places = places
        self.clock = clock
        self.used = self.seen = stamp(places)
        self.next_s = clock() + EVERY_S
        self.refused, self.changes = REFUSED.labels(what), {outcome: RULES.labels(outcome) for outcome in OUTCOMES}
        self.refused.set(0)  # else the flow would not have started

    def follow(self, read: Callable[[], int]) -> None:
        """`read` takes up what is new, and returns how many there are. That files are wrong is told, and the former
        ones stay; what else it raises, this raises, and reads again at the next look."""
        if self.clock() < self.next_s:
            return
        self.next_s = self.clock() + EVERY_S
        before, self.seen = self.seen, stamp(self.places)
        if self.seen != self.used and self.seen == before:  # else somebody is still writing, or moving a file
            self._read(read)
            self.used = self.seen

    def _read(self, read: Callable[[], int]) -> None:
        try:
            count = read()
        except (WrongRule, WrongPromises, WrongSettings, WrongStores) as error:
            self.changes["refused"].inc()
            self.refused.set(1)
            log.error(f"{self.what} refused, the former ones stay", error=str(error))
        else:
            self.changes["loaded"].inc()
            self.refused.set(0)
            log.info(f"{self.what} loaded", count=count)


def stamp(places: list[Path]) -> Stamp:
    """Changes whenever one of these files, or of those under these folders, does."""
    found = []
    for path in sorted(file for place in places for file in _files(place)):
        with suppress(FileNotFoundError):  # gone in this moment
            stat = path.stat()
            found.append((str(path), stat.st_mtime_ns, stat.st_size))
    return found


def _files(place: Path) -> Iterator[Path]:
    if not place.is_dir():
        yield place
    for suffix in SUFFIXES if place.is_dir() else ():
        yield from place.rglob(f"*{suffix}")
