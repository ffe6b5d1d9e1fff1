"""Reads a topic for one consumer group, and commits how far all that was taken is done."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from alerts.delivery.window import Window
from features.job import Batch
from operators import traces
from operators.health import FENCE, LAG, warn_seldom
from operators.kafka import consumer
from operators.resent import first_offsets
from operators.source import OffsetExpired

ASK_S = 5.0
COMMIT_S = 1.0
CLOSE_S = 5.0
AGAIN_S = 0.2
COORDINATES_SOON = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)
RENEW_S = 60.0  # a commit may fail unnoticed, and an offset that is never committed again expires


class Intake:
    """Partitions of a topic, assigned and not subscribed. Raises KafkaException when Kafka does not answer."""

    def __init__(
        self, client: Mapping[str, Any], group: str, flow: str, topic: str, partitions: Iterable[int], latest: bool
    ) -> None:
        """`latest`: a group that has never committed starts at the end."""
        self.group = group
        self.flow = flow
        self.topic = topic
        self.consumer: Consumer = consumer(client, group, max_poll_interval_ms=86_400_000)  # a full window rests
        self.windows: dict[int, Window] = {}
        self.committed: dict[int, tuple[int, float]] = {}  # offset, and when
        self.look_s = 0.0
        self.consumer.assign([self._start(partition, latest) for partition in partitions])

    def _start(self, partition: int, latest: bool) -> TopicPartition:
        place = TopicPartition(self.topic, partition)
        offset = self._found(place)
        if offset < 0 and latest:
            _, offset = self.consumer.get_watermark_offsets(place, timeout=ASK_S)
            self.consumer.commit(offsets=[TopicPartition(self.topic, partition, offset)], asynchronous=False)
        self.windows[partition] = Window(max(0, offset))
        self.committed[partition] = (offset, time.monotonic())
        return TopicPartition(self.topic, partition, offset if offset >= 0 else OFFSET_BEGINNING)

    def _found(self, place: TopicPartition) -> int:
        """What the group has committed. A Kafka that has just started or come back knows of no coordinator at first."""
        end_s = time.monotonic() + ASK_S
        while True:
            try:
                [found] = self.consumer.committed([place], timeout=ASK_S)
                if found.error is not None:  # no offset known is not the same as none committed
                    raise KafkaException(found.error)
                return int(found.offset)
            except KafkaException as error:
                if error.args[0].code() not in COORDINATES_SOON or time.monotonic() > end_s:
                    raise
            time.sleep(AGAIN_S)

    @property
    def open(self) -> int:
        """Records that were taken and are kept until all before them are done."""
        return sum(len(window.taken) for window in self.windows.values())

    def take(self, most: int) -> list[Batch]:
        """Records that are there, each for itself."""
        found = []
        for message in self.consumer.consume(most, timeout=0) if most > 0 else []:
            if (error := message.error()) is not None:
                self._judge(error, message.partition())
                continue
            partition, offset = message.partition(), message.offset()
            self.windows[partition].take(offset)
            value, stamp_ms = message.value() or b"", message.timestamp()[1]
            traced = traces.carried(message) if traces.spans else ""
            first = first_offsets([message])
            found.append(
                Batch(self.topic, partition, offset - 1, [offset], [value], [stamp_ms], traced=traced, resent=first)
            )
        return found

    def _judge(self, error: KafkaError, partition: int) -> None:
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            raise OffsetExpired(
                f"{self.topic}/{partition}: the committed offset is no longer in Kafka: {error.str()}. Raise the"
                f" topic's retention; to go on with what there is, stop the flow and run kafka-consumer-groups.sh"
                f" --group {self.group} --topic {self.topic} --reset-offsets --to-earliest --execute"
            )
        warn_seldom("kafka read", self.group, error.name(), group=self.group, error=error.str())

    def finish(self, partition: int, offset: int) -> None:
        self.windows[partition].finish(offset)

    def commit(self) -> None:
        """At most every COMMIT_S, without waiting: a commit that fails is made up for by the next."""
        now_s = time.monotonic()
        if now_s < self.look_s + COMMIT_S:
            return
        self.look_s = now_s
        if places := self._places(now_s):
            self.consumer.commit(offsets=places, asynchronous=True)
            self._note(places, now_s)
        self._measure()

    def _places(self, now_s: float) -> list[TopicPartition]:
        """Where the group stands, of partitions that have moved or whose offset would expire."""
        return [
            TopicPartition(self.topic, partition, window.reached)
            for partition, window in self.windows.items()
            if window.reached > max(0, self.committed[partition][0])
            or (window.reached and now_s > self.committed[partition][1] + RENEW_S)
        ]

    def _note(self, places: list[TopicPartition], now_s: float) -> None:
        for place in places:
            self.committed[place.partition] = (place.offset, now_s)
            FENCE.labels(self.flow, str(place.partition)).set(time.time())

    def _measure(self) -> None:
        for partition, window in self.windows.items():
            _, high = self.consumer.get_watermark_offsets(TopicPartition(self.topic, partition), cached=True)
            if high >= 0:
                LAG.labels(self.flow, self.topic, str(partition)).set(max(0, high - window.reached))

    def close(self) -> None:
        """Commits what is done, and says so where Kafka does not take it in time: it will come again."""
        places, end_s = self._places(time.monotonic() + RENEW_S), time.monotonic() + CLOSE_S
        while places and (reason := self._refused(places)):
            if time.monotonic() > end_s:
                warn_seldom("not committed", self.group, group=self.group, error=reason)
                break
            time.sleep(AGAIN_S)  # a Kafka that has just come back knows of no coordinator at first
        self.consumer.close()

    def _refused(self, places: list[TopicPartition]) -> str:
        """Why a commit was not taken; empty when it was."""
        try:
            answers = self.consumer.commit(offsets=places, asynchronous=False)
        except KafkaException as error:
            return str(error.args[0].str())
        return next((place.error.str() for place in answers if place.error is not None), "")
