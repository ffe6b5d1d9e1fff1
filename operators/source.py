"""Kafka as a Bytewax source of micro-batches, started where Redis says and rewound when Redis says."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from math import inf
from threading import Event
from typing import Any, Protocol

import structlog
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from features.job import Batch
from operators import hearing, traces
from operators.alignment import Alignment, kafka_time
from operators.health import LAG, Pulse, warn_seldom
from operators.kafka import consumer
from operators.resent import first_offsets

log = structlog.get_logger()
HEARTBEAT_S = 1.0
LANDING_S = 0.1  # a commit waits no longer to be taken up while what comes gathers
SILENT_S = 2.0  # a broker answers each fetch, if only with nothing


class Fence(Protocol):
    """Who knows how far a partition has been processed."""

    def claim(self, topic: str, partition: int) -> int:
        """Takes the partition over; the last offset processed, or -1."""

    def rewind(self, topic: str, partition: int) -> int | None:
        """The offset to go back behind, once; None when all is well."""

    def awaits(self, topic: str, partition: int) -> bool:
        """Whether a commit waits to be taken up by the partition's next batch, be it an empty one."""

    def release(self, topic: str, partition: int) -> None:
        """Nothing more comes of the partition: it is left in order."""


class KafkaBatches(FixedPartitionedSource[Batch, None]):
    """Micro-batches of whole topics; one consumer per partition, a heartbeat batch per quiet second."""

    def __init__(
        self,
        flow: str,
        client: Mapping[str, Any],
        topics: Mapping[str, int],
        fence: Fence,
        pulse: Pulse,
        stop: Event,
        batch_events: int,
        poll_ms: int,
        fetch_wait_ms: int = 100,
        gather_ms: int = 0,
        share: tuple[int, int] = (0, 1),
        alignment: Alignment | None = None,
    ) -> None:
        """`fetch_wait_ms`: how long a broker without news keeps a fetch waiting.

        `gather_ms`: for how long what comes is left to gather once all has been read. `share` (i, n): this is process
        i of n, and reads every n-th partition from i on.
        """
        self.flow = flow
        self.client = client
        self.topics = topics
        self.fence = fence
        self.pulse = pulse
        self.stop = stop
        self.batch_events = batch_events
        self.fetch_wait_ms = fetch_wait_ms
        self.share = share
        self.poll = timedelta(milliseconds=poll_ms)
        self.alignment = alignment or Alignment(inf, kafka_time)
        self.gather_s = gather_ms / 1000

    def list_parts(self) -> list[str]:
        mine, of = self.share
        return [f"{topic}/{p}" for topic, count in self.topics.items() for p in range(count) if p % of == mine]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> Partition:
        topic, _, number = for_part.rpartition("/")
        return Partition(self, topic, int(number))


