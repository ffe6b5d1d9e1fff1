"""A house opens only where all that it may have to write can be written."""

from __future__ import annotations

from os import urandom
from threading import Event
from typing import Any

import pytest
from confluent_kafka import KafkaException

from config import settings as conf
from config.settings import Settings
from features.job import Message
from flows.house import House
from flows.topics import SOURCES
from operators.kafka import NarrowTopic, ensure_topics, produce, producer
from operators.servers import KafkaServer

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
