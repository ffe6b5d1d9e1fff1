"""Where faults strike: the house and the fleet, and what can be seen of both from outside."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

from redis.exceptions import RedisError

from benchmarks.fleet import Fleet, Flow
from benchmarks.house import House

WAIT_S = 120.0
LULL_S = 2.0
DEATHS = 0.3  # share of the outages in which a flow dies as well


class Scene:
    """Whom faults strike. `noted` counts what they met."""

    def __init__(self, house: House, fleet: Fleet, rng: Random) -> None:
        self.house = house
        self.fleet = fleet
        self.rng = rng
        self.noted: Counter[str] = Counter()
        self.partitions = range(house.partitions)

    def victim(self) -> Flow:
        return self.rng.choice([flow for _, flow in sorted(self.fleet.flows.items())])

    def lull(self) -> None:
        self.fleet.until(lambda: False, self.rng.uniform(0, LULL_S))

    def outage(self) -> None:
        """A server's, and sometimes a flow dies in it."""
        self.lull()
        if self.rng.random() < DEATHS:
            self.noted["flows killed during an outage"] += 1
            self.victim().kill()
            self.lull()

    def fences(self) -> list[int] | None:
        """How far each partition has come; None when Redis does not say."""
        with suppress(RedisError):
            return [self.house.store.position(partition).offset for partition in self.partitions]
        return None

    def owners(self) -> list[Any]:
        return self.house.redis.mget([self.house.store.key(p, "owner") for p in self.partitions])  # type: ignore[return-value]

    def outboxes(self) -> list[int]:
        """By partition, commits whose messages Kafka has not confirmed, as far as Redis has been told."""
        pipeline = self.house.redis.pipeline(transaction=False)
        for partition in self.partitions:
            pipeline.xlen(self.house.store.key(partition, "outbox"))
        return pipeline.execute()

    def next_commit(self) -> None:
        """Waits for one with messages."""
        before = self.outboxes()

        def committed() -> bool:
            nonlocal before
            earlier, before = before, self.outboxes()
            return any(then < at for then, at in zip(earlier, before, strict=True))

        self.at_once(committed)

    def at_once(self, what: Callable[[], bool]) -> None:
        """Waits without a pause between two looks: what is aimed at lasts milliseconds."""
        end = time.monotonic() + WAIT_S
        while not what() and time.monotonic() < end:
            pass

    def shared(self, flow: Flow) -> list[int]:
        """The partitions of a flow's share."""
        mine, of = map(int, flow.share.split("/"))
        return [partition for partition in self.partitions if partition % of == mine]

    def moves(self) -> bool:
        """Waits until every partition has moved; whether they did."""
        before: list[int] | None = None

        def moved() -> bool:
            nonlocal before
            now = self.fences()
            if before is None or now is None:
                before = before or now
                return False
            return all(then < at for then, at in zip(before, now, strict=True))

        return self.fleet.until(moved, WAIT_S)

    def refusals(self, code: str) -> int:
        """Commands that Redis has refused for this reason since its start."""
        told: Any = self.house.redis.info("errorstats")
        return int(told.get(f"errorstat_{code}", {"count": 0})["count"])

    def refuses(self, code: str, before: int) -> None:
        """Waits until a commit was refused."""
        if self.fleet.until(lambda: self.refusals(code) > before, WAIT_S):
            self.noted[f"outages in which Redis said {code}"] += 1
