"""Partial minutes of all source partitions in; closed minutes and corrections out, one by one and for the judge.

A minute closes when the clock, the least of all source partitions', has passed its end. What comes
for it afterwards is sent as a correction. A minute's revision is the sum of (version + 1) over its
parts: it only grows, and the same revision always means the same counts.

Records are `store:0012|486123` (an hour), with a timer of the same name for the next minute to
close and at last for its end, and `watch|store:0012` (how full the store usually is), with a timer of
the same name that looks at one minute after the other, whether anything came in it or not.
"""

from __future__ import annotations

from msgspec import Struct

from alerts.kpis.closing import SENT, Closings, Ways
from alerts.kpis.hour import needed, watch_record
from alerts.kpis.kpi import ClockMark, Partial, decode_partial, hour_record, store_of
from alerts.kpis.ledger import Ledger, Topics
from features.job import Batch, Changes, Message, Plan, Position, State
from features.messages import Refused, dead_letter


class Work(Struct):
    """A batch, read: what it says, and what it says that cannot be read."""

    last: int
    partition: int
    said: list[Partial | ClockMark] = []
    letters: list[Message] = []


class MergedMinutes:
    """The job over partial minutes; `retention_hours` is that of the job that sends them."""

    def __init__(self, topics: Topics, retention_hours: int, ways: Ways) -> None:
        self.topics = topics
        self.retention_hours = retention_hours
        self.ways = ways

    def plan(self, batch: Batch, position: Position) -> Plan:
        work, clock, names = Work(batch.last, batch.partition), position.clock, set[str]()
        for index, raw in enumerate(batch.values):
            try:
                said = decode_partial(raw)
            except (ValueError, RecursionError) as error:
                refused = Refused("malformed", str(error))
                work.letters.append(dead_letter(self.topics.dead_letters, batch, index, refused))
                continue
            work.said.append(said)
            if isinstance(said, ClockMark):
                clock = clock.moved(str(said.source), said.of, said.at_ms)
            else:
                names.add(hour_record(said.dim, said.minute_ms))
                if store_of(said.dim):
                    names.add(watch_record(said.dim))
        return Plan(position, clock, sorted(names), work=work)

    def timer_records(self, due: list[tuple[int, str]]) -> list[str]:
        return [name for due_ms, timer in due for name in needed(due_ms, timer)]

    def apply(self, plan: Plan, state: State) -> Changes:
        work: Work = plan.work
        known = {*plan.records, *self.timer_records(state.due)}
        clock = plan.position.clock
        closings = Closings(self.ways, work.partition, plan.position.counts.get(SENT, 0), clock.now_ms)
        ledger = Ledger(self.topics, self.retention_hours, known, state, closings)
        changes = Changes(plan.position, messages=work.letters)
        for _ in work.letters:
            ledger.counts.update(("dead_lettered", "dead_lettered:malformed"))
        for said in work.said:
            if isinstance(said, Partial):
                ledger.merge(said, clock.now_ms)
            else:
                clock = clock.moved(str(said.source), said.of, said.at_ms)
            ledger.advance(clock.now_ms)
        ledger.write(changes)
        changes.position = plan.position.moved(work.last, plan.clock, changes.counts)
        return changes
