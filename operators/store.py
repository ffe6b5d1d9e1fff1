"""The Redis side of a partition: one owner, one fence, one transaction per batch.

Keys of partition 3 of the flow `customers` (prefix `bl`), all in one hash slot:

    bl:{customers.3}:owner     token of the process that may write
    bl:{customers.3}:fence     Position: offset, clock, counts
    bl:{customers.3}:r:<name>  a record
    bl:{customers.3}:s:<name>  an id set
    bl:{customers.3}:timers    sorted set: timer → due_ms
    bl:{customers.3}:outbox    stream: messages committed and not yet confirmed by Kafka
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from msgspec import Struct
from redis import Redis

from features.job import (
    Changes,
    Message,
    Plan,
    Position,
    State,
    decode_messages,
    decode_position,
    encode_messages,
    encode_position,
)
from operators.cache import Cache


class Fenced(Exception):
    """Another process has taken this partition over; this one must stop writing."""


class Moved(Exception):
    """The stored fence is not where this process left it: an unsure commit went through, or Redis lost its tail."""


class WrongLayout(ValueError):
    """The stored state was laid out in another way than the one asked for now."""


def check_layout(redis: Redis, prefix: str, layout: Mapping[str, str | int]) -> None:
    """Remembers, once, what the state is laid out for: partitions by topic, measures. Raises WrongLayout."""
    for name, value in layout.items():
        redis.hsetnx(f"{prefix}:layout", name, str(value))
    require_stored(redis, prefix, layout)


def require_stored(redis: Redis, prefix: str, layout: Mapping[str, str | int]) -> None:
    """Compares with what is remembered, as far as anything is, and writes nothing. Raises WrongLayout."""
    stored: Any = redis.hgetall(f"{prefix}:layout")
    for name, value in layout.items():
        found = stored.get(name.encode(), str(value).encode()).decode()
        if found != str(value):
            raise WrongLayout(
                f"the state under redis.prefix {prefix!r} is laid out for {name} = {found}, and now it is {value}:"
                f" go back to {found}, or choose a new redis.prefix and let Kafka replay"
            )


def stored_partitions(redis: Redis, prefix: str) -> int:
    """Partitions that customers are spread over, 0 when no flow has run yet."""
    raw: Any = redis.hget(f"{prefix}:layout", "partitions of events")
    return int(raw or 0)


class Sent(Struct):
    """Messages of one commit; `id` is their entry's in the partition's outbox, later than any before it."""

    partition: int
    id: str
    messages: list[Message]


class PartitionStore:
    """State of one flow's partitions in Redis, written only while this process owns them."""

    def __init__(self, redis: Redis, prefix: str, flow: str, cache_bytes: float = 0) -> None:
        """`cache_bytes`: how much memory the records that were used lately may take, over all partitions."""
        self.redis = redis
        self.prefix = prefix
        self.flow = flow
        self.cache_bytes = cache_bytes
        self.tokens: dict[int, str] = {}
        self.caches: defaultdict[int, Cache] = defaultdict(lambda: Cache(0))

    def key(self, partition: int, name: str) -> str:
        return f"{self.prefix}:{{{self.flow}.{partition}}}:{name}"

    def claim(self, partition: int) -> Position:
        """Takes the partition over (the last to claim wins) and returns its position."""
        token = uuid4().hex
        self.redis.set(self.key(partition, "owner"), token)
        self.tokens[partition] = token
        return self.reopen(partition)

    def reopen(self, partition: int) -> Position:
        """Where the partition stands in Redis; what this process remembers of its records is forgotten."""
        self.caches[partition] = Cache(0)
        for cache in self.caches.values():
            cache.budget_bytes = self.cache_bytes / len(self.caches)
        return self.position(partition)

    def position(self, partition: int) -> Position:
        raw = self.redis.get(self.key(partition, "fence"))
        return decode_position(raw) if raw else Position()

    def unsent(self, partition: int) -> list[Sent]:
        """What earlier commits left in the outbox."""
        entries: Any = self.redis.xrange(self.key(partition, "outbox"))
        return [Sent(partition, id.decode(), decode_messages(fields[b"m"])) for id, fields in entries]

    def load(self, partition: int, plan: Plan, timer_records: Any) -> tuple[Any, State]:
        """What the plan asks for, and the open transaction that guards it. Raises Fenced, Moved."""
        transaction = self.redis.pipeline(transaction=True)
        try:
            return transaction, self._read(transaction, partition, plan, timer_records)
        except BaseException:
            transaction.reset()
            raise

    def _read(self, transaction: Any, partition: int, plan: Plan, timer_records: Any) -> State:
        owner, fence = self.key(partition, "owner"), self.key(partition, "fence")
        transaction.watch(owner, fence)
        cache, start = self.caches[partition], self.key(partition, "r:")
        records, missing = cache.get(plan.records)
        found: Any = transaction.mget(owner, fence, *[start + name for name in missing])
        self._check(partition, plan.position, found[0], found[1])
        records.update({name: raw for name, raw in zip(missing, found[2:], strict=True) if raw is not None})
        state = State(records, self._seen(transaction, partition, plan.seen), self._due(transaction, partition, plan))
        more, missing = cache.get(name for name in dict.fromkeys(timer_records(state.due)) if name not in records)
        records.update(more)
        if missing:
            rows: Any = transaction.mget([start + name for name in missing])
            records.update({name: raw for name, raw in zip(missing, rows, strict=True) if raw is not None})
        return state

    def check(self, partition: int, position: Position) -> None:
        """Whether this process still owns the partition and the fence is at `position`. Raises Fenced, Moved."""
        found: Any = self.redis.mget(self.key(partition, "owner"), self.key(partition, "fence"))
        self._check(partition, position, *found)

    def _check(self, partition: int, position: Position, owner: bytes | None, fence: bytes | None) -> None:
        if owner is None:  # Redis came back empty: the partition is free, Kafka replays all of it
            self.redis.set(self.key(partition, "owner"), self.tokens[partition], nx=True)
            raise Moved(self.flow, partition)
        if owner.decode() != self.tokens[partition]:
            raise Fenced(f"{self.flow}: partition {partition} is owned by another process now")
        stored = decode_position(fence) if fence else Position()
        if stored.offset != position.offset:
            raise Moved(self.flow, partition)

    def _due(self, transaction: Any, partition: int, plan: Plan) -> list[tuple[int, str]]:
        if plan.clock.now_ms == plan.position.clock.now_ms:
            return []
        due = transaction.zrangebyscore(self.key(partition, "timers"), "-inf", plan.clock.now_ms, withscores=True)
        return [(int(score), member.decode()) for member, score in due]

    def _seen(self, transaction: Any, partition: int, wanted: dict[str, list[bytes]]) -> set[tuple[str, bytes]]:
        seen: set[tuple[str, bytes]] = set()
        for name, ids in wanted.items():
            flags = transaction.smismember(self.key(partition, f"s:{name}"), ids)
            seen.update((name, id) for id, flag in zip(ids, flags, strict=True) if flag)
        return seen

    def commit(self, transaction: Any, partition: int, changes: Changes) -> list[Sent]:
        """Writes all changes with fence and outbox, or nothing. Raises WatchError when the guard no longer holds."""
        transaction.multi()
        self._write(transaction, partition, changes)
        if changes.messages:  # Redis names the entry by its clock, so none from before a rollback has a later name
            transaction.xadd(self.key(partition, "outbox"), {"m": encode_messages(changes.messages)})
        done = transaction.execute()
        self.caches[partition].drop(changes.deletes)
        self.caches[partition].put(changes.puts)
        return [Sent(partition, done[-1].decode(), changes.messages)] if changes.messages else []

    def _write(self, transaction: Any, partition: int, changes: Changes) -> None:
        gone = [self.key(partition, f"r:{name}") for name in changes.deletes]
        gone += [self.key(partition, f"s:{name}") for name in changes.drops]
        if gone:
            transaction.unlink(*gone)
        start = self.key(partition, "r:")
        puts: list[str | bytes] = [self.key(partition, "fence"), encode_position(changes.position)]
        for name, raw in changes.puts.items():
            puts += (start + name, raw)
        transaction.execute_command("MSET", *puts)
        for name, ids in changes.seen.items():
            transaction.sadd(self.key(partition, f"s:{name}"), *ids)
        timers = self.key(partition, "timers")
        set_timers = {name: due_ms for name, due_ms in changes.timers.items() if due_ms is not None}
        past = [name for name, due_ms in changes.timers.items() if due_ms is None]
        if set_timers:
            transaction.zadd(timers, set_timers)
        if past:
            transaction.zrem(timers, *past)

    def trim(self, partition: int, id: str) -> None:
        """Forgets outbox entries up to `id`, which Kafka has confirmed; safe to repeat."""
        at_ms, _, number = id.partition("-")
        self.redis.xtrim(self.key(partition, "outbox"), minid=f"{at_ms}-{int(number) + 1}", approximate=False)
