"""The outbox relay: sends what is committed to Kafka, trims the outbox when Kafka has confirmed it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from threading import Event
from typing import Any

import structlog
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from confluent_kafka import KafkaError, KafkaException
from msgspec import Struct
from redis.exceptions import RedisError

from operators.health import OUTBOX
from operators.kafka import produce, producer
from operators.store import PartitionStore, Sent

log = structlog.get_logger()
FLUSH_S = 10.0


class Waiting(Struct):
    """An outbox entry on its way; it may go when nothing of it is undelivered."""

    id: str
    undelivered: int


class Relay(DynamicSink[list[Sent]]):
    """Sink of a partition step. Kafka's receivers see each message at least once, under one id."""

    def __init__(self, client: Mapping[str, Any], store: PartitionStore, stop: Event) -> None:
        self.client = client
        self.store = store
        self.stop = stop

    def build(self, step_id: str, worker_index: int, worker_count: int) -> RelayWorker:
        return RelayWorker(self.client, self.store, self.stop)


class RelayWorker(StatelessSinkPartition[list[Sent]]):
    """Keeps each partition's commits in order until all of their messages are delivered."""

    def __init__(self, client: Mapping[str, Any], store: PartitionStore, stop: Event) -> None:
        self.producer = producer(client)
        self.store = store
        self.stop = stop
        self.waiting: dict[int, deque[Waiting]] = {}  # by partition, oldest first
        self.confirmed: dict[int, str] = {}  # by partition, up to where the outbox is no longer needed
        self.failure: KafkaError | None = None

    def write_batch(self, items: list[list[Sent]]) -> None:
        for sent in [sent for item in items for sent in item]:
            self._send(sent)
        self.producer.poll(0)
        self._trim()

    def _send(self, sent: Sent) -> None:
        entry = Waiting(sent.id, len(sent.messages))
        self.waiting.setdefault(sent.partition, deque()).append(entry)

        def delivered(error: KafkaError | None, _: Any) -> None:
            if error is None:
                entry.undelivered -= 1
            else:
                self.failure = error

        for message in sent.messages:
            produce(self.producer, message, self.stop, sent.trace, on_delivery=delivered)

    def _trim(self) -> None:
        if self.failure is not None:
            raise KafkaException(self.failure)
        for partition, entries in self.waiting.items():
            while entries and not entries[0].undelivered:
                self.confirmed[partition] = entries.popleft().id
        if self.confirmed and not self.store.trims_busy():
            self._ask(self.store.trim, self.confirmed)
            self.confirmed = {}
        OUTBOX.labels(self.store.flow).set(sum(len(entries) for entries in self.waiting.values()))

    def _ask(self, trimming: Callable[..., None], *args: Any) -> None:
        try:
            trimming(*args)
        except RedisError as error:  # the next commit's trim covers what is missing
            log.warning("outbox not trimmed", flow=self.store.flow, error=str(error))

    def close(self) -> None:
        """Delivers what it holds; raises nothing, as it is also closed while another error ends the flow."""
        left = self.producer.flush(FLUSH_S)
        if self.failure is None:
            self._ask(self.store.trimmed)
            self._trim()
            self._ask(self.store.trimmed)
        if left or self.failure is not None:
            log.warning("messages stay in the outbox", flow=self.store.flow, messages=left, error=str(self.failure))
