"""A small job that uses every part of a commit, a log to run it over, and what Redis then holds of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct
from redis import Redis

from features.job import Batch, Changes, Message, Plan, Position, State, decode_position
from features.loop import Store
from operators.layout import RECORDS
from operators.partition import PartitionStep
from operators.store import PartitionStore, Sent

TOPIC = "events"
KEPT = 3  # receipts of a name


class Entry(Struct, omit_defaults=True):
    """One thing that happens to `name`; an entry with `tick_ms` only moves the clock."""

    name: str = ""
    id: str = ""
    wait_ms: int | None = None  # sets a timer so long after the clock
    forget: bool = False  # deletes the record, takes its timer back and drops its id set
    broken: bool = False  # makes the job raise
    tick_ms: int = 0


class Tally:
    """A record lists all that happened to its name, in order; every happening is also a message.

    The ids of a name are kept in an id set: what comes twice happens once. The latest happenings are its receipts, and
    the latest of each first digit a miss.
    """

    def plan(self, batch: Batch, position: Position) -> Plan:
        entries = [msgspec.json.decode(raw, type=Entry) for raw in batch.values]
        clock, ids = position.clock, {}
        for entry in entries:
            if entry.tick_ms:
                clock = clock.moved("s", 1, entry.tick_ms)
            else:
                ids.setdefault(entry.name, []).append(entry.id.encode())
        return Plan(position, clock, list(ids), ids, work=(batch.last, entries))

    def timer_records(self, due: list[tuple[int, str]]) -> list[str]:
        return [name for _, name in due]

    def apply(self, plan: Plan, state: State) -> Changes:
        return TallyWalk(plan, state).changes()


class TallyWalk:
    """One pass over a batch."""

    def __init__(self, plan: Plan, state: State) -> None:
        self.plan = plan
        self.clock = plan.position.clock
        self.records = {name: raw.decode().split() for name, raw in state.records.items()}
        self.seen = set(state.seen)
        self.due = {name: due_ms for due_ms, name in state.due}
        self.out = Changes(plan.position, receipts_kept=KEPT)

    def changes(self) -> Changes:
        last, entries = self.plan.work
        for entry in entries:
            if entry.broken:
                raise ValueError("broken entry")
            self._tick(entry) if entry.tick_ms else self._happen(entry)
        out = self.out
        out.puts = {name: " ".join(self.records[name]).encode() for name in out.puts}
        out.position = self.plan.position.moved(last, self.clock, out.counts)
        return out

    def _happen(self, entry: Entry) -> None:
        name, id = entry.name, entry.id.encode()
        if (name, id) in self.seen:
            return self._count("duplicates")
        self._count("applied")
        if entry.forget:
            return self._forget(name)
        self.seen.add((name, id))
        self.out.seen.setdefault(name, []).append(id)
        self._note(name, entry.id)
        if entry.wait_ms is not None:
            self.out.timers[name] = self.due[name] = self.clock.now_ms + entry.wait_ms
        return None

    def _forget(self, name: str) -> None:
        self.records.pop(name, None)
        self.due.pop(name, None)
        self.seen = {(of, id) for of, id in self.seen if of != name}
        self.out.puts.pop(name, None)
        self.out.seen.pop(name, None)
        self.out.receipts.pop(name, None)
        self.out.misses.pop(name, None)
        self.out.timers[name] = None
        self.out.deletes.append(name)
        self.out.drops.append(name)

    def _tick(self, entry: Entry) -> None:
        self.clock = self.clock.moved("s", 1, entry.tick_ms)
        for name, due_ms in sorted(self.due.items(), key=lambda item: (item[1], item[0])):
            if due_ms <= self.clock.now_ms:
                del self.due[name]
                self.out.timers[name] = None
                self._note(name, f"due@{due_ms}")

    def _note(self, name: str, what: str) -> None:
        self.records.setdefault(name, []).append(what)
        self.out.puts[name] = b""  # written once, at the end
        self.out.receipts.setdefault(name, []).append(what.encode())
        self.out.misses.setdefault(name, {})[what[:1]] = what.encode()
        self.out.messages.append(Message("out", name, f"{name} {len(self.records[name])} {what}".encode()))

    def _count(self, name: str) -> None:
        self.out.counts[name] = self.out.counts.get(name, 0) + 1


class Log:
    """A Kafka partition in memory; its offsets have the gaps that transaction markers leave."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.values = [msgspec.json.encode(entry) for entry in entries]
        self.offsets = [3 * i + i % 2 for i in range(len(self.values))]

    def read(self, after: int, size: int) -> Batch:
        """Up to `size` records behind `after`; an empty batch at the end."""
        start = sum(offset <= after for offset in self.offsets)
        part = slice(start, start + size)
        offsets = self.offsets[part]
        return Batch(TOPIC, 0, after, offsets, self.values[part], [0] * len(offsets))

    def whole(self) -> Batch:
        return self.read(-1, len(self.values))


def steps(n: int) -> list[Entry]:
    """`n` entries that use everything: three names, timers, ticks, a repeat, a name forgotten."""
    entries: list[Entry] = []
    for i in range(n):
        name = "abc"[i % 3]
        if i % 5 == 4:
            entries.append(Entry(tick_ms=100 * i))
        elif i % 11 == 10:
            entries.append(Entry(name, f"{i}", forget=True))
        else:
            id = f"{i - 3}" if i % 7 == 6 else f"{i}"
            entries.append(Entry(name, id, wait_ms=250 if i % 4 == 1 else None))
    return entries


def drive(step: PartitionStep, log: Log, size: int = 7) -> list[Sent]:
    """What a source does: claims, reads on, obeys rewinds, until the end and one heartbeat more."""
    after, sent = step.claim(TOPIC, 0), []
    while True:
        batch = log.read(after, size)
        sent += step(batch)
        back = step.rewind(TOPIC, 0)
        if back is None and not batch.offsets:
            return sent
        after = batch.last if back is None else back


def stored(store: PartitionStore, partition: int = 0) -> Store:
    """What Redis holds of a partition, in the shape of the plain loop; `sent` is what its outbox holds."""
    redis: Redis = store.redis
    prefix = store.key(partition, "")
    out = Store()
    for key in sorted(redis.keys(f"{prefix}*"), key=bytes):  # type: ignore[arg-type, type-var]
        kind, _, name = key.decode().removeprefix(prefix).partition(":")
        if kind == "fence":
            out.position = decode_position(redis.get(key))  # type: ignore[arg-type]
        elif kind == RECORDS:
            records: Any = redis.hgetall(key)
            out.records = {record.decode(): raw for record, raw in records.items()}
        elif kind == "k":
            receipts: Any = redis.lrange(key, 0, -1)
            out.receipts[name] = list(dict.fromkeys(receipts))
        elif kind == "m":
            misses: Any = redis.hgetall(key)
            out.misses[name] = {rule.decode(): raw for rule, raw in misses.items()}
        elif kind == "s":
            out.seen[name] = set(redis.smembers(key))  # type: ignore[arg-type]
        elif kind == "timers":
            timers: Any = redis.zrange(key, 0, -1, withscores=True)
            out.timers = {member.decode(): int(score) for member, score in timers}
    out.sent = [message for sent in store.unsent(partition) for message in sent.messages]
    return out
