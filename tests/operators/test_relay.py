"""The relay: what is committed reaches Kafka, and leaves the outbox only when Kafka has it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from os import urandom
from pathlib import Path
from threading import Event
from uuid import uuid4

import pytest
import redis as redis_py
from confluent_kafka import Consumer, KafkaException, TopicPartition
from redis.backoff import NoBackoff
from redis.retry import Retry

from features.job import Changes, Message, Plan, Position
from features.partitions import partition_of
from operators.health import OUTBOX
from operators.kafka import ensure_topics
from operators.relay import Relay, RelayWorker
from operators.servers import KafkaServer, MockKafka, RedisServer, redis_server
from operators.store import PartitionStore, Sent

pytestmark = pytest.mark.servers
WAIT_S = 30.0
QUIET = {"log_level": 0, "error_cb": lambda _: None}


class Desk:
    """A partition whose commits hold messages only, and the relay behind it."""

    def __init__(self, kafka: KafkaServer | MockKafka, redis_url: str, topic: str, partition: int = 0) -> None:
        self.kafka, self.topic, self.partition, self.offset = kafka, topic, partition, -1
        client = redis_py.Redis.from_url(redis_url, retry=Retry(NoBackoff(), 0))
        self.store = PartitionStore(client, f"d{uuid4().hex[:8]}", "desk")
        self.store.claim(partition)
        ensure_topics({"bootstrap.servers": kafka.brokers}, [topic], 4, 1, {})
        self.relay: RelayWorker = Relay({"bootstrap.servers": kafka.brokers}, self.store, Event()).build("out", 0, 1)

    def commit(self, *values: bytes, topic: str = "") -> list[Sent]:
        before, self.offset = Position(self.offset), self.offset + 1
        self.store.load(self.partition, Plan(before, before.clock), lambda due: [])
        messages = [Message(topic or self.topic, key(value), value, {"of": "desk"}) for value in values]
        return self.store.commit(self.partition, Changes(Position(self.offset), messages=messages))

    @property
    def outbox(self) -> list[bytes]:
        return [message.value for sent in self.store.unsent(self.partition) for message in sent.messages]

    def until(self, what: Callable[[], object]) -> None:
        """Heartbeats the relay until it is so."""
        end = time.monotonic() + WAIT_S
        while not what():
            assert time.monotonic() < end, "waited in vain"
            self.relay.write_batch([[]])
            time.sleep(0.02)

    def delivered(self) -> list[tuple[int, bytes, bytes]]:
        """(partition, key, value) of all that Kafka has."""
        return read_all(self.kafka.brokers, self.topic, 4)


def read_all(brokers: str, topic: str, partitions: int) -> list[tuple[int, bytes, bytes]]:
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "t", "enable.partition.eof": True, **QUIET})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
    found, ended = [], 0
    while ended < partitions:
        message = consumer.poll(WAIT_S)
        assert message is not None, "Kafka does not answer"
        if message.error() is None:
            found.append((message.partition(), message.key(), message.value()))
        else:
            ended += 1
    consumer.close()
    return found


@pytest.fixture
def desk(kafka: KafkaServer | MockKafka, redis: RedisServer, topic_prefix: str) -> Desk:
    return Desk(kafka, redis.url, topic_prefix + "out")


def values(desk: Desk) -> Counter[bytes]:
    return Counter(value for _, _, value in desk.delivered())


def key(value: bytes) -> str:
    return f"key {value[:8].hex()}"


def numbers(start: int, stop: int) -> list[bytes]:
    return [f"{i}".encode() for i in range(start, stop)]


def test_messages_are_delivered_once_under_their_keys_and_leave_the_outbox(desk: Desk) -> None:
    desk.relay.write_batch([desk.commit(*numbers(0, 20)), [], desk.commit(*numbers(20, 30))])
    desk.until(lambda: not desk.outbox)
    assert values(desk) == Counter(numbers(0, 30))
    for partition, found, value in desk.delivered():
        assert found == key(value).encode()
        assert partition == partition_of(key(value), 4)


def test_what_is_confirmed_stays_in_the_outbox_until_all_before_it_is_confirmed(
    real_kafka: KafkaServer, desk: Desk, topic_prefix: str
) -> None:
    nowhere = topic_prefix + "not-yet"
    desk.relay.write_batch([desk.commit(b"1", b"2", topic=nowhere), desk.commit(b"3")])
    desk.until(lambda: b"3" in values(desk))
    desk.relay.write_batch([[]])
    assert desk.outbox == [b"1", b"2", b"3"]
    ensure_topics({"bootstrap.servers": real_kafka.brokers}, [nowhere], 1, 1, {})
    desk.until(lambda: not desk.outbox)
    assert len(read_all(real_kafka.brokers, nowhere, 1)) == 2


def test_the_outbox_depth_counts_commits_on_their_way(desk: Desk) -> None:
    desk.relay.write_batch([desk.commit(b"1", b"2"), desk.commit(b"3")])
    desk.until(lambda: not desk.outbox)
    assert OUTBOX.labels("desk")._value.get() == 0


def test_what_another_process_left_is_sent_in_its_order_by_its_successor(desk: Desk) -> None:
    for i in range(5):
        desk.commit(*numbers(10 * i, 10 * i + 10))
    desk.relay.write_batch([desk.store.unsent(0)])
    desk.until(lambda: not desk.outbox)
    order: dict[bytes, list[bytes]] = {}
    for partition, _, value in desk.delivered():
        order.setdefault(partition, []).append(value)
    for received in order.values():
        assert received == sorted(received, key=int)
    assert values(desk) == Counter(numbers(0, 50))


def test_a_relay_at_its_end_delivers_what_it_holds_and_trims_it(desk: Desk) -> None:
    desk.relay.write_batch([desk.commit(*numbers(0, 2_000))])
    desk.relay.close()
    assert desk.outbox == []
    assert values(desk) == Counter(numbers(0, 2_000))


def test_a_trim_that_redis_misses_is_made_up_for_by_the_next(
    kafka: KafkaServer | MockKafka, workdir: Path, topic_prefix: str
) -> None:
    with redis_server(workdir, appendonly="always") as own_redis:
        desk = Desk(kafka, own_redis.url, topic_prefix + "out")
        first, second = desk.commit(b"1"), desk.commit(b"2")
        own_redis.kill()
        desk.relay.write_batch([first])
        desk.until(lambda: not desk.relay.waiting[0])
        own_redis.start()
        assert desk.outbox == [b"1", b"2"]
        desk.relay.write_batch([second])
        desk.until(lambda: not desk.outbox)


def test_a_message_that_kafka_refuses_ends_the_flow_and_stays_in_the_outbox(
    real_kafka: KafkaServer, desk: Desk, topic_prefix: str
) -> None:
    narrow = topic_prefix + "narrow"
    ensure_topics({"bootstrap.servers": real_kafka.brokers}, [narrow], 1, 1, {"max.message.bytes": "1000"})
    desk.relay.write_batch([desk.commit(urandom(2_000), topic=narrow)])
    with pytest.raises(KafkaException, match="MSG_SIZE_TOO_LARGE"):
        desk.until(lambda: False)
    assert len(desk.outbox) == 1


@pytest.mark.slow
@pytest.mark.parametrize("how", [pytest.param("killed", marks=pytest.mark.kills_kafka), "paused"])
def test_messages_wait_for_a_kafka_that_is_away_and_are_then_all_delivered(
    real_kafka: KafkaServer, redis: RedisServer, topic_prefix: str, how: str
) -> None:
    desk = Desk(real_kafka, redis.url, topic_prefix + "out")
    desk.relay.write_batch([desk.commit(*numbers(0, 100))])
    desk.until(lambda: not desk.outbox)
    (real_kafka.kill if how == "killed" else real_kafka.pause)()
    try:
        for i in range(1, 5):
            desk.relay.write_batch([desk.commit(*numbers(100 * i, 100 * i + 100))])
        heartbeats = 0

        def some_turns() -> bool:
            nonlocal heartbeats
            heartbeats += 1
            return heartbeats > 20

        desk.until(some_turns)
        assert desk.outbox == numbers(100, 500)
    finally:
        (real_kafka.start if how == "killed" else real_kafka.resume)()
    desk.relay.write_batch([desk.commit(*numbers(500, 600))])
    desk.until(lambda: not desk.outbox)
    assert values(desk) == Counter(numbers(0, 600))
