"""Keeps the desk: reads alerts and people's words, tells notices, commits where it stands.

Notices are in Kafka before the state that comes of them is in Redis: what is read again after a crash, with the state
as it was, is told again under the same ids.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from threading import Event
from typing import Any

import msgspec
import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from msgspec import Struct
from redis.exceptions import RedisError

from alerts.notices.alert import read_alert
from alerts.notices.desk import Desk, Terms
from alerts.notices.standing import notice_message
from features.job import Batch
from features.job import Message as Sent
from features.messages import Refused, dead_letter
from features.outgoing import AlertWord
from operators.health import EVENTS, FENCE, LAG, STANDING, Pulse, count
from operators.kafka import consumer, produce
from operators.redis_link import reason
from operators.resent import first_offsets
from operators.source import OffsetExpired
from operators.standings import SINCE, Fence, Standings

log = structlog.get_logger()
FLOW, GROUP = "notify", "brewline-notify"
MOST, WAIT_S, SWEEP_S, CONFIRM_S = 500, 0.1, 1.0, 30.0


class Topics(Struct, frozen=True):
    alerts: str
    words: str
    notices: str
    dead_letters: str


class Word(Struct):
    data: AlertWord


_decode_word = msgspec.json.Decoder(Word).decode


class DeskKeeper:
    """One process keeps the desk; it reads every partition. `board`: where people reach the board."""

    def __init__(
        self,
        client: Mapping[str, Any],
        producer: Producer,
        topics: Topics,
        partitions: Mapping[str, int],
        standings: Standings,
        terms: Terms,
        board: str = "",
    ) -> None:
        self.producer = producer
        self.board = board
        self.topics = topics
        self.standings = standings
        self.fence = standings.fence() or standings.begin(round(time.time() * 1000))
        self.desk = Desk(terms, standings.load(), self.fence.get(SINCE, 0))
        self.swept_s = 0.0
        self.reader: Consumer = consumer(client, GROUP, enable_partition_eof=True)
        places = [(topic, part) for topic in (topics.words, topics.alerts) for part in range(partitions[topic])]
        self.unread = {*places}  # of which there may be more than was heard: nothing is over yet
        self.reader.assign([TopicPartition(*place, self._start(*place)) for place in places])

    def _start(self, topic: str, partition: int) -> int:
        return self.fence.get(f"{topic}/{partition}", OFFSET_BEGINNING)

    def keep(self, pulse: Pulse, stop: Event) -> None:
        """Until `stop`. Raises KafkaException, WrittenByAnother, OffsetExpired; it starts anew from where it stood."""
        try:
            while not stop.is_set():
                self._turn(stop)
                pulse.beat("alerts")
                pulse.well("alerts")
        finally:
            self.reader.close()

    def _turn(self, stop: Event) -> None:
        records = [record for record in self.reader.consume(MOST, timeout=WAIT_S) if self._is_record(record)]
        letters = [letter for record in records if (letter := self._take(record))]
        now_s = time.monotonic()
        if not self.unread and now_s >= self.swept_s + SWEEP_S:
            self.swept_s = now_s
            self.desk.sweep(round(time.time() * 1000))
            self._measure()
        notices = [notice_message(self.topics.notices, notice) for notice in self.desk.notices]
        self._tell([*letters, *notices], stop)
        self._commit({f"{r.topic()}/{r.partition()}": (r.offset() or 0) + 1 for r in records}, stop)

    def _is_record(self, record: Message) -> bool:
        error = record.error()
        if error is not None and error.code() == KafkaError._PARTITION_EOF:
            self.unread.discard((record.topic() or "", record.partition() or 0))
        if error is not None and error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            raise OffsetExpired(
                f"{record.topic()}/{record.partition()}: the offset that was reached is no longer in Kafka: raise the"
                f" topic's retention; to go on with what there is, delete the field from the hash"
                f" {self.standings.keys['fence']} in Redis"
            )
        return error is None

    def _take(self, record: Message) -> Sent | None:
        """A dead letter where it cannot be read."""
        value, stamp_ms = record.value() or b"", record.timestamp()[1]
        try:
            if record.topic() == self.topics.words:
                self.desk.hear(_read_word(value))
            else:
                self.desk.take(read_alert(value).shown_on(self.board), stamp_ms)
        except Refused as refused:
            count(FLOW, {"dead_lettered": 1, f"dead_lettered:{refused.reason}": 1})
            offset, partition = record.offset() or 0, record.partition() or 0
            batch = Batch(record.topic() or "", partition, offset - 1, [offset], [value], [stamp_ms])
            batch.resent = first_offsets([record])
            return dead_letter(self.topics.dead_letters, batch, 0, refused, FLOW)
        EVENTS.labels(FLOW, "applied").inc()
        return None

    def _tell(self, messages: list[Sent], stop: Event) -> None:
        failed: list[KafkaError] = []
        for each in messages:
            produce(self.producer, each, stop, on_delivery=lambda error, _: failed.append(error) if error else None)
        if messages and (self.producer.flush(CONFIRM_S) or failed):
            raise KafkaException(failed[0] if failed else KafkaError(KafkaError._TIMED_OUT))

    def _commit(self, reached: Fence, stop: Event) -> None:
        """Waits for Redis while it is away."""
        if not (reached or self.desk.touched):
            return
        after = {**self.fence, **reached}
        while not self._written(after):
            if stop.wait(1.0):
                return
        self.fence = after
        self.desk.clear()
        for place in reached:
            FENCE.labels(FLOW, place).set(time.time())

    def _written(self, after: Fence) -> bool:
        try:
            self.standings.commit(self.desk.state, self.desk.touched, self.fence, after)
        except RedisError as error:
            log.warning("alerts are not committed", error=reason(error))
            return False
        return True

    def _measure(self) -> None:
        firing = [standing for standing in self.desk.state.book.values() if standing.firing]
        hushed = sum(1 for standing in firing if standing.silenced)
        STANDING.labels("firing").set(len(firing))
        STANDING.labels("silenced").set(hushed)
        STANDING.labels("acknowledged").set(sum(1 for standing in firing if standing.acknowledged_by))
        for place, offset in self.fence.items():
            if place == SINCE:
                continue
            topic, _, partition = place.rpartition("/")
            _, high = self.reader.get_watermark_offsets(TopicPartition(topic, int(partition)), cached=True)
            if high >= 0:
                LAG.labels(FLOW, topic, partition).set(max(0, high - offset))


def _read_word(value: bytes) -> AlertWord:
    try:
        return _decode_word(value).data
    except msgspec.DecodeError:
        raise Refused("malformed", "no word on an alert") from None
