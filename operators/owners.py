"""Who claimed a partition last, as a word in Redis: Kafka fences a producer whose transaction it has timed out as it
fences one that was succeeded, and only this tells which.

A claim is written before the producer is made. So whoever fences another has written its word already.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import TypeVar
from uuid import uuid4

from redis import Redis

from operators.health import warn_seldom
from operators.redis_link import AWAY, reason

Found = TypeVar("Found")


class Owners:
    """Those of one flow's partitions; Redis is asked until it answers, or the flow is told to stop."""

    def __init__(self, redis: Redis, prefix: str, flow: str, stop: Event) -> None:
        self.redis = redis
        self.prefix = prefix
        self.flow = flow
        self.stop = stop
        self.token = uuid4().hex

    def claim(self, topic: str, partition: int) -> None:
        self._asked(lambda: self.redis.set(self._key(topic, partition), self.token))

    def owns(self, topic: str, partition: int) -> bool:
        """Whether nobody has claimed it since; not so when Redis has lost its memory."""
        return self._asked(lambda: self.redis.get(self._key(topic, partition))) == self.token.encode()

    def _key(self, topic: str, partition: int) -> str:
        return f"{self.prefix}:{self.flow}:owner:{topic}/{partition}"

    def _asked(self, ask: Callable[[], Found]) -> Found:
        while True:
            try:
                return ask()
            except AWAY as error:
                if self.stop.wait(0.5):
                    raise
                warn_seldom("owner unknown", self.flow, flow=self.flow, error=reason(error))
