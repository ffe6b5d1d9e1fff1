"""Files that a running flow follows."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

EVERY_S = 1.0
Stamp = list[tuple[str, int, int]]


class Followed:
    """Files and folders of TOML files: looked at once a second, read anew once they have changed and stood still."""

    def __init__(self, places: list[Path], clock: Callable[[], float] = time.monotonic) -> None:
        self.places = places
        self.clock = clock
        self.used = self.seen = stamp(places)
        self.next_s = clock() + EVERY_S

    def follow(self, read: Callable[[], None]) -> None:
        """What `read` raises, it raises; then it reads again at the next look."""
        if self.clock() < self.next_s:
            return
        self.next_s = self.clock() + EVERY_S
        before, self.seen = self.seen, stamp(self.places)
        if self.seen != self.used and self.seen == before:  # else somebody is still writing, or moving a file
            read()
            self.used = self.seen


def stamp(places: list[Path]) -> Stamp:
    """Changes whenever one of these files, or of those under these folders, does."""
    found = []
    for path in sorted(file for place in places for file in (place.rglob("*.toml") if place.is_dir() else [place])):
        with suppress(FileNotFoundError):  # gone in this moment
            stat = path.stat()
            found.append((str(path), stat.st_mtime_ns, stat.st_size))
    return found
