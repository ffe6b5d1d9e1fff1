"""The tombstones of those who were forgotten: on the compacted topic `forgotten` for good, and in Redis for ingest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from redis import Redis

from features.forgotten import Forgotten, tombstone_hash, tombstone_key
from operators.compacted import latest
from operators.store import Sent


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
        return {tombstone_hash(key): int(since) for part in parts for key, since in part.items() if since is not None}

    def share(self, forgotten: Forgotten) -> None:
        """What this process or Redis knows, both know afterwards."""
        stored: Any = self.redis.hgetall(self.key)
        forgotten.add({tombstone_hash(key.decode()): int(since) for key, since in stored.items()})
        known = {tombstone_key(hash): str(since_ms) for hash, since_ms in forgotten.since_ms.items()}
        missing: Any = {key: since_ms for key, since_ms in known.items() if key.encode() not in stored}
        if missing:
            self.redis.hset(self.key, mapping=missing)


def withhold(forgotten: Forgotten) -> Callable[[list[Sent]], list[Sent]]:
    """Takes out of an outbox what is a forgotten customer's; the emptied entry is trimmed like one that was sent."""

    def withheld(entries: list[Sent]) -> list[Sent]:
        gone = forgotten.among({message.key for entry in entries for message in entry.messages})
        if not gone:
            return entries
        return [Sent(s.partition, s.id, [m for m in s.messages if m.key not in gone]) for s in entries]

    return withheld
