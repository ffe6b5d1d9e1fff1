"""The tombstones of those who were forgotten: on the compacted topic `forgotten` for good, and in Redis for ingest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition
from redis import Redis

from features.forgotten import Forgotten, tombstone_hash, tombstone_key
from operators.compacted import latest
from operators.kafka import consumer
from operators.store import Sent
from operators.topic import bounds_of, read_to_end

MOST = 1_000  # tombstones that are read at once
LOST = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)


class Tombstones:
    """`key` is the Redis hash that all ingest processes look at with every batch."""

    def __init__(self, redis: Redis, prefix: str, client: Mapping[str, Any], topic: str) -> None:
        self.redis = redis
        self.key = f"{prefix}:forgotten"
        self.client = client
        self.topic = topic

    def told(self) -> dict[int, int]:
        """Hash → epoch ms, all that the topic holds. Raises Unreachable."""
        parts = list(latest(self.client, self.topic))
        return {hash: since_ms for part in parts for hash, since_ms in _read(part)}

    def share(self, forgotten: Forgotten) -> None:
        """What this process or Redis knows, both know afterwards."""
        stored: Any = self.redis.hgetall(self.key)
        forgotten.add({tombstone_hash(key.decode()): int(since) for key, since in stored.items()})
        known = {tombstone_key(hash): str(since_ms) for hash, since_ms in forgotten.since_ms.items()}
        missing: Any = {key: since_ms for key, since_ms in known.items() if key.encode() not in stored}
        if missing:
            self.redis.hset(self.key, mapping=missing)


class Following:
    """Tombstones for who has no Redis: all that the topic holds now, and those that are set from then on."""

    def __init__(self, client: Mapping[str, Any], topic: str, group: str) -> None:
        """Raises Unreachable."""
        bounds = bounds_of(client, topic, group)
        self.forgotten = Forgotten()
        for records in read_to_end(client, topic, group, bounds):
            self._add(records)
        self.reader = consumer(client, group)
        self.reader.assign([TopicPartition(topic, partition, end) for partition, (_, end) in bounds.items()])

    def hear(self) -> bool:
        """Whether somebody was forgotten since the last time. Raises KafkaException where the topic was made anew."""
        heard = self.reader.consume(MOST, timeout=0)
        for message in heard:
            if (error := message.error()) is not None and error.code() in LOST:
                raise KafkaException(error)
        return self._add([message for message in heard if message.error() is None])

    def _add(self, records: list[Message]) -> bool:
        known = len(self.forgotten)
        words = {(record.key() or b"").decode(): (record.value() or b"").decode() or None for record in records}
        self.forgotten.add(dict(_read(words)))
        return len(self.forgotten) > known

    def close(self) -> None:
        self.reader.close()


def _read(words: Mapping[str, str | None]) -> Iterator[tuple[int, int]]:
    """(hash, epoch ms) of what stands on the topic."""
    return ((tombstone_hash(key), int(since)) for key, since in words.items() if since is not None)


def withhold(forgotten: Forgotten) -> Callable[[list[Sent]], list[Sent]]:
    """Takes out of an outbox what is a forgotten customer's; the emptied entry is trimmed like one that was sent."""

    def withheld(entries: list[Sent]) -> list[Sent]:
        gone = forgotten.among({message.key for entry in entries for message in entry.messages})
        if not gone:
            return entries
        return [Sent(s.partition, s.id, [m for m in s.messages if m.key not in gone]) for s in entries]

    return withheld
