"""The Redis side of a partition: one owner, one fence, one transaction per batch.

Keys of partition 3 of the flow `customers` (prefix `bl`), all in one hash slot:

    bl:{customers.3}:owner     token of the process that may write
    bl:{customers.3}:fence     Position: offset, clock, counts
    bl:{customers.3}:records   hash: name → record
    bl:{customers.3}:k:<name>  list: receipts of the latest decisions for the record's customer
    bl:{customers.3}:m:<name>  hash: rule → the latest moment noted at which it nearly fired
    bl:{customers.3}:s:<name>  an id set
    bl:{customers.3}:words     hash: code in records → the text it stands for
    bl:{customers.3}:spent     hash: pot shared by all partitions → what this one has spent of it
    bl:{customers.3}:brakes    hash: campaign/place → the latest word on whether it is paused there
    bl:{customers.3}:timers    sorted set: timer → due_ms
    bl:{customers.3}:outbox    stream: messages committed and not yet confirmed by Kafka
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from math import inf
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
from features.kernel.words import packed
from features.records import Records
from operators.cache import Cache
from operators.layout import RECORDS, is_restored
from operators.line import Guard, Line, many, pack, scored

Due = list[tuple[int, str]]  # (due_ms, timer), earliest first
TOUCH = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[1]) end
"""  # by its owner: what was watched on another connection no longer commits
KINDS = "kmd"  # of keys with a name: receipts, misses; d: receipts as earlier versions kept them
KEEP = b"""
local most = tonumber(ARGV[1])
for i, key in ipairs(KEYS) do
  if redis.call('RPUSH', key, ARGV[i + 1]) > most then redis.call('LTRIM', key, -most, -1) end
end
"""  # a receipt for each key, with the latest before it: thousands of writes, and one answer to read


class Fenced(Exception):
    """Another process has taken this partition over; this one must stop writing."""


class Moved(Exception):
    """The stored fence is not where this process left it: an unsure commit went through, or Redis lost its tail."""


def partition_key(prefix: str, flow: str, partition: int, name: str) -> str:
    return f"{prefix}:{{{flow}.{partition}}}:{name}"