class Partition(StatefulSourcePartition[Batch, None]):
    """One partition's reader; its position lives with the fence, not with Bytewax."""

    def __init__(self, source: KafkaBatches, topic: str, number: int) -> None:
        self.source = source
        self.topic = topic
        self.number = number
        self.name = f"{source.flow} {topic}/{number}"
        self.lag = LAG.labels(source.flow, topic, str(number))
        self.hearing = hearing.Hearing(topic, number)
        self.consumer: Consumer = consumer(
            source.client,
            f"brewline-{source.flow}",
            enable_partition_eof=True,
            fetch_wait_max_ms=source.fetch_wait_ms,
            statistics_interval_ms=hearing.EVERY_MS,
            stats_cb=self.hearing,
        )
        self.heartbeat_at = 0.0
        self.end: int | None = None  # the partition's end, when it has been read up to there
        self.awake: datetime | None = None
        self.gathered_at = 0.0
        self.lane = source.alignment.open()
        self.after = source.fence.claim(topic, number)
        self.consumer.assign([self._start()])
        log.info("partition opened", flow=source.flow, topic=topic, partition=number, after=self.after)

    def _start(self) -> TopicPartition:
        return TopicPartition(self.topic, self.number, self.after + 1 if self.after >= 0 else OFFSET_BEGINNING)

    def next_batch(self) -> Iterable[Batch]:
        if self.source.stop.is_set():
            return self._last_words()
        self.source.pulse.beat(self.name)
        back = self.source.fence.rewind(self.topic, self.number)
        if back is not None:
            log.warning("partition rewound", flow=self.source.flow, topic=self.topic, partition=self.number, after=back)
            self.after, self.end, self.gathered_at = back, None, 0.0
            self.lane.reopen()
            self.consumer.assign([self._start()])
        rest_s = self.gathered_at - time.monotonic()
        if rest_s > 0:
            self.awake = datetime.now(timezone.utc) + timedelta(seconds=min(rest_s, LANDING_S))
            return self._taking_up()
        messages = self._read()
        self.awake = None if messages else datetime.now(timezone.utc) + self.source.poll
        if len(messages) < self.source.batch_events and not self.lane.records:
            self.gathered_at = time.monotonic() + self.source.gather_s
        if not messages and time.monotonic() < self.heartbeat_at:
            return self._taking_up()
        self.heartbeat_at = time.monotonic() + HEARTBEAT_S
        batch = self._batch(messages, round(time.time() * 1000))
        self.after = batch.last
        at_end = self._measure_lag(quiet=not messages)
        if not messages:  # who knows what waits unread: only as much time has passed here as its broker has told
            all_read = at_end and not self.lane.records
            batch.at_ms -= round(self.hearing.silent_s * 1000) if all_read else batch.at_ms
        return [batch]

    def _taking_up(self) -> list[Batch]:
        """A batch that only lets a commit be taken up, when one waits for that; no time passes with it."""
        awaited = self.source.fence.awaits(self.topic, self.number)
        return [Batch(self.topic, self.number, self.after)] if awaited else []

    def _last_words(self) -> list[Batch]:
        if batches := self._taking_up():
            return batches
        self.source.fence.release(self.topic, self.number)
        raise StopIteration

    def _read(self) -> list[Message]:
        room = self.source.batch_events - len(self.lane.records)
        messages = self.lane.take(self.consumer.consume(room, timeout=0) if room > 0 else [])
        good = [message for message in messages if message.error() is None]
        bad = [message for message in messages if message.error() is not None] if len(good) < len(messages) else []
        for message in bad:
            error = message.error()
            if error.code() == KafkaError._PARTITION_EOF:
                self.end = message.offset()
                self.lane.met_end()
            else:
                self._judge(error)
        if good and messages[-1] is good[-1]:
            self.end = None
        return good

    def _judge(self, error: KafkaError) -> None:
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            raise OffsetExpired(
                f"{self.name}: offset {self.after + 1} is no longer in Kafka: {error.str()}."
                " Raise the topic's retention, or start afresh under another redis.prefix"
            )
        warn_seldom("kafka read", self.name, partition=self.name, error=error.str())

    def _batch(self, messages: list[Message], at_ms: int) -> Batch:
        stamps_ms = [m.timestamp()[1] for m in messages]
        if max(stamps_ms, default=0) > at_ms:  # a producer whose clock is ahead moves nobody's time
            stamps_ms = [min(stamp_ms, at_ms) for stamp_ms in stamps_ms]
        return Batch(
            self.topic,
            self.number,
            self.after,
            [m.offset() for m in messages],
            [m.value() or b"" for m in messages],
            stamps_ms,
            at_ms,
            traces.carried(messages[-1]) if messages and traces.spans else "",
            first_offsets(messages),
        )

    def _measure_lag(self, quiet: bool) -> bool:
        """Whether all has been read, as far as the broker has told; one that tells nothing is complained of."""
        where = f"kafka, reading {self.name}"
        silent_s = self.hearing.silent_s
        if quiet and silent_s > SILENT_S + self.source.fetch_wait_ms / 1000:
            self.source.pulse.trouble(where, f"the broker has said nothing for {silent_s:.0f} s")
            return False
        self.source.pulse.well(where)
        _, high = self.consumer.get_watermark_offsets(TopicPartition(self.topic, self.number), cached=True)
        # the last offset may be a transaction's marker, which is never read
        at_end = self.end is not None and self.end in (high, self.hearing.end)
        if high >= 0:
            self.lag.set(0 if at_end else max(0, high - 1 - self.after))
        return at_end

    def next_awake(self) -> datetime | None:
        return self.awake

    def snapshot(self) -> None:
        return None

    def close(self) -> None:
        self.lane.close()
        self.consumer.close()


class OffsetExpired(Exception):
    """Kafka has deleted records that were not yet processed."""
