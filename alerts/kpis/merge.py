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

from msgspec import Struct

from alerts.kpis.catalog import KNOWN_BY_NAME, KpiCatalog
from alerts.kpis.closing import Closings, Ways
from alerts.kpis.hour import needed, watch_record, watched_dim
from alerts.kpis.kpi import ClockMark, Partial, Partials, decode_partial, hour_record, store_of
from alerts.kpis.ledger import Ledger, Topics
from alerts.kpis.rollup import Kept, fold_ms, step_of, steps_of
from alerts.kpis.silence import life_record, living_dim
from features.job import Batch, Changes, Message, Plan, Position, State
from features.messages import Refused, dead_letter


class Work(Struct):
    """A batch, read: what it says, and what it says that cannot be read."""

    last: int
    partition: int
    said: list[tuple[int, list[Partial], ClockMark | None]] = []  # by offset
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
        work, clock, names = Work(batch.last, batch.partition), position.clock, set[str]()
        for index, raw in enumerate(batch.values):
            try:
                said = decode_partial(raw)
            except (ValueError, RecursionError) as error:
                refused = Refused("malformed", str(error))
                work.letters.append(dead_letter(self.topics.dead_letters, batch, index, refused))
                continue
            mark = said if isinstance(said, ClockMark) else None
            work.said.append((batch.offsets[index], apart(said), mark))
            clock = clock.moved(str(mark.source), mark.of, mark.at_ms) if mark else clock
        for dim, at_ms in {(each.dim, each.minute_ms) for _, partials, _ in work.said for each in partials}:
            names.add(hour_record(dim, at_ms))
            if store_of(dim):
                names |= {life_record(dim), watch_record(dim)}
        return Plan(position, clock, sorted(names), work=work)

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
        clock = plan.position.clock
        closings = Closings(self.ways, work.partition, clock.now_ms)
        ledger = Ledger(self.topics, self.retention_hours, known, state, closings, self.catalog, self.kept)
        changes = Changes(plan.position, messages=work.letters)
        for _ in work.letters:
            ledger.counts.update(("dead_lettered", "dead_lettered:malformed"))
        for offset, partials, mark in work.said:
            closings.begin(offset)
            for partial in partials:
                ledger.merge(partial, clock.now_ms)
                ledger.advance(clock.now_ms)
            if mark:
                clock = clock.moved(str(mark.source), mark.of, mark.at_ms)
                ledger.advance(clock.now_ms)
            closings.tell(clock.now_ms)
        ledger.write(changes)
        changes.levels["closed"] = clock.now_ms / 1000
        changes.position = plan.position.moved(work.last, plan.clock, changes.counts)
        return changes


def apart(said: Partial | Partials | ClockMark) -> list[Partial]:
    """Partials one by one."""
    if isinstance(said, Partials):
        return [Partial(said.source, row.dim, row.minute_ms, row.counters, row.version) for row in said.rows]
    return [said] if isinstance(said, Partial) else []
