"""What was read a moment ago serves all who ask at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

Found = TypeVar("Found")
FAILED_S = 1.0


class Recent(Generic[Found]):
    """`read` is called by one thread at a time, and only when what it has read is older than `lasts_s`. If it fails,
    all who wait for it are told so: they would wait one after the other while a server is away."""

    def __init__(self, read: Callable[[], Found], lasts_s: float) -> None:
        self.read, self.lasts_s = read, lasts_s
        self.lock = Lock()
        self.found: tuple[float, Found] | None = None  # until when it serves
        self.failed: tuple[float, Exception] | None = None

    def __call__(self) -> Found:
        """Raises what `read` raises."""
        with self.lock:
            if self.found is None or time.monotonic() >= self.found[0]:
                self.found = (time.monotonic() + self.lasts_s, self._read())
            return self.found[1]

    def _read(self) -> Found:
        if self.failed and time.monotonic() < self.failed[0]:
            raise self.failed[1]
        try:
            return self.read()
        except Exception as error:
            self.failed = (time.monotonic() + FAILED_S, error)
            raise

    def forget(self) -> None:
        """Who has just changed something sees it."""
        with self.lock:
            self.found = self.failed = None
