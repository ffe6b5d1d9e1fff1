"""What one ingest process has read of the weather all know, also those that begin anew."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from threading import Event

import pytest
from msgspec.structs import replace
from redis import Redis

from features import events as e
from features.job import Message
from features.times import MINUTE_MS
from features.weather import Readings
from operators.cleaning import CleanStep
from operators.health import Pulse
from operators.identities import IdentityTable
from operators.kafka import ensure_topics, producer
from operators.servers import KafkaServer, MockKafka, RedisServer
from operators.told import ToldTopic
from tests.operators.test_cleaning import CLEANER, NOW_MS, batch

pytestmark = pytest.mark.servers
WAIT_S = 20.0


@pytest.fixture
def start(kafka: KafkaServer | MockKafka, redis: RedisServer, topic_prefix: str) -> Callable[[], CleanStep]:
    """Makes the step of a new process."""
    client, topic = {"bootstrap.servers": kafka.brokers}, topic_prefix + "weather"
    ensure_topics(client, [topic, topic_prefix + "identities"], 2, 1, {}, [topic])

    def start() -> CleanStep:
        cleaner = replace(CLEANER, readings=Readings(), weather_topic=topic)
        table = IdentityTable(Redis.from_url(redis.url), topic_prefix, client, topic_prefix + "identities")
        pulse, stop = Pulse(stall_s=60), Event()
        return CleanStep(cleaner, table, None, pulse, stop, [ToldTopic(cleaner.note_weather, client, topic, "w")])

    return start


def weather(place: str, minute: int, temp_c: float) -> bytes:
    at_ms = NOW_MS + minute * MINUTE_MS
    return json.dumps({"type": "weather", "id": str(minute), "time": at_ms, "place": place, "temp_c": temp_c}).encode()


def opened(store: str) -> bytes:
    return json.dumps({"type": "app_open", "id": "o", "time": NOW_MS, "store": store}).encode()


def publish(step: CleanStep, messages: list[Message]) -> None:
    """What ingest's transaction does."""
    plain = producer(step.identities.client)
    for message in messages:
        if message.topic in [told.topic for told in step.told]:
            plain.produce(message.topic, message.value, message.key)
    assert plain.flush(WAIT_S) == 0


def told(step: CleanStep, store: str) -> float | None:
    [message] = step(batch(opened(store))).messages
    event = e.decode_event(message.value)
    return event.temp_c if isinstance(event, e.AppOpen) and event.weather_ms else None


def test_a_process_that_begins_anew_tells_the_weather_that_the_former_one_had_read(
    start: Callable[[], CleanStep],
) -> None:
    former = start()
    publish(former, former(batch(weather("s1", -20, 31), weather("s2", -30, 17), weather("s1", -5, 33))).messages)
    successor = start()
    assert (told(former, "s1"), told(former, "s2"), told(former, "s3")) == (33, 17, None)
    assert (told(successor, "s1"), told(successor, "s2"), told(successor, "s3")) == (33, 17, None)
    assert successor.cleaner.readings.places == former.cleaner.readings.places


def test_a_process_hears_between_batches_what_another_has_read(start: Callable[[], CleanStep]) -> None:
    one, other = start(), start()
    assert told(other, "s1") is None
    publish(one, one(batch(weather("s1", -5, 33))).messages)
    until = time.monotonic() + WAIT_S
    while told(other, "s1") is None and time.monotonic() < until:
        time.sleep(0.05)
    assert told(other, "s1") == 33
