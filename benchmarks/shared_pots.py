"""Partitions that share pots, in memory: the protocol of the partition step and of leases, step by step.

By chance a process believes that a step has failed which was done, says a thing twice, or leaves a commit on its way.
What is decided is decided by the real job.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from random import Random

from msgspec import Struct, field

from alerts.triggers.job import CustomersJob
from alerts.triggers.lease import RETURN, Request, settled
from benchmarks.streams import PARTITIONS, Case
from features.job import Batch, Changes, State
from features.loop import Store

Grants = dict[str, int]
SHARES = 2 * PARTITIONS


class Partition(Struct):
    """What is kept of one. `touched` counts what would break a watch: whatever is written to owner or fence."""

    owner: str = ""
    touched: int = 0
    holder: str = ""  # who may ask for its leases
    granted: Grants = {}
    store: Store = field(default_factory=Store)

    def commit(self, changes: Changes) -> None:
        self.store.commit(changes)
        self.touched += 1


class World(Struct):
    partitions: list[Partition]
    reserved: Grants = {}
    late: list[tuple[Partition, int, Changes]] = []  # commits on their way, with what they watch
    broken: list[str] = []  # what must never be, as soon as it was

    def settle(self, partition: Partition, request: Request) -> int:
        before = partition.granted.get(request.pot, 0)
        granted = settled(request, self.reserved.get(request.pot, 0), before, SHARES)
        partition.granted[request.pot] = granted
        self.reserved[request.pot] = self.reserved.get(request.pot, 0) + granted - before
        return granted

    def check(self, case: Case) -> None:
        for pot, reserved in self.reserved.items():
            if reserved > (case.campaigns.limit(pot) or 0):
                self.broken.append(f"{pot}: reserved {reserved} of {case.campaigns.limit(pot)}")
            if reserved != sum(p.granted.get(pot, 0) for p in self.partitions):
                self.broken.append(f"{pot}: reserved {reserved} is not the sum of what is granted")
        for p in self.partitions:
            for pot, spent in p.store.spent.items():
                if case.campaigns.limit(pot) is not None and spent > p.granted.get(pot, 0):
                    self.broken.append(f"{pot}: spent {spent} of {p.granted.get(pot, 0)} granted")

    def check_end(self, case: Case) -> None:
        """All logs are worked off, and what is not spent has returned."""
        for number, p in enumerate(self.partitions):
            if p.store.position.offset < len(case.events[number]) - 1:
                self.broken.append(f"partition {number} is not through")
        for pot, reserved in self.reserved.items():
            if reserved != (spent := sum(p.store.spent.get(pot, 0) for p in self.partitions)):
                self.broken.append(f"{pot}: reserved {reserved} in the end, {spent} spent")


class Failed(Exception):
    """A step whose answer did not come, or which was refused: the partition is opened again."""


class Fenced(Exception):
    """Another process has the partition."""


class Process:
    """One process and its one partition; `run` yields between any two of its steps."""

    def __init__(self, name: str, world: World, number: int, case: Case, job: CustomersJob, rng: Random) -> None:
        self.name, self.world, self.number = name, world, number
        self.case, self.job, self.rng = case, job, rng
        self.opened = 0

    @property
    def here(self) -> Partition:
        """As it stands in the store now, which may have fallen back."""
        return self.world.partitions[self.number]

    def run(self) -> Iterator[None]:
        self.here.owner = self.name
        self.here.touched += 1
        yield
        try:
            while True:
                try:
                    yield from self._open()
                    yield from self._work()
                    return
                except Failed:
                    yield
        except Fenced:
            return

    def _open(self) -> Iterator[None]:
        self.opened += 1
        if self.here.owner == self.name:
            self.here.touched += 1
        yield
        self.token = f"{self.name}.{self.opened}"
        self.here.holder, self.granted = self.token, dict(self.here.granted)
        yield
        self.position, self.spent = self.here.store.position, dict(self.here.store.spent)
        yield
        self._guard()

    def _guard(self) -> None:
        """Looks at owner and fence, and watches them from now on."""
        if self.here.owner != self.name:
            raise Fenced
        if self.here.store.position.offset != self.position.offset:
            raise Failed
        self.watched = self.here.touched

    def _work(self) -> Iterator[None]:
        for batch in self.case.logs[self.number]:
            fresh = batch.since(self.position.offset)
            if fresh.offsets:
                if self.rng.random() < 0.5:
                    yield from self._settle({pot: self.rng.choice((RETURN, 0, 300)) for pot in self.granted})
                changes = yield from self._apply(fresh)
                yield from self._commit(changes)
        yield from self._settle(dict.fromkeys(self.granted, RETURN))

    def _apply(self, batch: Batch) -> Generator[None, None, Changes]:
        plan = self.job.plan(batch, self.position)
        kept = self.here.store
        state = State(
            {name: kept.records[name] for name in plan.records if name in kept.records},
            words=kept.words,
            spent=self.spent,
            grants=self.granted,
        )
        changes = self.job.apply(plan, state)
        while changes.short:
            before = dict(self.granted)
            needs = {pot: before.get(pot, 0) - self.spent.get(pot, 0) + more for pot, more in changes.short.items()}
            yield from self._settle(needs)
            if all(self.granted[pot] <= before.get(pot, 0) for pot in needs):
                break
            changes = self.job.apply(plan, state)
        return changes

    def _settle(self, needs: Grants) -> Iterator[None]:
        campaigns = self.case.campaigns
        for pot, need in needs.items():
            limit = campaigns.limit(pot)
            if limit is None:
                continue
            if self.here.holder != self.token:
                raise Failed
            request = Request(pot, limit, self.spent.get(pot, 0), need, campaigns.unit(pot))
            for _ in range(self.rng.choice((1, 1, 1, 2))):
                self.granted[pot] = self.world.settle(self.here, request)
            yield
            self._perhaps_unheard()

    def _commit(self, changes: Changes) -> Iterator[None]:
        yield
        if self.watched != self.here.touched:
            raise Fenced if self.here.owner != self.name else Failed
        if self.rng.random() < 0.05:
            self.world.late.append((self.here, self.watched, changes))
            raise Failed
        self.here.commit(changes)
        self._perhaps_unheard()
        yield
        self.position, self.spent = changes.position, {**self.spent, **changes.spent}
        self._guard()
        yield

    def _perhaps_unheard(self) -> None:
        if self.rng.random() < 0.05:
            raise Failed
