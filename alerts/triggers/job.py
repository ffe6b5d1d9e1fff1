"""The customers job: windows → feature row → scores → rules → decisions, in log order."""

from __future__ import annotations

from collections import Counter
from heapq import heappop, heappush
from typing import Any

import msgspec

from alerts.triggers.decide import Candidate, Decider
from features import events as e
from features.catalog import Catalog
from features.customer import apply_event, feature_row
from features.job import Batch, Changes, Clock, Message, Plan, Position, State
from features.labels import Churn, Example, encode_example
from features.messages import Refused, dead_letter
from features.record import Record, WrongLayout, decode_record, encode_record

LABEL = "label"


class CustomersJob:
    """Implements features.job.Job over the clean topic."""

    def __init__(
        self, catalog: Catalog, decider: Decider, churn: Churn, examples_topic: str, dead_letters_topic: str
    ) -> None:
        self.catalog = catalog
        self.decider = decider
        self.churn = churn
        self.examples_topic = examples_topic
        self.dead_letters_topic = dead_letters_topic
        rules = [(i, rule) for i, rule in enumerate(decider.conditions.rules) if rule.enabled]
        self.on = {kind: [i for i, r in rules if kind in r.on] for kind in e.CUSTOMER_EVENTS}
        self.after = {kind: [i for i, r in rules if r.after and r.after.event == kind] for kind in e.CUSTOMER_EVENTS}
        self.by_timer = {rule.timer: i for i, rule in rules}

    def plan(self, batch: Batch, position: Position) -> Plan:
        clock, work, letters = position.clock, [], []
        for index, raw in enumerate(batch.values):
            try:
                event = e.decode_event(raw)
            except (msgspec.DecodeError, UnicodeDecodeError):
                letters.append(dead_letter(self.dead_letters_topic, batch, index, Refused("malformed", "clean topic")))
                continue
            if isinstance(event, e.Tick):
                clock = clock.moved(event.source, event.of, event.at_ms)
            if event.customer or isinstance(event, e.Tick):
                work.append((event, batch.stamps_ms[index]))
        customers = dict.fromkeys(event.customer for event, _ in work if event.customer)
        return Plan(position, clock, list(customers), work=(batch.last, work, letters))

    def timer_records(self, due: list[tuple[int, str]]) -> list[str]:
        return [timer.rpartition("|")[2] for _, timer in due]

    def apply(self, plan: Plan, state: State) -> Changes:
        return _Walk(self, plan, state).changes()


