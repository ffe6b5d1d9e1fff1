"""Sends records to Kafka at the pace of their own time, or as fast as Kafka takes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from math import inf
from threading import Event
from time import monotonic
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, Producer
from msgspec import Struct

from features.job import Message
from operators.kafka import partition_count, produce

CONFIRM_EVERY_S = 1.0
LAST_FLUSH_S = 5.0  # what a sender that was told to stop gives Kafka for the rest


class Sendable(Protocol):
    """What the sender sees of a record; `at_ms` says when, and a tick goes to every partition of its topic."""

    @property
    def at_ms(self) -> int: ...
    @property
    def topic(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def value(self) -> bytes: ...
    @property
    def tick(self) -> bool: ...


class Sent(Struct):
    """What has been sent; ticks do not count as events."""

    counts: dict[str, int] = {}  # events by topic, without prefix
    first_ms: int = 0  # stream time of the first event
    last_ms: int = 0
    seconds: float = 0.0
    complete: bool = False  # all records, acknowledged; False when stopped before

    @property
    def events(self) -> int:
        return sum(self.counts.values())


class NotDelivered(ValueError):
    """Kafka refused records for good; the message says how many, and why the first."""


def send(
    records: Iterable[Sendable],
    producer: Producer,
    prefix: str,
    speed: float | None = None,
    stop: Event | None = None,
    confirmed: Callable[[Sent], None] | None = None,
    per_key: int | None = None,
) -> Sent:
    """Sends until the records end or `stop` is set; `speed` is stream seconds a second, None for no pacing.

    `confirmed` is called about once a second, before a key has more than `per_key` events since, and at
    the end: Kafka has then acknowledged all that was taken from `records`, except the one whose time has
    not come. Raises NotDelivered.
    """
    sending = _Sending(producer, prefix, speed, stop or Event(), confirmed, per_key)
    for record in records:
        if not (sending.wait(record.at_ms) and sending.put(record)):
            return sending.end(complete=False)
    return sending.end(complete=True)


class _Sending:
    """One run of `send`."""

    def __init__(
        self,
        producer: Producer,
        prefix: str,
        speed: float | None,
        stop: Event,
        confirmed: Callable[[Sent], None] | None,
        per_key: int | None,
    ) -> None:
        self.producer, self.prefix, self.speed, self.stop = producer, prefix, speed, stop
        self.confirmed, self.per_key = confirmed, per_key
        self.unconfirmed: Counter[str] = Counter()  # events by key; counted where `per_key` bounds them
        self.sent = Sent()
        self.partitions: dict[str, int] = {}
        self.failures: list[str] = []
        self.began = monotonic()
        self.confirm_at = self.began + CONFIRM_EVERY_S
        self.start_ms: int | None = None  # stream time at `began`

    def wait(self, at_ms: int) -> bool:
        """Until the time of a record has come; False when told to stop."""
        if self.start_ms is None:
            self.start_ms = at_ms
        due = self.began + (at_ms - self.start_ms) / 1000 / self.speed if self.speed else 0.0
        while not self.stop.is_set():
            if monotonic() >= self.confirm_at:
                self.confirm()
            left = due - monotonic()
            if left <= 0:
                return True
            self.producer.poll(min(left, 0.1))
        return False

    def put(self, record: Sendable) -> bool:
        """Hands a record to the producer; False when told to stop while its queue was full."""
        message = Message(self.prefix + record.topic, record.key, record.value)
        try:
            if record.tick:
                for partition in range(self._partitions(message.topic)):
                    produce(self.producer, message, self.stop, partition=partition, on_delivery=self._delivered)
                return True
            produce(self.producer, message, self.stop, on_delivery=self._delivered)
        except BufferError:
            return False
        except KafkaException as error:
            raise NotDelivered(f"Kafka refused a record for {message.topic}: {error.args[0].str()}") from error
        self._count(record)
        return True

    def _count(self, record: Sendable) -> None:
        sent = self.sent
        if not sent.counts:
            sent.first_ms = record.at_ms
        sent.last_ms = record.at_ms
        sent.counts[record.topic] = sent.counts.get(record.topic, 0) + 1
        if self.per_key:
            self.unconfirmed[record.key] += 1
            if self.unconfirmed[record.key] >= self.per_key:
                self.confirm_at = 0.0

    def _partitions(self, topic: str) -> int:
        if topic not in self.partitions:
            self.partitions[topic] = partition_count(self.producer, topic)
        return self.partitions[topic]

    def _delivered(self, error: KafkaError | None, message: Any) -> None:
        if error is not None:
            self.failures.append(f"{message.topic()}: {error.str()}")

    def confirm(self) -> bool:
        """Waits until Kafka has acknowledged everything; False when told to stop and it does not in time."""
        give_up_at = inf
        while self.producer.flush(0.2):
            if self.stop.is_set():
                give_up_at = min(give_up_at, monotonic() + LAST_FLUSH_S)
            if monotonic() > give_up_at:
                return False
        if self.failures:
            raise NotDelivered(f"{len(self.failures)} records were not delivered; the first, to {self.failures[0]}")
        self.sent.seconds = monotonic() - self.began
        if self.confirmed:
            self.confirmed(self.sent)
        self.unconfirmed.clear()
        self.confirm_at = monotonic() + CONFIRM_EVERY_S
        return True

    def end(self, complete: bool) -> Sent:
        self.sent.complete = self.confirm() and complete
        return self.sent
