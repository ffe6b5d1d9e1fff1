"""The plain loop: runs a job over batches with dicts as the store, for back-tests, rule tests and tests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from features import job as seam
from features.job import Batch, Changes, Job, Message, Plan, Position, State


@dataclass
class Store:
    """What one partition keeps; `sent` is everything that ever left it, in order."""

    position: Position = field(default_factory=Position)
    records: dict[str, bytes] = field(default_factory=dict)
    seen: dict[str, set[bytes]] = field(default_factory=dict)
    timers: dict[str, int] = field(default_factory=dict)
    words: dict[int, str] = field(default_factory=dict)
    spent: dict[str, int] = field(default_factory=dict)
    brakes: dict[str, bytes] = field(default_factory=dict)
    sent: list[Message] = field(default_factory=list)
    receipts: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    misses: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def load(self, job: Job, plan: Plan) -> State:
        due = self._due(plan) if plan.clock.now_ms != plan.position.clock.now_ms else []
        names = {*plan.records, *job.timer_records(due)}
        while plan.follow is not None and (more := {*plan.follow(self._found(names))} - names):
            names |= more
        seen = {(name, id) for name, ids in plan.seen.items() for id in ids if id in self.seen.get(name, ())}
        return State(self._found(names), seen, due, self.words, self.spent, brakes=self.brakes)

    def _found(self, names: set[str]) -> dict[str, bytes]:
        return {name: self.records[name] for name in names & self.records.keys()}

    def _due(self, plan: Plan) -> list[tuple[int, str]]:
        return sorted((due_ms, timer) for timer, due_ms in self.timers.items() if due_ms <= plan.clock.now_ms)

    def commit(self, changes: Changes) -> None:
        """All of it or nothing; deletes and drops come before what is put."""
        for name in changes.deletes:
            for part in (self.records, self.receipts, self.misses):
                part.pop(name, None)
        for name in changes.drops:
            self.seen.pop(name, None)
        self.records |= changes.puts
        self.words |= changes.words
        self.spent |= changes.spent
        self.brakes |= changes.brakes
        for name, ids in changes.seen.items():
            self.seen.setdefault(name, set()).update(ids)
        for name, receipts in changes.receipts.items():
            self.receipts[name] = [*self.receipts.get(name, ()), *receipts][-changes.receipts_kept :]
        for name, misses in changes.misses.items():
            self.misses[name] = self.misses.get(name, {}) | misses
        self.timers |= {timer: due_ms for timer, due_ms in changes.timers.items() if due_ms is not None}
        for timer in [timer for timer, due_ms in changes.timers.items() if due_ms is None]:
            self.timers.pop(timer, None)
        self.sent += seam.decode_messages(seam.encode_messages(changes.messages))
        self.position = seam.decode_position(seam.encode_position(changes.position))


def run(job: Job, batches: Iterable[Batch], stores: dict[int, Store] | None = None) -> dict[int, Store]:
    """Stores by partition after these batches; what lies at or below a partition's fence is skipped."""
    stores = {} if stores is None else stores
    for batch in batches:
        store = stores.setdefault(batch.partition, Store())
        fresh = batch.since(store.position.offset)
        if fresh.offsets:
            plan = job.plan(fresh, store.position)
            store.commit(job.apply(plan, store.load(job, plan)))
    return stores


def batches(topic: str, partition: int, values: list[bytes], cuts: Iterable[int] = (), first: int = 0) -> list[Batch]:
    """`values` as consecutive records from offset `first`, cut into batches after so many records each."""
    whole = Batch(topic, partition, first - 1, [*range(first, first + len(values))], values, [0] * len(values))
    edges = sorted({0, len(values), *(cut for cut in cuts if cut < len(values))})
    return [whole.cut(start, stop) for start, stop in pairwise(edges)]