class _Walk:
    """One pass over a batch."""

    def __init__(self, job: CustomersJob, plan: Plan, state: State) -> None:
        self.job = job
        self.plan = plan
        self.state = state
        self.clock: Clock = plan.position.clock
        self.records: dict[str, Record] = {}
        self.timers: dict[str, int | None] = {}
        self.due = list(state.due)  # sorted, so a heap
        self.candidates: list[Candidate] = []
        self.examples: list[Example] = []
        self.counts: dict[str, int] = {}
        self.letters: list[Message] = []

    def changes(self) -> Changes:
        last, work, letters = self.plan.work
        self.letters += letters
        for event, stamp_ms in work:
            if isinstance(event, e.Tick):
                self._tick(event, stamp_ms)
            else:
                self._event(event, stamp_ms)
        if self.letters:
            self.counts |= Counter(f"dead_lettered:{letter.headers['reason']}" for letter in self.letters)
            self.counts["dead_lettered"] = len(self.letters)
        decided = self.job.decider.decide(self.candidates)
        counts = {**self.counts, **decided.counts}
        examples = [Message(self.job.examples_topic, x.model, encode_example(x)) for x in self.examples]
        return Changes(
            position=self.plan.position.moved(last, self.clock, counts),
            puts={customer: encode_record(record) for customer, record in self.records.items()},
            timers=self.timers,
            messages=[*decided.messages, *examples, *self.letters],
            counts=counts,
            causes_ms=decided.causes_ms,
        )

    def _record(self, customer: str) -> Record:
        record = self.records.get(customer)
        if record is None:
            catalog = self.job.catalog
            record = decode_record(self.state.records.get(customer), catalog.layout, len(catalog.measures))
            self.records[customer] = record
        return record

    def _count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1

    def _event(self, event: e.Event, stamp_ms: int) -> None:
        job, kind, record = self.job, e.kind_of(event), self._record(event.customer)
        newest = event.at_ms > record.last_ms.get(kind, 0)
        if not apply_event(record, event, job.catalog):
            self._count("duplicates")
            return
        self._count("applied")
        self._count(f"applied:{kind}")
        if job.on[kind] or kind == "order":
            row = feature_row(record, job.catalog, event.at_ms)
            if job.on[kind]:
                self._ask(event.customer, record, event.at_ms, row, job.on[kind], event.id, stamp_ms, event)
            if kind == "order" and newest:  # a late one labels nothing: what it would say may be known already
                self._ordered(event, record, row)
        if newest:
            for i in job.after[kind]:
                rule = job.decider.conditions.rules[i]
                assert rule.after is not None
                self._set_timer(f"{rule.timer}|{event.customer}", event.at_ms + rule.after.wait_ms)

    def _ordered(self, event: e.Event, record: Record, row: list[float]) -> None:
        example = self.job.churn.ordered(record, event.at_ms, row)
        if example is not None:
            self.examples.append(example)
        self._set_timer(f"{LABEL}|{event.customer}", event.at_ms + self.job.churn.horizon_ms)

    def _set_timer(self, timer: str, due_ms: int) -> None:
        self.timers[timer] = due_ms
        heappush(self.due, (due_ms, timer))

    def _tick(self, tick: e.Tick, stamp_ms: int) -> None:
        before_ms = self.clock.now_ms
        self.clock = self.clock.moved(tick.source, tick.of, tick.at_ms)
        if self.clock.now_ms == before_ms:
            return
        while self.due and self.due[0][0] <= self.clock.now_ms:
            due_ms, timer = heappop(self.due)
            if self.timers.get(timer, due_ms) == due_ms:  # else it was set anew since
                self.timers[timer] = None
                try:
                    self._timer(timer, due_ms, stamp_ms)
                except WrongLayout:
                    raise
                except Exception as error:  # one damaged record must not stop everybody's time
                    self._bury(timer, due_ms, error)

    def _bury(self, timer: str, due_ms: int, error: Exception) -> None:
        letter = Batch("timers", 0, -1, [due_ms], [timer.encode()], [due_ms])
        refused = Refused("internal_error", f"timer {timer.partition('|')[0]}: {type(error).__name__}")
        self.letters.append(dead_letter(self.job.dead_letters_topic, letter, 0, refused))

    def _timer(self, timer: str, due_ms: int, stamp_ms: int) -> None:
        name, _, customer = timer.rpartition("|")
        record = self._record(customer)
        if name == LABEL:
            example = self.job.churn.due(record, due_ms)
            if example is not None:
                self.examples.append(example)
        elif name in self.job.by_timer:  # else the rule is gone
            row = feature_row(record, self.job.catalog, due_ms)
            asked = [self.job.by_timer[name]]
            self._ask(customer, record, due_ms, row, asked, f"{timer}|{due_ms}", stamp_ms, None)

    def _ask(
        self,
        customer: str,
        record: Record,
        at_ms: int,
        row: list[float],
        asked: list[int],
        cause: str,
        stamp_ms: int,
        event: Any,
    ) -> None:
        consented = self.job.decider.policy.consented(record)
        candidate = Candidate(customer, record, at_ms, row, asked, cause, stamp_ms, consented, record.tz or "UTC")
        if event is not None:
            candidate.event = e.kind_of(event)
            candidate.store, candidate.region, candidate.channel = event.store, event.region, event.channel
        self.candidates.append(candidate)
