"""The partition step: load, apply, commit. One Redis transaction per partition and batch.

While Redis writes a large batch, the flow reads and plans on; the answer is taken up before the partition is loaded
again, and only then do the batch's messages leave, and its records enter the cache.

What can go wrong, and what happens:

- Redis is away or refuses, be it when a partition is opened: the step waits and tries again; /healthz is red meanwhile.
- The answer to a commit is bad or never comes: the batch is applied again in front of the next one.
- The fence is not where this process left it (an unsure commit went through, or Redis lost its
  tail): the position is read again, the source rewinds or the batch is cut.
- Another process owns the partition, or writes records that only a later version reads: this process ends.
- An event makes the job raise: the batch is halved until the event stands alone. It becomes a dead
  letter once a later one has shown that the program is sound, or when nothing comes any more.
- Too many events in a row make it raise: the program is bad, and this process ends.
- A timer makes it raise: this process ends, for no event is to blame and time must not stand still unseen.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from threading import Event

import structlog
from msgspec import Struct
from msgspec.structs import replace

from features.job import Batch, Changes, Job, Plan, Position, State
from operators import traces
from operators.burial import Burial
from operators.flight import Flight
from operators.health import LATENCY, Pulse, warn_seldom
from operators.layout import WrongLayout
from operators.leases import Leases
from operators.redis_link import AWAY, reason
from operators.store import Fenced, Moved, PartitionStore, Sent

log = structlog.get_logger()
POISON_LIMIT = 100  # so many events of a partition in a row that raise are no bad events but a bad program
NOT_THE_JOBS = (Moved, Fenced, WrongLayout, *AWAY)  # errors of the store
LARGE = 50  # events in a batch: the answer to a smaller one comes sooner than the next turn
NAMED = 5  # timers that a message names
FIRST_WAIT_S = 0.1  # before Redis is tried again; twice as long every further time
LONGEST_WAIT_S = 5.0


class BrokenTimer(Exception):
    """A due timer makes the job raise. Nothing behind it is committed until the program is mended."""


class Held(Struct):
    """An event that made the job raise, not yet a dead letter."""

    batch: Batch
    error: Exception


class PartitionStep:
    """Runs a job over batches against a store; also the source's fence."""

    def __init__(
        self,
        job: Job,
        store: PartitionStore,
        dead_letters: str,
        pulse: Pulse,
        stop: Event,
        refresh: Callable[[], None] | None = None,
        leases: Leases | None = None,
    ) -> None:
        self.job = job
        self.store = store
        self.dead_letters = dead_letters
        self.pulse = pulse
        self.stop = stop
        self.refresh = refresh
        self.leases = leases
        self.positions: dict[int, Position] = {}
        self.rewinds: dict[int, int] = {}
        self.unsent: dict[int, list[Sent]] = {}  # safe in the outbox, not yet handed to the relay
        self.unsure: set[int] = set()  # partitions whose stored fence must be read again
        self.flights: dict[int, Flight] = {}
        self.open: dict[int, Batch] = {}  # the last batch of each partition with a flight
        self.held: dict[int, list[Held]] = {}
        self.poisoned: Counter[int] = Counter()  # events in a row that raised, by partition
        LATENCY.labels(store.flow)  # from the start, so that the first decision is a rise

    def claim(self, topic: str, partition: int) -> int:
        wait_s = FIRST_WAIT_S
        while True:
            try:
                self.positions[partition] = self.store.claim(partition)
                self._take(partition)
                self.unsent[partition] = self.store.unsent(partition)
                self.pulse.well("redis")
                return self.positions[partition].offset
            except AWAY as error:
                wait_s = self._wait_out(error, wait_s)

    def rewind(self, topic: str, partition: int) -> int | None:
        return self.rewinds.pop(partition, None)

    def awaits(self, topic: str, partition: int) -> bool:
        return partition in self.flights

    def release(self, topic: str, partition: int) -> None:
        """Gives back what the partition holds of shared budgets and has not spent, when nothing more is to come."""
        if self.leases is None:
            return
        try:
            if not self._land(partition):
                self.store.check(partition, self.positions[partition])
            self.leases.give_back(partition)
        except NOT_THE_JOBS as error:
            log.warning("leases stay", flow=self.store.flow, partition=partition, error=reason(error))

    def _take(self, partition: int) -> None:
        if self.leases is not None:
            self.leases.take(partition)

    def __call__(self, batch: Batch) -> list[Sent]:
        """Messages to relay, of each partition the oldest first, once they are safe in the outbox."""
        partition, before, wait_s = batch.partition, self.open.pop(batch.partition, None), FIRST_WAIT_S
        patient = len(batch.offsets) < LARGE
        while True:
            try:
                if self.refresh is not None:
                    self.refresh()
                if partition in self.unsure:
                    self._reopen(partition)
                self._isolate(batch)
                if patient:
                    self._land(partition)
                if self.awaits(batch.topic, partition):
                    self.open[partition] = batch
                else:
                    self.pulse.well("redis")
                return self.unsent.pop(partition, []) + self._answered(partition)
            except Moved:
                self.unsure.add(partition)
            except AWAY as error:
                self.unsure.add(partition)
                wait_s = self._wait_out(error, wait_s)
            if before is not None:  # perhaps not committed, and the source has left it behind
                batch, before = joined(before, batch), None
            patient = True

    def _answered(self, turn: int) -> list[Sent]:
        """Messages of other partitions, whose commits Redis has confirmed: they need not wait for their turn."""
        sent: list[Sent] = []
        for partition in [other for other in self.flights if other != turn and self.store.answered(other)]:
            try:
                self._land(partition)
            except NOT_THE_JOBS:  # its next turn reads the fence again
                self.unsure.add(partition)
            else:
                self.open.pop(partition, None)
                sent += self.unsent.pop(partition, [])
        return sent

    def _wait_out(self, error: Exception, wait_s: float) -> float:
        """Complains and waits; how long to wait the next time. Raises the error at once when told to stop."""
        self._complain(error, wait_s)
        if self.stop.wait(wait_s):
            raise error
        return min(wait_s * 2, LONGEST_WAIT_S)

    def _complain(self, error: Exception, retry_s: float) -> None:
        self.pulse.trouble("redis", reason(error))
        flow = self.store.flow
        warn_seldom("redis is away", flow, flow=flow, error=reason(error), retry_s=retry_s)

    def _reopen(self, partition: int) -> None:
        self.flights.pop(partition, None)
        self.held.pop(partition, None)
        self.positions[partition] = self.store.reopen(partition)
        self._take(partition)
        self.unsent[partition] = self.store.unsent(partition)
        self.unsure.discard(partition)
        log.warning(
            "fence read again", flow=self.store.flow, partition=partition, offset=self.positions[partition].offset
        )

    def _isolate(self, batch: Batch) -> None:
        try:
            self._transact(batch)
        except NOT_THE_JOBS:
            raise
        except Exception as error:
            if len(batch.offsets) > 1:
                for half in batch.halves():
                    self._isolate(half)
            elif batch.offsets:
                self._hold(batch, error)
            else:
                raise

    def _transact(self, batch: Batch) -> None:
        partition, position, held = batch.partition, self.positions[batch.partition], self.held.get(batch.partition)
        reached = held[-1].batch.last if held else position.offset
        batch = batch.since(reached)
        if batch.after > reached:
            self.rewinds[partition] = reached
        elif batch.offsets:
            if held:
                self._try(batch)
                self._bury(partition)
            self._commit(batch, self.job)
            self.poisoned[partition] = 0
        else:  # a heartbeat: a quiet partition, too, notices a Redis that is away or fell back
            if not self._land(partition):
                self.store.check(partition, position)
            self._lend(partition, position.clock.now_ms)
            self._bury(partition)

    def _hold(self, batch: Batch, error: Exception) -> None:
        """Keeps an event that raised until the next one; raises where no event is to blame."""
        flow, partition = self.store.flow, batch.partition
        try:
            due = self._try(batch, timers=False)
        except NOT_THE_JOBS:
            raise
        except Exception:
            self.poisoned[partition] += 1
        else:
            names = ", ".join(name for _, name in due[:NAMED])
            raise BrokenTimer(
                f"{flow}: partition {partition}: one of {len(due)} due timers ({names}) makes the job raise"
                f" {type(error).__name__}; nothing behind offset {batch.after} is committed until that is mended"
            ) from error
        if self.poisoned[partition] > POISON_LIMIT:
            raise error
        log.error("event raised", flow=flow, topic=batch.topic, offset=batch.last, exc_info=error)
        self.held.setdefault(partition, []).append(Held(batch, error))

    def _bury(self, partition: int) -> None:
        for held in self.held.pop(partition, []):
            self._commit(held.batch, Burial(self.dead_letters, held.error))

    def _try(self, batch: Batch, timers: bool = True) -> list[tuple[int, str]]:
        """Applies a batch, keeps nothing of it, and raises what the job raises; the timers that are due."""
        plan = self.job.plan(batch, self.positions[batch.partition])
        self._land(batch.partition)
        state = self.store.load(batch.partition, plan, self.job.timer_records)
        self.job.apply(plan, state if timers else replace(state, due=[]))
        return state.due

    def _commit(self, batch: Batch, job: Job) -> None:
        """Sends what a batch changes to Redis; it is planned while Redis is still busy with the one before."""
        partition, started = batch.partition, time.perf_counter()
        plan = job.plan(batch, self.positions[partition])
        planned = time.perf_counter()
        self._land(partition)
        landed = time.perf_counter()
        state = self.store.load(partition, plan, job.timer_records)
        loaded = time.perf_counter()
        changes = self._apply(partition, job, plan, state)
        applied = time.perf_counter()
        self.store.send(partition, changes)
        sent = time.perf_counter()
        took_s = {
            "plan": planned - started,
            "load": loaded - landed,
            "apply": applied - loaded,
            "commit": sent - applied,
        }
        self.positions[partition] = changes.position
        self.flights[partition] = Flight(batch, changes, took_s, started, loaded)

    def _apply(self, partition: int, job: Job, plan: Plan, state: State) -> Changes:
        """Once more, while shared budgets have more to give than the partition had been granted."""
        state.grants = self._lend(partition, plan.clock.now_ms)
        changes = job.apply(plan, state)
        while self.leases is not None and changes.short and self.leases.more(partition, changes.short):
            changes = job.apply(plan, state)
        if self.leases is not None and changes.spent:
            self.leases.note(partition, changes.spent)
        return changes

    def _lend(self, partition: int, now_ms: int) -> dict[str, int] | None:
        return None if self.leases is None else self.leases.ready(partition, now_ms)

    def _land(self, partition: int) -> bool:
        """Waits for what Redis was sent; whether there was anything. Its messages may leave now."""
        flight, started = self.flights.pop(partition, None), time.perf_counter()
        if flight is None:
            return False
        settled = self.store.settle(partition)
        flight.took_s["commit"] += time.perf_counter() - started
        if traces.spans:
            trace = flight.trace(self.store.flow, traces.spans)
            settled = [replace(sent, trace=trace) for sent in settled]
        self.unsent.setdefault(partition, []).extend(settled)
        flight.measure(self.store.flow)
        return True


def joined(before: Batch, batch: Batch) -> Batch:
    """Both as one, if they follow each other; else the later one."""
    if before.last != batch.after:
        return batch
    return replace(
        batch,
        after=before.after,
        offsets=before.offsets + batch.offsets,
        values=before.values + batch.values,
        stamps_ms=before.stamps_ms + batch.stamps_ms,
        resent=before.resent | batch.resent,
    )
