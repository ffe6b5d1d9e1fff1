"""What a consumer's statistics tell of its one partition: where it ends, and when its broker last said so.

librdkafka makes them by itself, so nothing waits for them. To ask the broker instead would wait behind the
fetch that it keeps open: up to `fetch.wait.max.ms` for each partition that is quiet.
"""

from __future__ import annotations

import time

import msgspec
from msgspec import Struct

EVERY_MS = 500
UNKNOWN = -1001


class _Broker(Struct):
    nodeid: int
    rxidle: int  # µs since it last sent anything, -1 when it never did


class _Place(Struct):
    broker: int
    ls_offset: int  # where what is committed ends


class _Topic(Struct):
    partitions: dict[str, _Place] = {}


class _Statistics(Struct):
    age: int  # µs since the client was made
    brokers: dict[str, _Broker] = {}
    topics: dict[str, _Topic] = {}


_decode = msgspec.json.Decoder(_Statistics).decode


class Hearing:
    """Hears the statistics of a consumer that is made right after it."""

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = str(partition)
        self.made_s = time.monotonic()
        self.heard_s = self.made_s  # monotonic; when the partition's broker last sent anything
        self.end = UNKNOWN

    def __call__(self, statistics: str) -> None:
        told = _decode(statistics)
        topic = told.topics.get(self.topic)
        place = topic.partitions.get(self.partition) if topic else None
        for broker in told.brokers.values() if place else ():
            if broker.nodeid == place.broker >= 0 and broker.rxidle >= 0:
                self.end = place.ls_offset
                self.heard_s = self.made_s + (told.age - broker.rxidle) / 1e6

    @property
    def silent_s(self) -> float:
        """For how long the broker has said nothing."""
        return time.monotonic() - self.heard_s
