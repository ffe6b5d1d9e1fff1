"""Reads a compacted topic from its beginning to where it ends now."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from operators.kafka import Unreachable, consumer, partition_count

CHUNK = 5_000
PATIENCE_S = 40.0  # longer than Kafka leaves a dead process's transaction open
LEADER_S = 10.0
GROUP = "brewline-identities"
SOON = {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART}


def latest(client: Mapping[str, Any], topic: str) -> Iterator[dict[str, str | None]]:
    """Key → value, None where the key was taken back, a part at a time; a later part replaces an earlier one."""
    reader = consumer(client, GROUP, enable_partition_eof=True)
    try:
        left = _ends(client, topic)
        reader.assign([TopicPartition(topic, partition, 0) for partition in left])
        until = time.monotonic() + PATIENCE_S
        while left:
            messages = reader.consume(CHUNK, timeout=0.1)
            if messages:
                until = time.monotonic() + PATIENCE_S
            elif time.monotonic() > until:
                raise Unreachable(f"Kafka topic {topic} could not be read to its end")
            chunk = {(m.key() or b"").decode(): _text(m.value()) for m in messages if m.error() is None}
            if chunk:
                yield chunk
            for message in messages:
                if _place(message) >= left.get(message.partition() or 0, sys.maxsize):
                    del left[message.partition() or 0]
    finally:
        reader.close()


def _text(value: bytes | None) -> str | None:
    return value.decode() if value else None


def _ends(client: Mapping[str, Any], topic: str) -> dict[int, int]:
    """Where each partition ends, open transactions included: they hide what is committed behind them."""
    watcher: Any = consumer(client, GROUP, isolation_level="read_uncommitted")
    try:
        return {p: _end(watcher, TopicPartition(topic, p)) for p in range(partition_count(watcher, topic))}
    except KafkaException as error:
        raise Unreachable(f"Kafka topic {topic} does not tell its end: {error.args[0].str()}") from error
    finally:
        watcher.close()


def _end(watcher: Any, place: TopicPartition) -> int:
    """Asked again while the partition of a topic that was just made has no leader yet."""
    until = time.monotonic() + LEADER_S
    while True:
        try:
            return int(watcher.get_watermark_offsets(place, timeout=PATIENCE_S)[1])
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
