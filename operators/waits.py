"""What waits in Kafka to be read: how many records, and since when."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from msgspec import Struct

from operators.kafka import Unreachable, consumer

PATIENCE_S = 10.0
Place = tuple[str, int]  # topic, partition


class Wait(Struct):
    """Of one partition. `next` is what would be read next; `since_ms` its Kafka timestamp, None when nothing waits."""

    next: int
    end: int
    since_ms: int | None = None
    gone: int = 0  # records that Kafka has let go of before they were read

    @property
    def records(self) -> int:
        """The end of a transaction counts as a record to Kafka, and is none."""
        return self.end - self.next if self.since_ms is not None else 0


def waits(client: Mapping[str, Any], nexts: Mapping[Place, int], group: str = "brewline-status") -> dict[Place, Wait]:
    """By place, from what would be read next there. Raises Unreachable."""
    reader: Any = consumer(client, group, enable_partition_eof=True)
    try:
        found = {place: _bounds(reader, place, next_) for place, next_ in nexts.items()}
        _date(reader, found)
    except KafkaException as error:
        raise Unreachable(f"Kafka does not tell what waits: {error.args[0].str()}") from error
    finally:
        reader.close()
    return found


def committed(client: Mapping[str, Any], group: str, places: list[Place]) -> dict[Place, int]:
    """Where a group goes on, by place; 0 where it has never been. Raises Unreachable."""
    reader: Any = consumer(client, group)
    try:
        known = reader.committed([TopicPartition(*place) for place in places], timeout=PATIENCE_S) if places else []
    except KafkaException as error:
        raise Unreachable(f"Kafka does not tell where {group} stands: {error.args[0].str()}") from error
    finally:
        reader.close()
    return {(place.topic, place.partition): max(0, place.offset) for place in known if place.error is None}


def written_since(client: Mapping[str, Any], topic: str, partitions: int, since_ms: int) -> int:
    """Records of a topic that are younger, with ends of transactions among them. Raises Unreachable."""
    reader: Any = consumer(client, "brewline-status")
    try:
        asked = [TopicPartition(topic, partition, since_ms) for partition in range(partitions)]
        starts = reader.offsets_for_times(asked, timeout=PATIENCE_S)
        ends = [reader.get_watermark_offsets(place, timeout=PATIENCE_S)[1] for place in asked]
    except KafkaException as error:
        raise Unreachable(f"Kafka topic {topic} does not tell its end: {error.args[0].str()}") from error
    finally:
        reader.close()
    return sum(max(0, end - start.offset) for start, end in zip(starts, ends, strict=True) if start.offset >= 0)


def _bounds(reader: Any, place: Place, next_: int) -> Wait:
    first, end = reader.get_watermark_offsets(TopicPartition(*place), timeout=PATIENCE_S)
    return Wait(max(next_, first), end, gone=max(0, first - next_) if next_ else 0)


def _date(reader: Any, found: dict[Place, Wait]) -> None:
    """Reads the first record that waits at each place, or that none does."""
    left = {place for place, wait in found.items() if wait.end > wait.next}
    reader.assign([TopicPartition(*place, found[place].next) for place in left])
    until = time.monotonic() + PATIENCE_S
    while left and time.monotonic() < until:
        message = reader.poll(0.2)
        if message is None:
            continue
        place = (message.topic(), message.partition())
        if (error := message.error()) is None and place in left:
            found[place].since_ms = message.timestamp()[1]
        elif error is not None and error.code() != KafkaError._PARTITION_EOF:
            continue
        left.discard(place)
        reader.incremental_unassign([TopicPartition(*place)])
