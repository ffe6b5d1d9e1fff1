"""A small world for tests of merges: the clean topic with its partitions, and the customers flow over each of them."""

from __future__ import annotations

from features import events as e
from features.job import Job, Position
from features.loop import Store, batches, run
from features.partitions import partition_of
from features.record import forwarded

PARTITIONS = 3


class World:
    """What the flow sends to the clean topic is put at the end of it, as the relay does."""

    def __init__(self, job: Job, logs: list[list[bytes]] | None = None) -> None:
        self.job = job
        self.logs = [list(log) for log in logs] if logs else [[] for _ in range(PARTITIONS)]
        self.stores = {partition: Store() for partition in range(PARTITIONS)}
        self.relayed = [0] * PARTITIONS

    def tell(self, event: e.Event) -> None:
        """As ingest does: to the partition of the event's customer; a tick to all."""
        raw = e.encode(event)
        for partition in [partition_of(event.customer, PARTITIONS)] if event.customer else range(PARTITIONS):
            self.logs[partition].append(raw)

    def merge(self, one: str, other: str, at_ms: int = 1) -> None:
        winner, loser = sorted((one, other))
        self.tell(e.Merge(id=f"{loser}>{winner}", customer=loser, at_ms=at_ms, into=winner))

    def work(self, partition: int, events: int) -> None:
        """Applies up to so many records of a partition, and relays what comes of it."""
        first = self.position(partition).offset + 1
        values = self.logs[partition][first : first + events]
        if values:
            run(self.job, batches("events", partition, values, first=first), self.stores)
        self.relay(partition)

    def relay(self, partition: int, again: int = 0) -> None:
        """`again`: so many messages are sent once more, in their order, as after a crash before trimming."""
        sent = self.stores[partition].sent
        for message in sent[max(0, self.relayed[partition] - again) :]:
            if message.topic == "events":
                self.logs[partition_of(message.key, PARTITIONS)].append(message.value)
        self.relayed[partition] = len(sent)

    def settle(self) -> None:
        """Until nothing is left to read."""
        while any(self.position(p).offset + 1 < len(self.logs[p]) for p in range(PARTITIONS)):
            for partition in range(PARTITIONS):
                self.work(partition, 1_000)

    def record(self, customer: str) -> tuple[str, bytes]:
        """Who somebody is now, and the record."""
        raw = self.stored(customer)
        into = forwarded(raw)
        return self.record(into) if into else (customer, raw)

    def count(self, name: str) -> int:
        return sum(self.position(partition).counts.get(name, 0) for partition in range(PARTITIONS))

    def position(self, partition: int) -> Position:
        return self.stores[partition].position

    def stored(self, customer: str) -> bytes:
        return self.stores[partition_of(customer, PARTITIONS)].records.get(customer, b"")
