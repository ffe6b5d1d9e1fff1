"""Reads a topic from its beginning to where it ends now, in log order by partition."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from msgspec import Struct

from operators.kafka import Unreachable, consumer, partition_count

CHUNK = 20_000
PATIENCE_S = 40.0  # longer than Kafka leaves a dead process's transaction open


class Part(Struct):
    """The next records of a partition."""

    partition: int
    offsets: list[int]
    values: list[bytes]


def ends(client: Mapping[str, Any], topic: str) -> dict[int, tuple[int, int]]:
    """By partition: its first offset and the one behind its last. Raises Unreachable."""
    reader: Any = consumer(client, "brewline-history")
    try:
        places = [TopicPartition(topic, p) for p in range(partition_count(reader, topic))]
        return {place.partition: reader.get_watermark_offsets(place, timeout=PATIENCE_S) for place in places}
    except (KafkaException, KeyError) as error:
        raise Unreachable(f"Kafka topic {topic} does not tell its end: {error}") from error
    finally:
        reader.close()


def read_to_end(client: Mapping[str, Any], topic: str, bounds: dict[int, tuple[int, int]]) -> Iterator[Part]:
    """Raises Unreachable when Kafka falls silent."""
    reader = consumer(client, "brewline-history", enable_partition_eof=True)
    left = {partition for partition, (first, end) in bounds.items() if end > first}
    try:
        reader.assign([TopicPartition(topic, partition, bounds[partition][0]) for partition in left])
        until = time.monotonic() + PATIENCE_S
        while left:
            messages = reader.consume(CHUNK, timeout=0.2)
            if messages:
                until = time.monotonic() + PATIENCE_S
            elif time.monotonic() > until:
                raise Unreachable(f"Kafka topic {topic} could not be read to its end")
            parts: dict[int, Part] = defaultdict(lambda: Part(0, [], []))
            for message in messages:
                left -= _taken(message, parts, bounds)
            yield from (Part(partition, part.offsets, part.values) for partition, part in parts.items())
    finally:
        reader.close()


def _taken(message: Any, parts: dict[int, Part], bounds: dict[int, tuple[int, int]]) -> set[int]:
    """Puts a record where it belongs; the partition, if it ends there."""
    partition, error = message.partition(), message.error()
    if error is not None:
        if error.code() != KafkaError._PARTITION_EOF:
            raise Unreachable(f"Kafka: {error.str()}")
        return {partition}
    if message.offset() < bounds[partition][1]:
        parts[partition].offsets.append(message.offset())
        parts[partition].values.append(message.value() or b"")
    return {partition} if message.offset() >= bounds[partition][1] - 1 else set()
