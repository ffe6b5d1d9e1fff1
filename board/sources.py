"""What the board reads: settings, Redis, and what the flows' files declare."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property
from math import inf
from threading import Lock
from typing import Any, TypeVar

from alerts.kpis.catalog import KpiCatalog
from board.access.notes import Notes
from board.decided import Decided
from board.rulebook import Rulebook
from brewline.reading import Features
from config.settings import Settings
from flows.files import load_kpis
from operators.redis_link import connect_redis

T = TypeVar("T")


class Sources:
    """Shared by all requests; its clients are safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        """Raises Unreachable."""
        self.settings, self.prefix = settings, settings.redis.prefix
        self.redis = connect_redis(settings.redis.url, settings.redis.start_timeout_s)
        self.lock, self.locks = Lock(), dict[str, Lock]()
        self.read: dict[str, tuple[float, Any]] = {}
        self.notes = Notes(settings)

    @cached_property
    def kpis(self) -> KpiCatalog:
        return load_kpis(self.settings)

    @cached_property
    def features(self) -> Features:
        """Raises NoState until a customers flow has run once."""
        return Features(self.settings, self.redis)

    @cached_property
    def rulebook(self) -> Rulebook:
        return Rulebook(self.settings)

    @cached_property
    def decided(self) -> Decided:
        return Decided(self.settings.stores.timezone)

    def lately(self, name: str, seconds: float, read: Callable[[], T]) -> T:
        """What `read` returns, not asked again for so long, however many want to know."""
        with self.lock:
            mine = self.locks.setdefault(name, Lock())
        with mine:
            read_s, found = self.read.get(name, (-inf, None))
            if time.monotonic() > read_s + seconds:
                found = read()
                self.read[name] = time.monotonic(), found
            return found  # type: ignore[no-any-return]

    def close(self) -> None:
        self.notes.close()
        self.redis.close()
