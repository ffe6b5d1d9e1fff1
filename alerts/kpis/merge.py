"""Partial minutes of all source partitions in; closed minutes and corrections out, one by one and for the judge.

A minute closes when the clock, the least of all source partitions', has passed its end. What comes
for it afterwards is sent as a correction. A minute's revision is the sum of (version + 1) over its
parts: it only grows, and the same revision always means the same counts.

Records are `store:0012|486123` (an hour), with a timer of the same name for the next minute to
close and at last for its end, `five|store:0012|20255` and `hours|store:0012|1265` (what stays of hours
that have ended, see `rollup.py`), each with the timer that ends it, `watch|store:0012` (how full the store
usually is), with a timer of the same name that looks at one minute after the other, whether anything came in
it or not, and `life|store:0012` (when its till was heard last), with a timer for when it is called offline.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from msgspec import Struct

from alerts.kpis.catalog import KNOWN_BY_NAME, KpiCatalog
from alerts.kpis.closing import Closings, Ways
from alerts.kpis.hour import needed, watch_record, watched_dim
from alerts.kpis.kpi import ClockMark, Partial, Partials, Row, counts_of, decode_partial, store_of
from alerts.kpis.ledger import Ledger, Topics
from alerts.kpis.load import decode_watch
from alerts.kpis.rollup import Kept, fold_ms, step_of, steps_of
from alerts.kpis.silence import life_record, living_dim
from features.job import Batch, Changes, Message, Plan, Position, State
from features.messages import Refused, dead_letter
from features.times import HOUR_MS, MINUTE_MS

LEAP_MS = 10 * MINUTE_MS  # of the clock, in one batch
HOURS_AHEAD = 4  # looked at in one batch at most, where the clock leaps over hours in which nothing came


class Work(Struct):
    """A batch, read: what it says, and what it says that cannot be read."""

    last: int
    partition: int
    said: list[tuple[int, Partials | ClockMark]] = []  # by offset
    letters: list[Message] = []


class MergedMinutes:
    """The job over partial minutes; `retention_hours` is that of the job that sends them."""

    def __init__(
        self,
        topics: Topics,
        retention_hours: int,
        ways: Ways,
        catalog: KpiCatalog = KNOWN_BY_NAME,
        kept: Kept = Kept(),  # noqa: B008 - it is frozen
    ) -> None:
        self.topics = topics
        self.retention_hours = retention_hours
        self.ways = ways
        self.catalog = catalog
        self.kept = kept

    def plan(self, batch: Batch, position: Position) -> Plan:
        work, clock = Work(batch.last, batch.partition), position.clock
        names, rows = set[str](), set[tuple[str, int]]()
        for index, raw in enumerate(batch.values):
            try:
                said = decode_partial(raw)
            except (ValueError, RecursionError) as error:
                refused = Refused("malformed", str(error))
                work.letters.append(dead_letter(self.topics.dead_letters, batch, index, refused))
                continue
            said = together(said) if isinstance(said, Partial) else said
            work.said.append((batch.offsets[index], said))
            if isinstance(said, ClockMark):
                clock = clock.moved(str(said.source), said.of, said.at_ms)
            else:
                rows.update((row.dim, row.minute_ms // HOUR_MS) for row in said.rows)
        for dim, hour in rows:
            names.add(f"{dim}|{hour}")
            if store_of(dim):
                names |= {life_record(dim), watch_record(dim)}
        leaps = clock.now_ms - position.clock.now_ms > LEAP_MS
        return Plan(position, clock, sorted(names), work=work, follow=partial(ahead, clock.now_ms) if leaps else None)

    def timer_records(self, due: list[tuple[int, str]]) -> list[str]:
        """Those of an hour's end as well where it ends; what a batch finds out late is left for the next."""
        return [name for due_ms, timer in due for name in (*needed(due_ms, timer), *self._folded(due_ms, timer))]

    def _folded(self, due_ms: int, timer: str) -> list[str]:
        dim, _, hour = timer.rpartition("|")
        if (
            step_of(timer)
            or watched_dim(timer)
            or living_dim(timer)
            or fold_ms(dim, int(hour), self.retention_hours) > due_ms
        ):
            return []
        return [step.record(dim, int(hour)) for step in steps_of(dim, self.catalog)]

    def apply(self, plan: Plan, state: State) -> Changes:
        work: Work = plan.work
        known = {*plan.records, *self.timer_records(state.due)}
        if plan.follow:
            known.update(plan.follow(state.records))
        clock = plan.position.clock
        closings = Closings(self.ways, work.partition, clock.now_ms)
        ledger = Ledger(self.topics, self.retention_hours, known, state, closings, self.catalog, self.kept)
        changes = Changes(plan.position, messages=work.letters)
        for _ in work.letters:
            ledger.counts.update(("dead_lettered", "dead_lettered:malformed"))
        for offset, said in work.said:
            closings.begin(offset)
            if isinstance(said, ClockMark):
                clock = clock.moved(str(said.source), said.of, said.at_ms)
                ledger.advance(clock.now_ms)
            else:
                for row in said.rows:
                    ledger.merge(said.source, row, clock.now_ms)
                    ledger.advance(clock.now_ms)
            closings.tell(clock.now_ms)
        ledger.write(changes)
        changes.levels["closed"] = clock.now_ms / 1000
        changes.position = plan.position.moved(work.last, plan.clock, changes.counts)
        return changes


def ahead(now_ms: int, found: Mapping[str, bytes]) -> list[str]:
    """The hours that watches come to when the clock leaps to a time."""
    names = list[str]()
    for name in found:
        if store_of(dim := watched_dim(name)):
            first = decode_watch(found[name]).next // 60
            names += [f"{dim}|{hour}" for hour in range(first, min(now_ms // HOUR_MS + 1, first + HOURS_AHEAD))]
    return names


def together(said: Partial) -> Partials:
    """One that came by itself, as among others."""
    return Partials(said.source, [Row(said.dim, said.minute_ms, counts_of(said.counters), said.version)])
