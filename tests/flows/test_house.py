"""A house opens only where all that it may have to write can be written, and waits for a Redis that goes away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, TimeoutError
from os import urandom
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from bytewax.dataflow import Dataflow
from confluent_kafka import KafkaException
from msgspec.structs import replace

from config import settings as conf
from config.settings import Settings
from features.job import Message
from flows import customers, ingest
from flows.house import House
from flows.topics import SOURCES
from operators.kafka import NarrowTopic, Unreachable, ensure_topics, produce, producer
from operators.servers import KafkaServer, RedisServer, redis_server
from tests.flowprocess import IDENTITY_KEY, Flow

pytestmark = pytest.mark.servers
WAIT_S = 20.0


def make(settings: Settings, topic: str, message_bytes: int) -> None:
    limit = {"max.message.bytes": str(message_bytes)}
    ensure_topics(settings.kafka.librdkafka(), [settings.topic(topic)], 1, 1, limit)


@pytest.mark.parametrize("topic", ["events", "dead-letters"])
def test_a_topic_that_would_refuse_what_brewline_writes_is_named_with_what_it_takes(
    real_kafka: KafkaServer, settings: Settings, topic: str
) -> None:
    make(settings, topic, 1_000_000)
    with pytest.raises(NarrowTopic, match=f"{settings.topic(topic)}: max.message.bytes is 1000000, .* least 8000000"):
        House(settings)


def test_what_others_write_may_be_as_small_as_they_like(real_kafka: KafkaServer, settings: Settings) -> None:
    for topic in SOURCES:
        make(settings, topic, 1_000)
    House(settings)


def test_the_largest_message_that_a_producer_takes_is_taken_by_the_topic(
    real_kafka: KafkaServer, topic_prefix: str
) -> None:
    settings = Settings(kafka=conf.Kafka(brokers=real_kafka.brokers, topic_prefix=topic_prefix))
    make(settings, "dead-letters", settings.kafka.max_message_bytes)
    sender, errors, size = producer(settings.kafka.librdkafka()), [], settings.kafka.max_message_bytes

    def delivered(error: Any, _: Any) -> None:
        errors.append(error)

    while True:
        letter = Message(settings.topic("dead-letters"), "k", urandom(size))  # which no compression makes smaller
        try:
            produce(sender, letter, Event(), on_delivery=delivered)
            break
        except KafkaException:
            size -= 50
    assert sender.flush(WAIT_S) == 0
    assert errors == [None]


@pytest.mark.parametrize("name", ["customers", "dispatch"])
def test_a_process_to_which_no_partition_is_left_says_so(settings: Settings, workdir: Path, name: str) -> None:
    flow = Flow(name, settings, workdir / "flow.log", BREWLINE_KAFKA__SHARE="99/100")
    assert flow.end() == 1
    assert re.search(r"share: found '99/100', and there are (\d+) partitions: .* start \1 at most, '0/\1'", flow.said)


@pytest.fixture
def own_redis(workdir: Path) -> Iterator[RedisServer]:
    with redis_server(workdir, appendonly="always") as server:
        yield server


def house_on(own: RedisServer, settings: Settings, timeout_s: float) -> House:
    """One whose Redis is there when it opens."""
    redis = replace(settings.redis, url=own.url, start_timeout_s=timeout_s)
    return House(replace(settings, redis=redis))


@pytest.mark.parametrize("flow", [customers, ingest])
def test_a_flow_whose_redis_goes_away_while_it_is_set_up_waits_for_it(
    own_redis: RedisServer, settings: Settings, monkeypatch: pytest.MonkeyPatch, flow: Any
) -> None:
    monkeypatch.setenv("BREWLINE_IDENTITY_KEY", IDENTITY_KEY)
    house = house_on(own_redis, settings, timeout_s=WAIT_S)
    own_redis.kill()
    with ThreadPoolExecutor() as pool:
        added = pool.submit(flow.add, Dataflow("test"), house)
        try:
            with pytest.raises(TimeoutError):
                added.result(1)
        finally:
            own_redis.start()
        added.result(WAIT_S)


def test_a_flow_whose_redis_stays_away_while_it_is_set_up_says_which(
    own_redis: RedisServer, settings: Settings
) -> None:
    house = house_on(own_redis, settings, timeout_s=0.1)
    own_redis.kill()
    with pytest.raises(Unreachable, match=f"Redis at {own_redis.url} does not answer"):
        customers.add(Dataflow("test"), house)
