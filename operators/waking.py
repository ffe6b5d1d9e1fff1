"""Rules that wait and have come since customers had their last event: every customer is looked at once (decision 0040).

Of each partition Redis keeps for which waits that has been done: `bl:{customers.3}:waits`, a set of rule codes. Where
others are in force, a timer `lacks|<customer>` is put beside each record; the flow takes these up as it does all
timers. They are there before the set says so, so a crash in between only repeats them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from threading import Event, Thread
from typing import Any

import structlog

from alerts.triggers.alarms import LACKS
from features.job import Position
from operators.health import warn_seldom
from operators.layout import RECORDS
from operators.redis_link import AWAY, reason
from operators.scan import chunks
from operators.store import PartitionStore

log = structlog.get_logger()
LOOK_S = 1.0
CHUNK = 1_000
RATE_PER_S = 5_000  # customers, so that new rules take little from the events of the day


class Waking:
    """Wakes customers in a thread, in the partitions that this process owns; `codes`: the waits in force."""

    def __init__(self, store: PartitionStore, codes: Iterable[int], stop: Event) -> None:
        self.store = store
        self.stop = stop
        self.codes = frozenset(codes)
        self.greeted: set[int] = set()

    def follow(self, codes: Iterable[int]) -> None:
        """The waits in force from now on."""
        self.codes = frozenset(codes)

    def start(self) -> Waking:
        Thread(target=self._run, name="waking", daemon=True).start()
        return self

    def _run(self) -> None:
        while not self.stop.wait(LOOK_S):
            try:
                self.look()
            except AWAY as error:
                warn_seldom("customers are woken later", flow=self.store.flow, error=reason(error))

    def look(self) -> None:
        """Wakes the customers of partitions for whom waits have come. Raises what Redis raises."""
        codes, owned = self.codes, [*self.store.tokens]
        done = {partition: self._done(partition) for partition in owned}
        lacking = [partition for partition in owned if codes - done[partition]]
        if lacking and not self._wake(lacking):
            return
        for partition in owned:
            if done[partition] != codes:
                self._note(partition, codes)

    def greet(self) -> None:
        """Before the first batch of a partition: where nothing is known, nobody need be woken, and that is noted."""
        for partition in self.store.tokens.keys() - self.greeted:
            if self.store.position(partition) == Position():
                self._note(partition, self.codes)
            self.greeted.add(partition)

    def _done(self, partition: int) -> frozenset[int]:
        """The waits for which the customers of a partition have been woken."""
        found: Any = self.store.redis.smembers(self.store.key(partition, "waits"))
        return frozenset(map(int, found))

    def _note(self, partition: int, codes: frozenset[int]) -> None:
        key = self.store.key(partition, "waits")
        pipe = self.store.redis.pipeline()
        pipe.delete(key)
        if codes:
            pipe.sadd(key, *sorted(codes))
        pipe.execute()

    def _wake(self, partitions: list[int]) -> bool:
        """Adds a timer for each of their records, so many a second; False when told to stop before the end."""
        store, woken = self.store, 0
        for partition in partitions:
            now_ms = store.position(partition).clock.now_ms
            records = store.redis.hscan_iter(store.key(partition, RECORDS), count=CHUNK)
            for names in chunks((name for name, _ in records), CHUNK):
                began_s, due = time.monotonic(), {LACKS + name.decode(): now_ms for name in names}
                store.redis.zadd(store.key(partition, "timers"), due)
                woken += len(due)
                if self.stop.wait(max(0.0, began_s + len(names) / RATE_PER_S - time.monotonic())):
                    return False
        if woken:
            log.info("rules that wait have come", flow=store.flow, customers_looked_at=woken)
        return True