class Sent(Struct):
    """Messages of one commit; `id` is their entry's in the partition's outbox, later than any before it."""

    partition: int
    id: str
    messages: list[Message]
    trace: str = ""  # the context of the batch that they come of


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
        self.lines: defaultdict[int, Line] = defaultdict(lambda: Line(redis))
        self.trims = Line(redis)
        self.sent: dict[int, Changes] = {}  # by partition, what Redis has not yet confirmed
        self.words: defaultdict[int, dict[int, str]] = defaultdict(dict)
        self.spent: defaultdict[int, dict[str, int]] = defaultdict(dict)
        self.brakes: defaultdict[int, dict[str, bytes]] = defaultdict(dict)

    def key(self, partition: int, name: str) -> str:
        return partition_key(self.prefix, self.flow, partition, name)

    def _key(self, partition: int, name: str) -> bytes:
        return self.key(partition, name).encode()

    def claim(self, partition: int) -> Position:
        """Takes the partition over (the last to claim wins) and returns its position. Raises Fenced.

        May be repeated, under the same token: a claim that seemed lost may reach Redis after the one that followed it.
        """
        self._leave_to_restore()
        token = self.tokens.setdefault(partition, uuid4().hex)
        self.redis.set(self.key(partition, "owner"), token)
        return self.reopen(partition)

    def reopen(self, partition: int) -> Position:
        """Where the partition stands in Redis; what this process remembers of its records is forgotten."""
        self.lines[partition].hang_up()
        self.sent.pop(partition, None)
        self.redis.eval(TOUCH, 1, self.key(partition, "owner"), self.tokens[partition])
        self.caches[partition] = Cache(0)
        found: Any = self.redis.hgetall(self.key(partition, "words"))
        self.words[partition] = {int(code): text.decode() for code, text in found.items()}
        self.spent[partition] = self.stored_spent(partition)
        self.brakes[partition] = self.stored_brakes(partition)
        for cache in self.caches.values():
            cache.budget_bytes = self.cache_bytes / len(self.caches)
        return self.position(partition)

    def stored_spent(self, partition: int) -> dict[str, int]:
        found: Any = self.redis.hgetall(self.key(partition, "spent"))
        return {pot.decode(): int(spent) for pot, spent in found.items()}

    def stored_brakes(self, partition: int) -> dict[str, bytes]:
        found: Any = self.redis.hgetall(self.key(partition, "brakes"))
        return {brake.decode(): word for brake, word in found.items()}

    def record(self, partition: int, name: str) -> bytes | None:
        [raw] = self.records(partition, [name])
        return raw

    def records(self, partition: int, names: Sequence[str]) -> list[bytes | None]:
        """By name, as of one moment; None where there is none."""
        found: Any = self.redis.hmget(self.key(partition, RECORDS), list(names)) if names else []
        return list(found)

    def position(self, partition: int) -> Position:
        raw = self.redis.get(self.key(partition, "fence"))
        return decode_position(raw) if raw else Position()

    def unsent(self, partition: int) -> list[Sent]:
        """What earlier commits left in the outbox."""
        entries: Any = self.redis.xrange(self.key(partition, "outbox"))
        return [Sent(partition, id.decode(), decode_messages(fields[b"m"])) for id, fields in entries]

    def load(self, partition: int, plan: Plan, timer_records: Callable[[Due], list[str]]) -> State:
        """What the plan asks for, under a guard that stands until changes are sent. Raises Fenced, Moved.

        Usually the guard stands since the last commit and all records are in memory: then Redis is asked nothing.
        """
        line, cache = self.lines[partition], self.caches[partition]
        if line.guard is None:
            line.guard = _guard(line.ask(*self._watch(partition)))
        self._check(partition, plan.position, line.guard)
        records = cache.get(plan.records)
        seen, due = self._ask(partition, records, plan, line.guard)
        self._add(partition, records, timer_records(due))
        while plan.follow is not None and self._add(partition, records, plan.follow(records)):
            pass
        return State(records, seen, due, self.words[partition], self.spent[partition], brakes=self.brakes[partition])

    def _add(self, partition: int, records: Records, names: Iterable[str]) -> bool:
        """Records of names that were not asked for yet; whether there were any."""
        new = [name for name in dict.fromkeys(names) if name not in records.places]
        if new:
            more = self.caches[partition].get(new)
            lacking = more.lacking()
            if lacking:
                _fill(more, lacking, self.lines[partition].ask(self._get(partition, more, lacking))[0])
            records.join(more)
        return bool(new)

    def _watch(self, partition: int) -> tuple[bytes, ...]:
        """Watches owner and fence, and reads them. Who writes timers moves the fence: these are watched as well."""
        keys = (self._key(partition, "owner"), self._key(partition, "fence"))
        first = pack(b"ZRANGE", self._key(partition, "timers"), b"0", b"0", b"WITHSCORES")
        return pack(b"WATCH", *keys), pack(b"MGET", *keys), first

    def _get(self, partition: int, records: Records, places: list[int]) -> bytes:
        all_of_them = len(places) == len(records.names)
        names = records.names.packed if all_of_them else packed([records.names[i] for i in places])
        return many(b"HMGET", self._key(partition, RECORDS), names)

    def _ask(self, partition: int, records: Records, plan: Plan, guard: Guard) -> tuple[set[tuple[str, bytes]], Due]:
        """Adds the records that are not in memory; known ids and due timers; all in one round trip at most."""
        now_ms = plan.clock.now_ms
        moved = now_ms != plan.position.clock.now_ms and guard.first_due_ms <= now_ms
        lacking = records.lacking()
        asked = [self._get(partition, records, lacking)] if lacking else []
        asked += [pack(b"SMISMEMBER", self._key(partition, f"s:{name}"), *ids) for name, ids in plan.seen.items()]
        if moved:
            range = (b"-inf", b"%d" % now_ms, b"WITHSCORES")
            asked.append(pack(b"ZRANGEBYSCORE", self._key(partition, "timers"), *range))
        answers = iter(self.lines[partition].ask(*asked, meanwhile=plan.meanwhile) if asked else ())
        if lacking:
            _fill(records, lacking, next(answers))
        flags = {name: next(answers) for name in plan.seen}
        seen = {
            (name, id) for name, ids in plan.seen.items() for id, flag in zip(ids, flags[name], strict=True) if flag
        }
        return seen, [(due_ms, timer.decode()) for timer, due_ms in scored(next(answers))] if moved else []

    def check(self, partition: int, position: Position) -> None:
        """Whether this process still owns the partition and the fence is at `position`. Raises Fenced, Moved."""
        line = self.lines[partition]
        line.guard = _guard(line.ask(*self._watch(partition)))
        self._check(partition, position, line.guard)

    def _check(self, partition: int, position: Position, guard: Guard) -> None:
        self._check_owner(partition, guard)
        stored = decode_position(guard.fence) if guard.fence else Position()
        if stored.offset != position.offset:
            raise self._moved(partition)

    def _check_owner(self, partition: int, guard: Guard) -> None:
        if guard.owner is None:  # Redis came back empty: the partition is free, Kafka replays all of it
            self._leave_to_restore()
            self.redis.set(self.key(partition, "owner"), self.tokens[partition], nx=True)
            raise self._moved(partition)
        if guard.owner.decode() != self.tokens[partition]:
            raise Fenced(f"{self.flow}: partition {partition} is owned by another process now")

    def _leave_to_restore(self) -> None:
        """Nobody owns a partition of which a part has come back."""
        if is_restored(self.redis, self.prefix):
            raise Fenced(f"{self.flow}: the state under redis.prefix {self.prefix!r} is being restored")

    def _moved(self, partition: int) -> Moved:
        self.lines[partition].hang_up()  # with its watch, which stands on what has moved
        return Moved(self.flow, partition)

    def commit(self, partition: int, changes: Changes) -> list[Sent]:
        """Writes all changes with fence and outbox, or nothing. Raises Fenced, Moved when the guard no longer holds."""
        self.send(partition, changes)
        return self.settle(partition)

    def send(self, partition: int, changes: Changes) -> None:
        """Hands a commit to Redis; `settle` tells what became of it, and must do so before the next load."""
        line, writes = self.lines[partition], self._writes(partition, changes)
        if line.guard is None:
            raise self._moved(partition)
        line.guard = None
        line.send(pack(b"MULTI"), *writes, pack(b"EXEC"), *self._watch(partition))
        self.sent[partition] = changes

    def answered(self, partition: int) -> bool:
        """Whether Redis has said what became of the commit that was sent, so that `settle` hardly waits."""
        return self.lines[partition].answered()

    def settle(self, partition: int) -> list[Sent]:
        """Waits for the commit that was sent, if one was; its messages. Raises Fenced, Moved: nothing was written."""
        changes = self.sent.pop(partition, None)
        if changes is None:
            return []
        line = self.lines[partition]
        *_, done, watched, found, first = line.collect()
        guard = _guard([watched, found, first])
        if done is None:
            self._check_owner(partition, guard)
            raise self._moved(partition)
        for answer in done:
            if isinstance(answer, Exception):
                raise answer
        line.guard = guard
        self.caches[partition].drop(changes.deletes)
        self.caches[partition].put(changes.puts)
        self.words[partition].update(changes.words)
        self.spent[partition].update(changes.spent)
        self.brakes[partition].update(changes.brakes)
        return [Sent(partition, done[-1].decode(), changes.messages)] if changes.messages else []

    def _writes(self, partition: int, changes: Changes) -> list[bytes]:
        """The commands of a commit. What is deleted and put is there afterwards; the outbox comes last."""
        writes: list[bytes] = []
        gone = [f"{kind}:{name}" for name in changes.deletes for kind in KINDS] + [f"s:{n}" for n in changes.drops]
        if gone:
            writes.append(pack(b"UNLINK", *[self._key(partition, name) for name in gone]))
        if changes.deletes:
            names = [name.encode() for name in changes.deletes]
            writes.append(pack(b"HDEL", self._key(partition, RECORDS), *names))
        writes.append(pack(b"SET", self._key(partition, "fence"), encode_position(changes.position)))
        if changes.puts:
            writes.append(self._puts(partition, changes.puts))
        if changes.words:
            pairs = chain.from_iterable((b"%d" % code, text.encode()) for code, text in changes.words.items())
            writes.append(pack(b"HSET", self._key(partition, "words"), *pairs))
        if changes.spent:
            pairs = chain.from_iterable((pot.encode(), b"%d" % spent) for pot, spent in changes.spent.items())
            writes.append(pack(b"HSET", self._key(partition, "spent"), *pairs))
        if changes.brakes:
            pairs = chain.from_iterable((brake.encode(), word) for brake, word in changes.brakes.items())
            writes.append(pack(b"HSET", self._key(partition, "brakes"), *pairs))
        for name, ids in changes.seen.items():
            writes.append(pack(b"SADD", self._key(partition, f"s:{name}"), *ids))
        writes += self._timers(partition, changes.timers)
        writes += self._receipts(partition, changes)
        if changes.messages:  # Redis names the entry by its clock, so none from before a rollback has a later name
            writes.append(pack(b"XADD", self._key(partition, "outbox"), b"*", b"m", encode_messages(changes.messages)))
        return writes

    def _puts(self, partition: int, records: Mapping[str, bytes]) -> bytes:
        puts = Records.of(records)
        puts.settle()
        return many(b"HSET", self._key(partition, RECORDS), puts.names.packed, (puts.text, puts.starts, puts.ends))

    def _receipts(self, partition: int, changes: Changes) -> list[bytes]:
        writes, start = list[bytes](), self._key(partition, "k:")
        kept = [(start + name.encode(), receipt) for name, new in changes.receipts.items() for receipt in new]
        if kept:
            keys, receipts = zip(*kept, strict=True)
            writes.append(pack(b"EVAL", KEEP, b"%d" % len(keys), *keys, b"%d" % changes.receipts_kept, *receipts))
        for name, misses in changes.misses.items():
            pairs = chain.from_iterable((rule.encode(), miss) for rule, miss in misses.items())
            writes.append(pack(b"HSET", self._key(partition, f"m:{name}"), *pairs))
        return writes

    def _timers(self, partition: int, timers: Mapping[str, int | None]) -> list[bytes]:
        key, ahead, past = self._key(partition, "timers"), list[bytes](), list[bytes]()
        for name, due_ms in timers.items():
            if due_ms is None:
                past.append(name.encode())
            else:
                ahead += (b"%d" % due_ms, name.encode())
        return [pack(verb, key, *words) for verb, words in ((b"ZADD", ahead), (b"ZREM", past)) if words]

    def trim(self, ends: Mapping[int, str]) -> None:
        """Has Redis forget outbox entries up to these, by partition, which Kafka has confirmed; safe to repeat.

        It is not waited for, as Redis may just be busy with a commit: a failure is raised by the next trim.
        """
        try:
            self.trims.collect()
        finally:
            self.trims.send(*[self._trim(partition, id) for partition, id in ends.items()])

    def _trim(self, partition: int, id: str) -> bytes:
        at_ms, _, number = id.partition("-")
        least = f"{at_ms}-{int(number) + 1}".encode()
        return pack(b"XTRIM", self._key(partition, "outbox"), b"MINID", least)

    def trims_busy(self) -> bool:
        """Whether the next trim would have to wait for the one before."""
        return self.trims.awaited > 0 and not self.trims.answered()

    def trimmed(self) -> None:
        """Waits until Redis has done what it was asked to trim."""
        self.trims.collect()


def _guard(answers: list[Any]) -> Guard:
    """Of the answers to `_watch`."""
    _, (owner, fence), first = answers
    return Guard(owner, fence, scored(first)[0][1] if first else inf)


def _fill(records: Records, places: list[int], rows: list[bytes | None]) -> None:
    for place, raw in zip(places, rows, strict=True):
        if raw is not None:
            records.put(place, raw)
