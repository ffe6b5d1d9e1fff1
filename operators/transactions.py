"""Kafka to Kafka exactly once: outputs and input offset of a batch in one Kafka transaction.

There is one transactional producer per input partition, named after it, so a zombie that still
reads the partition is fenced by Kafka when its successor starts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from threading import Event
from typing import Any, TypeVar

import structlog
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from msgspec import Struct

from features.job import Batch, Message
from operators.health import BATCH, FENCE, STAGE, Pulse, count
from operators.kafka import consumer, produce, producer
from operators.store import Fenced

log = structlog.get_logger()
T = TypeVar("T")
TIMEOUT_S = 30.0
SOON = {
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.UNSTABLE_OFFSET_COMMIT,
}


class Cleaned(Struct):
    """A batch and what it becomes. `stamps_ms` gives each message its Kafka timestamp."""

    batch: Batch
    messages: list[Message]
    stamps_ms: list[int]
    counts: dict[str, int]


class TransactionFence:
    """The fence of a Kafka-to-Kafka flow: its consumer group's committed offsets."""

    def __init__(self, flow: str, client: Mapping[str, Any], prefix: str, pulse: Pulse, stop: Event) -> None:
        self.flow = flow
        self.client = client
        self.prefix = prefix
        self.pulse = pulse
        self.stop = stop
        self.consumer: Consumer = consumer(client, f"{prefix}brewline-{flow}")
        self.producers: dict[tuple[str, int], Producer] = {}

    def claim(self, topic: str, partition: int) -> int:
        """Fences the partition's former producer first, so that the offset read then is final."""
        name = f"{self.prefix}brewline-{self.flow}-{topic}-{partition}"
        made = producer(
            self.client,
            transactional_id=name,
            message_timeout_ms=10_000,
            transaction_timeout_ms=15_000,
            metadata_recovery_strategy="none",  # else librdkafka sends offsets to a broker it has given up, for ever
        )
        self.insist(made.init_transactions)
        self.producers[topic, partition] = made
        found = self.insist(self._committed, TopicPartition(topic, partition))
        return int(found.offset) - 1 if found.offset >= 0 else -1

    def _committed(self, place: TopicPartition, timeout_s: float) -> TopicPartition:
        (found,) = self.consumer.committed([place], timeout=timeout_s)
        if found.error is not None:  # no offset known is not the same as none committed
            raise KafkaException(found.error)
        return found

    def rewind(self, topic: str, partition: int) -> int | None:
        return None

    def insist(self, operation: Callable[..., T], *args: Any) -> T:
        """Repeats an operation that may be repeated as it is: Kafka says so, or its coordinator is just coming up."""
        while True:
            try:
                return operation(*args, TIMEOUT_S)
            except KafkaException as exception:
                error = exception.args[0]
                if not (error.retriable() or error.code() in SOON) or self.stop.wait(0.1):
                    raise
                log.warning("kafka repeats", flow=self.flow, error=error.str())


class Transactions(DynamicSink[Cleaned]):
    """Writes each batch's messages and its input offset in one transaction; `committed` hears of each that is."""

    def __init__(self, fence: TransactionFence, committed: Callable[[Batch], None]) -> None:
        self.fence = fence
        self.committed = committed

    def build(self, step_id: str, worker_index: int, worker_count: int) -> TransactionWorker:
        return TransactionWorker(self.fence, self.committed)


class TransactionWorker(StatelessSinkPartition[Cleaned]):
    def __init__(self, fence: TransactionFence, committed: Callable[[Batch], None]) -> None:
        self.fence = fence
        self.committed = committed

    def write_batch(self, items: list[Cleaned]) -> None:
        for item in items:
            if item.batch.offsets or item.messages:
                self._commit(item)

    def _commit(self, item: Cleaned) -> None:
        """Repeats the transaction until Kafka has taken it. Raises Fenced when another process took over."""
        fence, batch, started, wait_s = self.fence, item.batch, time.perf_counter(), 0.1
        name = f"kafka, writing {fence.flow} {batch.topic}/{batch.partition}"
        while True:
            try:
                self._attempt(item)
                break
            except KafkaException as exception:
                error = exception.args[0]
                if error.fatal():
                    raise Fenced(f"{fence.flow}: {batch.topic}/{batch.partition}: {error.str()}") from exception
                fence.pulse.trouble(name, error.str())
                log.warning("transaction repeated", flow=fence.flow, error=error.str(), retry_s=wait_s)
                if fence.stop.wait(wait_s):
                    raise
                wait_s = min(wait_s * 2, 5.0)
        self.committed(batch)
        fence.pulse.well(name)
        BATCH.labels(fence.flow).observe(len(batch.offsets))
        STAGE.labels(fence.flow, "commit").observe(time.perf_counter() - started)
        FENCE.labels(fence.flow, f"{batch.topic}/{batch.partition}").set(time.time())
        count(fence.flow, item.counts)

    def _attempt(self, item: Cleaned) -> None:
        batch = item.batch
        producer = self.fence.producers[batch.topic, batch.partition]
        producer.begin_transaction()
        try:
            for message, stamp_ms in zip(item.messages, item.stamps_ms, strict=True):
                produce(producer, message, self.fence.stop, timestamp=stamp_ms)
            if batch.last >= 0:  # with ticks too: an offset that is not renewed expires
                offset = TopicPartition(batch.topic, batch.partition, batch.last + 1)
                group = self.fence.consumer.consumer_group_metadata()
                self.fence.insist(producer.send_offsets_to_transaction, [offset], group)
            self.fence.insist(producer.commit_transaction)
        except KafkaException as exception:
            if not exception.args[0].fatal():
                self.fence.insist(producer.abort_transaction)
            raise
