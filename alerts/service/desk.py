"""Events about cases in; what becomes of tickets out, when it is said and when the clock comes to it.

Records are `t|<ticket>`, with a timer of the same name for what the clock will bring; `of|<customer>`, which tickets a
customer has, or as whom a customer who was merged goes on; and `open`, which lists the tickets on which something is
owed.
"""

from __future__ import annotations

from functools import partial

from msgspec import Struct

from alerts.service.cases import living
from alerts.service.promise import Promises
from alerts.service.records import OPEN, further, person_record, ticket_record
from alerts.service.shift import Shift
from alerts.service.telling import Topics
from alerts.service.ticket import ticket_name
from features import events as e
from features.forgotten import Forgotten
from features.job import Batch, Changes, Message, Plan, Position, State
from features.messages import Refused, dead_letter


class Work(Struct):
    """A batch, read: events with their Kafka timestamps, and what cannot be read."""

    last: int
    events: list[tuple[e.Event, int]] = []
    letters: list[Message] = []


class Desk:
    """Implements features.job.Job over what `Cases` sends: tickets, whatever the promises have become since."""

    def __init__(self, topics: Topics, promises: Promises, forgotten: Forgotten | None = None) -> None:
        self.topics = topics
        self.promises = promises
        self.forgotten = Forgotten() if forgotten is None else forgotten

    def plan(self, batch: Batch, position: Position) -> Plan:
        work, clock = Work(batch.last), position.clock
        for index, raw in enumerate(batch.values):
            try:
                work.events.append((e.decode_clean(raw), batch.stamps_ms[index]))
            except (ValueError, RecursionError) as error:
                refused = Refused("malformed", str(error))
                work.letters.append(dead_letter(self.topics.dead_letters, batch, index, refused))
        work.events = living(work.events, self.forgotten)
        names, leaving = {OPEN}, set[str]()
        for event, _ in work.events:
            if isinstance(event, e.Tick):
                clock = clock.moved(event.source, event.of, event.at_ms)
                continue
            if isinstance(event, e.Merge | e.Forget):
                leaving.add(event.customer)
            if isinstance(event, e.Merge):
                names.add(person_record(event.into))
            names |= {person_record(event.customer)} if event.customer else set()
            names |= {ticket_record(ticket)} if (ticket := ticket_name(event)) else set()
        follow = partial(further, leaving)
        return Plan(position, clock, sorted(names), work=work, follow=follow)

    def timer_records(self, due: list[tuple[int, str]]) -> list[str]:
        return [name for _, name in due]

    def apply(self, plan: Plan, state: State) -> Changes:
        work: Work = plan.work
        shift, clock = Shift(self.promises, self.topics, state), plan.position.clock
        for event, stamp_ms in work.events:
            if isinstance(event, e.Tick):
                clock = clock.moved(event.source, event.of, event.at_ms)
                shift.advance(clock.now_ms, stamp_ms)
            else:
                shift.hear(event, clock.now_ms, stamp_ms)
        for _ in work.letters:
            shift.counts.update(("dead_lettered", "dead_lettered:malformed"))
        changes = Changes(plan.position, messages=list(work.letters))
        shift.write(changes)
        changes.position = plan.position.moved(work.last, plan.clock, changes.counts)
        return changes
