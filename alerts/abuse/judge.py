"""The second stage: facts on accounts and devices in; review cases and suppressions out.

Every record is an account's or a device's, and only facts under its own key change it; what it must tell another goes
through the outbox to `sightings` again. All is decided in log order, so that it does not matter where batches end.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from alerts.abuse import account as accounts
from alerts.abuse import device as devices
from alerts.abuse.account import NEVER_MS, Account, decode_account, encode_account
from alerts.abuse.desk import Desk, Topics
from alerts.abuse.device import Device, decode_device, encode_device
from alerts.abuse.fact import Decided, Erased, Fact, Known, Merged, decode_fact, subject_of
from alerts.abuse.signals import Signals
from alerts.kpis.kpi import ClockMark
from features.forgotten import Forgotten, name_hash
from features.job import Batch, Changes, Clock, Message, Plan, Position, State
from features.messages import Refused, dead_letter


class Work(Struct):
    batch: Batch
    said: list[Fact | ClockMark] = []
    letters: list[Message] = []


class ReviewJob:
    """Implements features.job.Job over `sightings`."""

    def __init__(self, topics: Topics, signals: Signals, forgotten: Forgotten | None = None) -> None:
        self.topics = topics
        self.signals = signals
        self.forgotten = Forgotten() if forgotten is None else forgotten

    def plan(self, batch: Batch, position: Position) -> Plan:
        work, clock = Work(batch), position.clock
        for index, raw in enumerate(batch.values):
            try:
                said = decode_fact(raw)
            except (ValueError, RecursionError) as error:
                refused = Refused("malformed", str(error))
                work.letters.append(dead_letter(self.topics.dead_letters, batch, index, refused))
                continue
            work.said.append(said)
            if isinstance(said, ClockMark):
                clock = _moved(clock, said)
        names = {subject_of(said) for said in work.said if not isinstance(said, ClockMark)}
        return Plan(position, clock, sorted(names), work=work)

    def timer_records(self, due: list[tuple[int, str]]) -> list[str]:
        return [name for _, name in due]

    def apply(self, plan: Plan, state: State) -> Changes:
        work: Work = plan.work
        desk = Desk(self.topics, self.signals, plan.position.clock.now_ms)
        walk, clock = Walk(desk, state.records), plan.position.clock
        gone = self._gone(work)
        for said in work.said:
            if isinstance(said, ClockMark):
                clock = _moved(clock, said)
                desk.now_ms = clock.now_ms
            elif isinstance(said, Erased):
                gone.add(said.customer)
                walk.hear(said)
            elif gone.isdisjoint(_about(said)):
                walk.hear(said)
            else:
                desk.counts["facts_forgotten"] += 1
        self.forgotten.add({name_hash(name): 0 for name in gone})
        for _, name in state.due:
            walk.open(name)
        changes = Changes(plan.position, messages=[*work.letters, *desk.messages])
        walk.write(changes)
        desk.counts.update({"dead_lettered": len(work.letters), "dead_lettered:malformed": len(work.letters)})
        changes.counts = {name: count for name, count in desk.counts.items() if count}
        changes.position = plan.position.moved(work.batch.last, plan.clock, changes.counts)
        changes.levels = _levels(changes.position.counts)
        return changes

    def _gone(self, work: Work) -> set[str]:
        """Whom the batch is about and who were forgotten before."""
        facts = [said for said in work.said if not isinstance(said, ClockMark)]
        return self.forgotten.among({name for fact in facts for name in _about(fact)})


def _levels(totals: Mapping[str, int]) -> dict[str, float]:
    """What waits for a human, and how many customers that holds, by signal."""
    parts = [name.split(":") for name in totals if name.startswith("reviews:")]
    return {f"{what}:{signal}": totals[f"reviews:{signal}:{what}"] for _, signal, what in parts}


def _about(fact: Fact) -> list[str]:
    if isinstance(fact, Decided):
        return [fact.subject]
    return [fact.customer, fact.into] if isinstance(fact, Merged) else [fact.customer]


def _moved(clock: Clock, mark: ClockMark) -> Clock:
    return clock.moved(str(mark.source), mark.of, mark.at_ms)


class Walk:
    """The records of a batch."""

    def __init__(self, desk: Desk, stored: Mapping[str, bytes]) -> None:
        self.desk = desk
        self.stored = stored
        self.open_records: dict[str, Account | Device | None] = {}

    def hear(self, fact: Fact) -> None:
        name = subject_of(fact)
        record = self.open(name) or _new(name)
        self.open_records[name] = record
        self.desk.counts["facts_applied"] += 1
        if isinstance(record, Device):
            self._of_device(name, record, fact)
        else:
            self._of_account(name, record, fact)

    def _of_device(self, name: str, device: Device, fact: Fact) -> None:
        if isinstance(fact, Known):
            devices.learn(self.desk, name, device, fact.customer, fact.traces)
        elif isinstance(fact, Erased):
            devices.erase(self.desk, name, device, fact.customer)
        elif isinstance(fact, Decided):
            devices.decide(self.desk, fact, device)

    def _of_account(self, name: str, account: Account, fact: Fact) -> None:
        if isinstance(fact, Known):
            accounts.learn(self.desk, name, account, fact.traces)
        elif isinstance(fact, Merged):
            accounts.merge(self.desk, fact, account)
        elif isinstance(fact, Decided):
            accounts.decide(self.desk, fact, account)
        else:
            accounts.erase(self.desk, fact, account)
            self.open_records[name] = None

    def open(self, name: str) -> Account | Device | None:
        """The record as of now; None when there is none, or when its time has passed: then its open cases end."""
        if name not in self.open_records:
            raw = self.stored.get(name)
            self.open_records[name] = None if raw is None else _decode(name, raw)
        record = self.open_records[name]
        if record is not None and record.due_ms <= self.desk.now_ms >= record.ends_ms(self.desk.kept_ms):
            record.tidied = 0
            if isinstance(record, Device):
                devices.look_again(self.desk, name, record)
            else:
                accounts.look_again(self.desk, name, record)
            self.open_records[name] = None
        return self.open_records[name]

    def write(self, changes: Changes) -> None:
        for name in self.open_records:
            record = self.open(name)
            if record is None:
                changes.deletes.append(name)
                changes.timers[name] = None
                continue
            record.due_ms = record.ends_ms(self.desk.kept_ms)
            changes.puts[name] = encode_device(record) if isinstance(record, Device) else encode_account(record)
            changes.timers[name] = record.due_ms if record.due_ms < NEVER_MS else None


def _new(name: str) -> Account | Device:
    return Device() if name.startswith("device:") else Account()


def _decode(name: str, raw: bytes) -> Account | Device:
    return decode_device(raw) if name.startswith("device:") else decode_account(raw)
