"""What comes to topics from now on, for as long as somebody wants to see it."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event

from confluent_kafka import Message, TopicPartition

from config.settings import Settings
from operators.kafka import consumer, partition_count, require_kafka

GROUP = "brewline-board"
MOST = 5_000  # messages at a time
LOOK_S = 0.25


def tail(settings: Settings, topics: tuple[str, ...], stop: Event) -> Iterator[list[tuple[str, bytes]]]:
    """Every LOOK_S (topic, value) of all that has come since, from the topics' ends on; an empty list if nothing has.

    Commits nothing. What a partition has dropped before it was read is skipped. Raises Unreachable.
    """
    client = settings.kafka.librdkafka()
    require_kafka(client, settings.kafka.start_timeout_s)
    reader = consumer(client, GROUP, auto_offset_reset="latest")
    try:
        reader.assign([place for topic in topics for place in _ends(reader, settings.topic(topic))])
        yield []
        while not stop.is_set():
            messages = reader.consume(MOST, timeout=LOOK_S)
            came = [(_topic(m, settings), m.value() or b"") for m in messages if m.error() is None]
            yield came
            if len(messages) < MOST:
                stop.wait(LOOK_S)
    finally:
        reader.close()


def _ends(reader, topic: str) -> list[TopicPartition]:  # type: ignore[no-untyped-def]
    places = [TopicPartition(topic, partition) for partition in range(partition_count(reader, topic))]
    for place in places:
        _, place.offset = reader.get_watermark_offsets(place, timeout=10)
    return places


def _topic(message: Message, settings: Settings) -> str:
    return (message.topic() or "").removeprefix(settings.kafka.topic_prefix)
