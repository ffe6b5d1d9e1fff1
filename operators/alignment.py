"""Partitions read in step: none runs far ahead, in the records' own time, of one that still has older records."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf
from typing import Any

import msgspec
from confluent_kafka import Message
from msgspec import Struct

from features.events import Time
from features.times import parse_time

SILENT_S = 30.0  # so long a partition that is not at its end, and yet brings nothing, keeps the others waiting
AT_END_S = 1.0  # so long one at its end does where a sender may send days within a moment
NEIGHBOURS = 32  # so many records tell whether one among them has a wrong clock


class Timed(Struct):
    """As much of an event as tells when it happened."""

    time: Time


decode_timed = msgspec.json.Decoder(Timed).decode


def kafka_time(message: Message) -> int | None:
    """A record's Kafka timestamp; None of what only tells of an error or the end."""
    return int(message.timestamp()[1]) if message.error() is None else None


def event_time(message: Message) -> int | None:
    """When the event in a record happened; None of what is none."""
    try:
        return parse_time(decode_timed(message.value() or b"").time) if message.error() is None else None
    except (msgspec.DecodeError, ValueError):
        return None


class Alignment:
    """All partitions that one process reads for one step; each waits for those that are `within_ms` behind it."""

    def __init__(
        self,
        within_ms: float,
        time_of: Callable[[Any], int | None],
        at_end_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`time_of` a record, epoch ms; None where it has none, and goes with those before it.

        `at_end_s`: so long one that is at its end keeps the others waiting, for what is on its way to it.
        """
        self.within_ms = within_ms
        self.time_of = time_of
        self.at_end_s = at_end_s
        self.clock = clock
        self.lanes: list[Lane] = []

    def open(self) -> Lane:
        """A lane for a partition that is about to be read; from now on the others wait for it."""
        lane = Lane(self)
        self.lanes.append(lane)
        return lane

    def limit_ms(self, lane: Lane) -> float:
        """Up to which time a lane may hand out now. It never waits for itself, so the slowest may always go on."""
        others = (other.at_ms for other in list(self.lanes) if other is not lane and other.holds)
        return min(others, default=inf) + self.within_ms


class Lane:
    """One partition's records that were read and not yet handed out, in order, and how far it has come.

    `since_s` is when it last had records, met its end or was opened; `looked_s`, when it was last looked at.
    """

    def __init__(self, alignment: Alignment) -> None:
        self.alignment = alignment
        self.reopen()

    def reopen(self) -> None:
        """Drops what is kept: the partition is read anew, perhaps from elsewhere."""
        self.records: list[Any] = []
        self.times_ms: list[float] = []  # -inf where a record has none: it goes with those before it
        self.at_ms = -inf  # of the next record where that is known, else of the last handed out
        self.at_end = False
        self.since_s = self.looked_s = self.alignment.clock()

    def close(self) -> None:
        self.reopen()
        self.alignment.lanes.remove(self)

    def met_end(self) -> None:
        self.at_end, self.since_s = True, self.alignment.clock()

    @property
    def holds(self) -> bool:
        """Whether others wait for it: not when it is at its end, and not for ever when its broker is away.

        What counts is for how long it was looked at in vain: a busy process may not have come to it.
        """
        waited_s = self.looked_s - self.since_s
        return waited_s < SILENT_S if not self.at_end else self.at_ms > -inf and waited_s < self.alignment.at_end_s

    def take(self, fresh: list[Any]) -> list[Any]:
        """The records that may be handed out now, `fresh` ones behind those that were kept."""
        alignment = self.alignment
        self.looked_s = alignment.clock()
        limit_ms = alignment.limit_ms(self)
        last_ms = next((at_ms for one in reversed(fresh) if (at_ms := alignment.time_of(one)) is not None), None)
        if last_ms is not None or self.records:
            self.at_end, self.since_s = False, self.looked_s
        if not self.records and (last_ms is None or last_ms <= limit_ms):  # the partitions are near each other
            self.at_ms = self.at_ms if last_ms is None else last_ms
            return fresh
        self._keep(fresh)
        return self._release(limit_ms)

    def _keep(self, fresh: list[Any]) -> None:
        self.records += fresh
        times_ms = map(self.alignment.time_of, fresh)
        self.times_ms += [-inf if at_ms is None else at_ms for at_ms in times_ms]

    def _release(self, limit_ms: float) -> list[Any]:
        late = (i for i, at_ms in enumerate(self.times_ms) if at_ms > limit_ms and self._ahead(i) > limit_ms)
        count = next(late, len(self.records))
        if count < len(self.records):
            self.at_ms = self._ahead(count)
        elif timed_ms := [at_ms for at_ms in self.times_ms if at_ms > -inf]:
            self.at_ms = timed_ms[-1]
        released, self.records, self.times_ms = self.records[:count], self.records[count:], self.times_ms[count:]
        return released

    def _ahead(self, index: int) -> float:
        """A record's time; that of most from it on where that is earlier, so that wrong clocks stop no partition."""
        near_ms = sorted(at_ms for at_ms in self.times_ms[index : index + NEIGHBOURS] if at_ms > -inf)
        return min(self.times_ms[index], near_ms[(len(near_ms) - 1) // 2]) if near_ms else -inf
