"""Reads a topic from its beginning to where it ends now, in log order by partition."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from operators.kafka import Unreachable, consumer, partition_count

CHUNK = 20_000
PATIENCE_S = 40.0  # longer than Kafka leaves a dead process's transaction open
LEADER_S = 10.0
SOON = {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART}
Bounds = dict[int, tuple[int, int]]  # by partition: its first offset, and the one behind its last


def bounds_of(client: Mapping[str, Any], topic: str, group: str) -> Bounds:
    """Open transactions included: they hide what is committed behind them. Raises Unreachable."""
    watcher: Any = consumer(client, group, isolation_level="read_uncommitted")
    try:
        return {p: _bounds(watcher, TopicPartition(topic, p)) for p in range(partition_count(watcher, topic))}
    except KafkaException as error:
        raise Unreachable(f"Kafka topic {topic} does not tell its end: {error.args[0].str()}") from error
    finally:
        watcher.close()


def read_to_end(client: Mapping[str, Any], topic: str, group: str, bounds: Bounds) -> Iterator[list[Message]]:
    """The records within these bounds, a part at a time. Raises Unreachable when Kafka falls silent before."""
    reader = consumer(client, group, enable_partition_eof=True)
    left = {partition: end for partition, (first, end) in bounds.items() if end > first}
    try:
        reader.assign([TopicPartition(topic, partition, bounds[partition][0]) for partition in left])
        until = time.monotonic() + PATIENCE_S
        while left:
            messages = reader.consume(CHUNK, timeout=0.1)
            if messages:
                until = time.monotonic() + PATIENCE_S
            elif time.monotonic() > until:
                raise Unreachable(f"Kafka topic {topic} could not be read to its end")
            records = [m for m in messages if m.error() is None and (m.offset() or 0) < bounds[m.partition() or 0][1]]
            if records:
                yield records
            for message in messages:
                if _place(message) >= left.get(message.partition() or 0, float("inf")):
                    del left[message.partition() or 0]
    finally:
        reader.close()


def _bounds(watcher: Any, place: TopicPartition) -> tuple[int, int]:
    """Asked again while the partition of a topic that was just made has no leader yet."""
    until = time.monotonic() + LEADER_S
    while True:
        try:
            first, end = watcher.get_watermark_offsets(place, timeout=PATIENCE_S)
            return int(first), int(end)
        except KafkaException as error:
            if (not error.args[0].retriable() and error.args[0].code() not in SOON) or time.monotonic() > until:
                raise
            time.sleep(0.1)


def _place(message: Message) -> int:
    """Up to where a partition has been read with this message; -1 for an error that tells nothing of it."""
    error, offset = message.error(), message.offset() or 0
    if error is None:
        return offset + 1
    return offset if error.code() == KafkaError._PARTITION_EOF else -1
