"""Clean events in; those about cases out, by ticket: all of one ticket in one partition, whoever a customer has become.

Words that concern any ticket, and time, go to all partitions. Time stands where it stood among the events, so whoever
reads it has read all that came before it.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from msgspec import Struct, field

from alerts.service.promise import Promises
from alerts.service.ticket import ticket_of
from features import events as e
from features.fields import Field, Scanner, Words
from features.forgotten import Forgotten, name_hash
from features.job import Batch, Changes, Clock, Message, Plan, Position, State
from features.kernel.scan import TEXT
from features.messages import Refused, dead_letter

ABOUT = (e.Complaint, e.ComplaintAnswered, e.ComplaintConfirmed, e.Rating, e.Lead, e.LeadContacted)
MOVING = (e.DeliveryPromised, e.DeliveryDelivered)
HEARD = (*ABOUT, *MOVING, e.Tick, e.Merge, e.Forget)


class Work(Struct):
    """A batch, read."""

    last: int
    messages: list[Message] = []
    counts: Counter[str] = field(default_factory=Counter)


class Cases:
    """Implements features.job.Job. `partition_keys` reach each partition of `topic`; `sources` run this job."""

    def __init__(
        self,
        topic: str,
        dead_letters: str,
        partition_keys: list[str],
        sources: int,
        promises: Promises,
        forgotten: Forgotten | None = None,
    ) -> None:
        self.topic = topic
        self.dead_letters = dead_letters
        self.partition_keys = partition_keys
        self.sources = sources
        self.promises = promises
        self.forgotten = Forgotten() if forgotten is None else forgotten
        self.scanner = Scanner([Field("type", TEXT)], [], "type")
        self.kinds = Words([str(kind.__struct_config__.tag) for kind in HEARD])

    def plan(self, batch: Batch, position: Position) -> Plan:
        """What the scanner does not know is others' matter, who read all events."""
        scanned = self.scanner.scan(batch.values)
        heard = np.flatnonzero(scanned.find(0, self.kinds) >= 0).tolist()
        work, clock, said_ms = Work(batch.last), position.clock, position.clock.now_ms
        for event, _ in living(self._read(batch, heard, work), self.forgotten):
            if isinstance(event, e.Tick):
                clock = clock.moved(event.source, event.of, event.at_ms)
            else:
                said_ms = self._tick(work, batch.partition, clock, said_ms)
                self._send(work, event)
        self._tick(work, batch.partition, clock, said_ms)
        return Plan(position, clock, work=work)

    def _read(self, batch: Batch, heard: list[int], work: Work) -> list[tuple[e.Event, int]]:
        events: list[tuple[e.Event, int]] = []
        for index in heard:
            try:
                events.append((e.decode_clean(batch.values[index]), batch.stamps_ms[index]))
            except (ValueError, RecursionError) as error:
                work.messages.append(dead_letter(self.dead_letters, batch, index, Refused("malformed", str(error))))
                work.counts.update(("dead_lettered", "dead_lettered:malformed"))
        return events

    def _send(self, work: Work, event: e.Event) -> None:
        ticket, value = ticket_of(event, self.promises), e.encode(event)
        if isinstance(event, e.Merge | e.Forget):
            work.messages += [Message(self.topic, key, value) for key in self.partition_keys]
        elif ticket:
            work.messages.append(Message(self.topic, ticket, value))
            work.counts["cases"] += 1

    def _tick(self, work: Work, partition: int, clock: Clock, said_ms: int) -> int:
        """Tells all partitions how far this one has come, if they do not know."""
        if clock.now_ms > said_ms:
            id = f"{partition}/{clock.now_ms}"
            tick = e.encode(e.Tick(id=id, at_ms=clock.now_ms, source=str(partition), of=self.sources))
            work.messages += [Message(self.topic, key, tick) for key in self.partition_keys]
        return clock.now_ms

    def timer_records(self, due: list[tuple[int, str]]) -> list[str]:
        return []

    def apply(self, plan: Plan, state: State) -> Changes:
        work: Work = plan.work
        position = plan.position.moved(work.last, plan.clock, work.counts)
        return Changes(position, messages=work.messages, counts=dict(work.counts))


def living(events: list[tuple[e.Event, int]], forgotten: Forgotten) -> list[tuple[e.Event, int]]:
    """Without those of customers of whom they say, or a tombstone does, that they are forgotten."""
    forgotten.add({name_hash(one.customer): one.at_ms for one, _ in events if isinstance(one, e.Forget)})
    gone = forgotten.among({name for one, _ in events for name in _names(one)})
    return [(one, at) for one, at in events if isinstance(one, e.Forget) or gone.isdisjoint(_names(one))]


def _names(event: e.Event) -> list[str]:
    """The customers that an event names."""
    named = [event.customer, event.into] if isinstance(event, e.Merge) else [event.customer]
    return [name for name in named if name]
