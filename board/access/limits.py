"""How much one may ask in a time: requests of who is let in, attempts of who is not."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from board.problems import Problem

KNOWN = 10_000  # askers that are remembered; the one who has been quiet longest is forgotten


class Limit:
    """Token buckets, by asker: `per_s` on average, `burst` at once."""

    def __init__(self, per_s: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_s, self.burst, self.clock = per_s, burst, clock
        self.buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # what was left, and when
        self.lock = Lock()

    def take(self, asker: str) -> None:
        """Raises Problem: 429, with when to come again."""
        with self.lock:
            now_s = self.clock()
            left, at_s = self.buckets.pop(asker, (self.burst, now_s))
            left = min(self.burst, left + (now_s - at_s) * self.per_s)
            self.buckets[asker] = (left - (left >= 1), now_s)
            if len(self.buckets) > KNOWN:
                self.buckets.popitem(last=False)
        if left < 1:
            raise Problem(429, "too many requests: wait a little", retry_after_s=max(1, round((1 - left) / self.per_s)))

    def give(self, asker: str) -> None:
        """Gives back what was taken, as if it had not been asked."""
        with self.lock:
            if asker in self.buckets:
                left, at_s = self.buckets[asker]
                self.buckets[asker] = (left + 1, at_s)

    def forget(self, asker: str) -> None:
        with self.lock:
            self.buckets.pop(asker, None)
