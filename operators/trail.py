"""Brewline's own audit trail: the chain's end in Redis, with what has not reached Kafka yet.

bl:{trail}:head     where the chain ends: number and seal
bl:{trail}:waiting  list: entries in order, until Kafka has confirmed them

Both change in one transaction: no entry is lost or doubled by a crash, and of two writers at once one is the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from redis import Redis
from redis.exceptions import WatchError

from features.audited import AuditAccess, AuditExport
from features.events import decode_audit, encode
from features.trail import Entry, Head, Written, sealed
from operators.kafka import kept_ms
from operators.topic import bounds_of, read_to_end
from operators.writing import write

GROUP = "brewline-trail"
_head = msgspec.msgpack.Decoder(Head).decode


class Trail:
    """One of the writers."""

    def __init__(self, redis: Redis, prefix: str, client: Mapping[str, Any], topic: str) -> None:
        self.redis, self.client, self.topic = redis, client, topic
        self.head_key, self.waiting_key = f"{prefix}:{{trail}}:head", f"{prefix}:{{trail}}:waiting"

    def head(self) -> Head:
        raw: Any = self.redis.get(self.head_key)
        return _head(raw) if raw else Head()

    def append(self, entry: Entry) -> Entry:
        """Chains an entry; from then on it cannot be lost. Raises RedisError; ValueError: it cannot be read again."""
        with self.redis.pipeline() as pipe:
            while True:
                try:
                    pipe.watch(self.head_key)
                    chained = sealed(entry, self.head())
                    raw = _readable(chained)
                    pipe.multi()
                    pipe.set(self.head_key, msgspec.msgpack.encode(Head(chained.trail, chained.seal)))
                    pipe.rpush(self.waiting_key, raw)
                    pipe.execute()
                    return chained
                except WatchError:
                    continue

    def go_on(self, now_ms: int) -> None:
        """After Redis fell back: the next entry follows on the last that Kafka holds. Raises Unreachable."""
        log, _ = self.read(now_ms)
        last = max((written.entry for written in log), key=lambda entry: entry.trail, default=None)
        if last is not None and last.trail > self.head().number:
            self.redis.set(self.head_key, msgspec.msgpack.encode(Head(last.trail, last.seal)))

    def send(self) -> int:
        """Sends what waits, in order; how many. Raises Unreachable, and then they go on waiting."""
        waiting: Any = self.redis.lrange(self.waiting_key, 0, -1)
        write(self.client, [(self.topic, decode_audit(raw).actor, raw) for raw in waiting])  # type: ignore[union-attr]
        for raw in waiting:
            self.redis.lrem(self.waiting_key, 1, raw)
        return len(waiting)

    def read(self, now_ms: int) -> tuple[list[Written], int]:
        """All entries that Kafka holds, and the time before which entries may have run out; 0: none has.

        Raises Unreachable. A broker that does not tell how long it keeps them may have let go of any.
        """
        bounds = bounds_of(self.client, self.topic, GROUP)
        since_ms = 0
        if any(first > 0 for first, _ in bounds.values()):
            since_ms = now_ms - (kept_ms(self.client, self.topic) or 0)
        records = read_to_end(self.client, self.topic, GROUP, bounds)
        return [written for part in records for written in _entries(part)], since_ms


def _readable(entry: Entry) -> bytes:
    """The entry's bytes, once they have been read as any reader will. Raises ValueError."""
    raw = encode(entry)
    try:
        decode_audit(raw)
    except msgspec.ValidationError as error:
        raise ValueError(f"{error}") from None
    return raw


def _entries(records: list[Any]) -> Iterator[Written]:
    """Other records of the topic are none of ours, and neither is what cannot be read."""
    for record in records:
        value = record.value() or b""
        if b'"trail"' not in value:
            continue
        try:
            entry = decode_audit(value)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        if isinstance(entry, AuditAccess | AuditExport) and entry.trail:
            yield Written(entry, record.partition(), record.offset(), value)
