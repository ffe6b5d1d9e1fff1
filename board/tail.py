"""What comes to topics from now on, for as long as somebody wants to see it."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from config.settings import Settings
from operators.kafka import consumer, log_error, require_kafka
from operators.topic import bounds_of

GROUP = "brewline-board"
MOST = 5_000  # messages at a time
LOOK_S = 0.25
ASK_S = 1.0


def tail(settings: Settings, topics: tuple[str, ...], stop: Event) -> Iterator[list[tuple[str, bytes]]]:
    """Every LOOK_S (topic, value) of all that has come since, from the topics' ends on; an empty list if nothing has.

    Silent while no broker answers. Commits nothing. What a partition has dropped before it was read is skipped. Raises
    Unreachable.
    """
    client, away = settings.kafka.librdkafka(), Event()
    require_kafka(client, settings.kafka.start_timeout_s)

    def hear(error: KafkaError) -> None:
        log_error(error)
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            away.set()

    reader = consumer(client, GROUP, auto_offset_reset="latest", error_cb=hear)
    try:
        reader.assign([place for topic in topics for place in _ends(client, settings.topic(topic))])
        yield []
        while not stop.is_set():
            messages = reader.consume(MOST, timeout=LOOK_S)
            came = [(_topic(m, settings), m.value() or b"") for m in messages if m.error() is None]
            if came or not away.is_set() or _answers(reader):
                away.clear()
                yield came
            if len(messages) < MOST:
                stop.wait(LOOK_S)
    finally:
        reader.close()


def _answers(reader: Consumer) -> bool:
    try:
        reader.list_topics(timeout=ASK_S)
    except KafkaException:
        return False
    return True


def _ends(client: dict[str, Any], topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, partition, end) for partition, (_, end) in bounds_of(client, topic, GROUP).items()]


def _topic(message: Message, settings: Settings) -> str:
    return (message.topic() or "").removeprefix(settings.kafka.topic_prefix)
