"""Kafka to Kafka exactly once: outputs and input offset of a batch in one Kafka transaction.

There is one transactional producer per input partition, named after it, so a zombie that still
reads the partition is fenced by Kafka when its successor starts.

What can go wrong, and what happens:

- Kafka is away or refuses: the transaction is repeated; /healthz is red meanwhile.
- A producer breaks for good (Kafka was killed and no longer knows its transaction, or has timed it out): it gets a
  successor in this process, which asks how far the partition is committed. The batch is repeated, or was committed
  after all, or the source rewinds.
- Another process owns the partition: Fenced is raised and this process ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from msgspec import Struct

from features.job import Batch, Message
from operators import traces
from operators.health import BATCH, FENCE, STAGE, Pulse, count, warn_seldom
from operators.kafka import consumer, produce, producer
from operators.owners import Owners
from operators.store import Fenced

if TYPE_CHECKING:
    from opentelemetry.trace import Span

log = structlog.get_logger()
T = TypeVar("T")
Place = tuple[str, int]  # topic and partition
TIMEOUT_S = 5.0
RENEW_S = 60.0
SOON = {
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.UNSTABLE_OFFSET_COMMIT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._TRANSPORT,
    KafkaError._WAIT_COORD,
}
FENCED = {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}


class Cleaned(Struct):
    """A batch and what it becomes. `stamps_ms` gives each message its Kafka timestamp."""

    batch: Batch
    messages: list[Message]
    stamps_ms: list[int]
    counts: dict[str, int]
    began_s: float = 0.0  # by time.perf_counter, as is `cleaned_s`
    cleaned_s: float = 0.0
    trace: str = ""  # the context that its messages bear


class TransactionFence:
    """The fence of a Kafka-to-Kafka flow: its consumer group's committed offsets."""

    def __init__(
        self, flow: str, client: Mapping[str, Any], prefix: str, owners: Owners, pulse: Pulse, stop: Event
    ) -> None:
        self.flow = flow
        self.owners = owners
        self.client = client
        self.prefix = prefix
        self.pulse = pulse
        self.stop = stop
        self.consumer: Consumer = consumer(client, f"{prefix}brewline-{flow}")
        self.producers: dict[Place, Producer] = {}
        self.reached: dict[Place, int] = {}  # the last offset committed
        self.rewinds: dict[Place, int] = {}
        self.broken: set[Place] = set()  # places whose producer will never work again
        self.renewed_s: dict[Place, float] = {}  # when the offset was last committed

    def claim(self, topic: str, partition: int) -> int:
        """Fences the partition's former producer first, so that the offset read then is final."""
        name = f"{self.prefix}brewline-{self.flow}-{topic}-{partition}"
        self.owners.claim(topic, partition)
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
        self.reached[topic, partition] = int(found.offset) - 1 if found.offset >= 0 else -1
        return self.reached[topic, partition]

    def mend(self, place: Place) -> None:
        """A new producer instead of one that is broken, if it is."""
        if place in self.broken:
            self.claim(*place)
            self.broken.discard(place)
            log.warning("producer replaced", flow=self.flow, topic=place[0], partition=place[1])

    def _committed(self, place: TopicPartition, timeout_s: float) -> TopicPartition:
        (found,) = self.consumer.committed([place], timeout=timeout_s)
        if found.error is not None:  # no offset known is not the same as none committed
            raise KafkaException(found.error)
        return found

    def rewind(self, topic: str, partition: int) -> int | None:
        return self.rewinds.pop((topic, partition), None)

    def awaits(self, topic: str, partition: int) -> bool:
        return False  # a transaction is committed before the next batch is read

    def release(self, topic: str, partition: int) -> None:
        """Nothing is held that others wait for."""

    def follows(self, batch: Batch) -> bool:
        """Whether a batch is the next one to commit; the source rewinds when it is a later one."""
        place = (batch.topic, batch.partition)
        if batch.after > self.reached[place]:
            self.rewinds[place] = self.reached[place]
        return batch.after == self.reached[place]

    def renews(self, batch: Batch) -> bool:
        """Whether a batch has to commit its offset: with ticks, too, for one that is never renewed expires."""
        renewed_s = self.renewed_s.get((batch.topic, batch.partition), float("-inf"))
        return bool(batch.offsets) or (batch.last >= 0 and time.monotonic() > renewed_s + RENEW_S)

    def insist(self, operation: Callable[..., T], *args: Any) -> T:
        """Repeats an operation that may be repeated as it is: Kafka says so, or its coordinator is just coming up."""
        while True:
            try:
                return operation(*args, TIMEOUT_S)
            except KafkaException as exception:
                error = exception.args[0]
                soon = error.code() in SOON and not (error.fatal() or error.txn_requires_abort())
                if not (error.retriable() or soon) or self.stop.wait(0.1):
                    raise
                warn_seldom("kafka repeats", error.name(), flow=self.flow, error=error.str())


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
        fence, batch, started = self.fence, item.batch, time.perf_counter()
        name = f"kafka, writing {fence.flow} {batch.topic}/{batch.partition}"
        span = self._begin_span(item)
        with fence.pulse.waiting(name):
            if not self._persist(item, name):
                return
        self.committed(batch)
        fence.pulse.well(name)
        BATCH.labels(fence.flow).observe(len(batch.offsets))
        STAGE.labels(fence.flow, "commit").observe(time.perf_counter() - started)
        FENCE.labels(fence.flow, f"{batch.topic}/{batch.partition}").set(time.time())
        count(fence.flow, item.counts)
        if span and traces.spans:
            stages = [("clean", item.began_s, item.cleaned_s), ("commit", started, time.perf_counter())]
            traces.spans.end(span, stages)

    def _begin_span(self, item: Cleaned) -> Span | None:
        """One that is never ended, as where the source has to bring the batch again, is not told."""
        if not traces.spans:
            return None
        span = traces.spans.begin(self.fence.flow, item.batch, item.began_s)
        item.trace = traces.carried_by(span)
        return span

    def _persist(self, item: Cleaned, name: str) -> bool:
        """Repeats the transaction until Kafka has it; False when the source has to bring the batch again."""
        fence, batch, wait_s = self.fence, item.batch, 0.1
        place = (batch.topic, batch.partition)
        while True:
            try:
                fence.mend(place)
                if batch.offsets and batch.last == fence.reached[place]:
                    return True  # the broken producer's last word had come through
                if not fence.follows(batch):
                    return False
                self._attempt(item)
                fence.reached[place] = batch.last
                return True
            except KafkaException as exception:
                self._judge(exception, batch, name, wait_s)
                if fence.stop.wait(wait_s):
                    raise
                wait_s = min(wait_s * 2, 5.0)

    def _judge(self, exception: KafkaException, batch: Batch, name: str, wait_s: float) -> None:
        """Notes what is to be done before the next attempt. Raises Fenced when another process took over."""
        fence, error, place = self.fence, exception.args[0], (batch.topic, batch.partition)
        if error.code() in FENCED and not fence.owners.owns(*place):
            raise Fenced(
                f"{fence.flow}: {batch.topic}/{batch.partition}: {error.str()}: another process owns it now"
            ) from exception
        if error.fatal() or error.code() in FENCED:
            fence.broken.add(place)
        fence.pulse.trouble(name, error.str())
        warn_seldom("transaction repeated", name, error.name(), flow=fence.flow, error=error.str(), retry_s=wait_s)

    def _attempt(self, item: Cleaned) -> None:
        batch = item.batch
        producer = self.fence.producers[batch.topic, batch.partition]
        producer.begin_transaction()
        try:
            for message, stamp_ms in zip(item.messages, item.stamps_ms, strict=True):
                produce(producer, message, self.fence.stop, item.trace, timestamp=stamp_ms)
            if self.fence.renews(batch):
                offset = TopicPartition(batch.topic, batch.partition, batch.last + 1)
                group = self.fence.consumer.consumer_group_metadata()
                self.fence.insist(producer.send_offsets_to_transaction, [offset], group)
            self.fence.insist(producer.commit_transaction)
            if self.fence.renews(batch):
                self.fence.renewed_s[batch.topic, batch.partition] = time.monotonic()
        except KafkaException as exception:
            if not exception.args[0].fatal():
                self.fence.insist(producer.abort_transaction)
            raise
