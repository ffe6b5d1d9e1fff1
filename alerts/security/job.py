"""The security job: raw audit events in; findings and dead letters out, in log order.

Producers set the actor as the key of audit.events, so one partition sees all that an actor does.
Nothing stands before this job: it checks the bytes itself. Ticks move the clock and, live, Kafka's timestamps.

Every event but a tick ends in exactly one count: `applied`, `own` (Brewline has sent it itself), `duplicates` or
`dead_lettered`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from msgspec import Struct

from alerts.security import baseline, cases
from alerts.security.baseline import Past
from alerts.security.fields import EXPORT, NOWHERE, Fields, flat_fields
from alerts.security.finding import Finding
from alerts.security.leaks import exposures
from alerts.security.networks import Networks
from alerts.security.sigma import SOURCE, known
from alerts.security.spoken import By, decode_by, encode_by, of_detection, of_past, of_window
from alerts.security.told import message
from alerts.security.watching import Watching, records
from alerts.sigma.correlating import Correlation, is_group
from alerts.sigma.engine import Engine, Seen
from alerts.sigma.group import Group, Open, decode_group, encode_group
from alerts.sigma.matcher import Place
from alerts.sigma.reading import Rules
from features.check import Limits, check
from features.events import AUDIT_EVENTS, Audit, AuditExport, AuditTold, Tick, decode_audit
from features.job import Batch, Changes, Message, Plan, Position, State
from features.messages import Refused, dead_letter
from features.seen import expires_ms, id_hash, is_set, set_name
from features.stores import Stores


class Item(Struct):
    """One event, read: what it matches, and the clock when it came."""

    event: Audit
    fields: Fields
    known: Fields  # those that the event fills in
    now_ms: int
    stamp_ms: int
    met: Place = ()  # detections
    groups: list[str] = []  # records of what is counted

    @property
    def seen(self) -> tuple[str, bytes]:
        return set_name(self.event.at_ms), id_hash(self.event.id)

    @property
    def records(self) -> list[str]:
        past = [baseline.record(self.event.actor)] if self.fields["action"] == EXPORT else []
        return [*self.groups, *past, *records(self.event)]


class Work(Struct):
    """A batch, read; `letters` are the refused records by index."""

    batch: Batch
    engine: Engine  # the rules as they were when it was read
    items: list[Item] = []
    letters: list[tuple[int, Refused]] = []
    unknown_fields: int = 0


class SecurityJob:
    """Implements features.job.Job over audit.events."""

    def __init__(
        self,
        rules: Rules,
        stores: Stores,
        limits: Limits,
        retention_hours: int,
        alerts_topic: str,
        dead_letters_topic: str,
        stamps_tick: bool = False,
        networks: Networks = NOWHERE,
        told_topic: str = "audit.events",
        exposures_topic: str = "exposures",
    ) -> None:
        """`stamps_tick`: Kafka timestamps move the clock, as they do live; in a replay only ticks do. `told_topic` is
        the one that it reads."""
        self.engine = Engine(rules)
        self.stores = stores
        self.limits = limits
        self.retention_hours = retention_hours
        self.alerts_topic = alerts_topic
        self.dead_letters_topic = dead_letters_topic
        self.stamps_tick = stamps_tick
        self.networks = networks
        self.told_topic = told_topic
        self.exposures_topic = exposures_topic

    def follow(self, rules: Rules) -> None:
        """From the next batch on; groups of rules that stay go on as they are."""
        self.engine = Engine(rules)

    def plan(self, batch: Batch, position: Position) -> Plan:
        work, clock = Work(batch, self.engine), position.clock
        for index, (raw, stamp_ms) in enumerate(zip(batch.values, batch.stamps_ms, strict=True)):
            if self.stamps_tick:
                clock = clock.moved("", 1, stamp_ms)
            try:
                event, unknown = check(raw, decode_audit, AUDIT_EVENTS, self.limits, stamp_ms)
                if isinstance(event, Tick):
                    if self.stamps_tick:
                        raise Refused("unknown_type", "ticks are sent in replays only")
                    clock = clock.moved("", 1, event.at_ms)
                elif isinstance(event, Audit):
                    work.items.append(self._item(event, clock.now_ms, stamp_ms))
                    work.unknown_fields += unknown
            except Refused as refused:
                work.letters.append((index, refused))
        self._match(work.items)
        seen: dict[str, list[bytes]] = {}
        for item in work.items:
            name, id = item.seen
            seen.setdefault(name, []).append(id)
        records = {name for item in work.items for name in item.records}
        return Plan(position, clock, sorted(records), seen, work, follow=_cases_of if self.engine.closes else None)

    def _item(self, event: Audit, now_ms: int, stamp_ms: int) -> Item:
        if expires_ms(event.at_ms, self.retention_hours) <= now_ms:
            raise Refused("too_late", f"more than {self.retention_hours} h behind; its duplicates are forgotten")
        event.region, event.tz = self.stores.place(event.store)
        fields = flat_fields(event, self.networks)
        return Item(event, fields, known(fields), now_ms, stamp_ms)

    def _match(self, items: list[Item]) -> None:
        for item, met in zip(items, self.engine.match(SOURCE, [item.known for item in items]), strict=True):
            if met:
                item.met, item.groups = met, self.engine.records(item.known, met)

    def timer_records(self, due: list[tuple[int, str]]) -> list[str]:
        return [name for _, name in due if is_group(name)] if self.engine.closes else []

    def apply(self, plan: Plan, state: State) -> Changes:
        return _Walk(self, plan, state).changes()


def _cases_of(found: Mapping[str, bytes]) -> list[str]:
    """The cases of whom a group was last about: its window may be over."""
    lasts = [decode_group(raw).last for name, raw in found.items() if is_group(name)]
    return [cases.record(decode_by(last.data).actor) for last in lasts if last and last.data]


class _Walk:
    """One pass over a batch."""

    def __init__(self, job: SecurityJob, plan: Plan, state: State) -> None:
        self.job = job
        self.plan = plan
        self.state = state
        self.engine: Engine = plan.work.engine
        self.seen = set(state.seen)
        self.groups: dict[str, Open] = {}
        self.pasts: dict[str, Past] = {}
        self.watching = Watching(job.networks, state.records)
        self.findings: list[Finding] = []
        self.exposed: list[Message] = []
        self.counts: Counter[str] = Counter()

    def changes(self) -> Changes:
        work: Work = self.plan.work
        for item in work.items:
            if item.seen in self.seen:
                self.counts["duplicates"] += 1
            else:
                self.seen.add(item.seen)
                own = isinstance(item.event, AuditTold) or item.event.trail
                self.counts["own" if own else "applied"] += 1
                self._look(item)
        self._close()
        for _, refused in work.letters:
            self.counts.update(("dead_lettered", f"dead_lettered:{refused.reason}"))
        self.counts.update(unknown_fields=work.unknown_fields, security_alerts=len(self.findings))
        counts = {name: count for name, count in self.counts.items() if count}
        letters = [dead_letter(self.job.dead_letters_topic, work.batch, *letter) for letter in work.letters]
        changes = Changes(
            position=self.plan.position.moved(work.batch.last, self.plan.clock, counts),
            messages=[
                *letters,
                *(finding.message(self.job.alerts_topic) for finding in self.findings),
                *(message(self.job.told_topic, told) for told in self.watching.told),
                *self.exposed,
            ],
            counts=counts,
            causes_ms=[finding.trigger_stamp_ms for finding in self.findings],
        )
        self._keep(changes)
        return changes

    def _look(self, item: Item) -> None:
        event, found = item.event, self._judge(item)
        self.findings += self.watching.look(event, item.fields, found, item.now_ms, item.stamp_ms)
        if isinstance(event, AuditExport):
            self.exposed += exposures(self.job.exposures_topic, event)

    def _judge(self, item: Item) -> list[Finding]:
        alerting = [each for each in map(self.engine.rules.detections.__getitem__, item.met) if each.alerts]
        found = [of_detection(detection, item.event, item.fields, item.stamp_ms) for detection in alerting]
        if item.groups:
            found += self._correlate(item)
        if item.fields["action"] == EXPORT:
            past = self._past(item)
            unusual = baseline.observe(past, item.event.rows, item.fields["hour"], item.event.at_ms)
            if unusual:
                found.append(of_past(unusual, item.event, item.fields, item.stamp_ms))
        return found

    def _correlate(self, item: Item) -> list[Finding]:
        event, engine = item.event, self.engine
        by = By(event.actor, event.store, item.stamp_ms)
        data = encode_by(by) if engine.closes else b""
        seen = Seen(item.known, item.met, event.at_ms, event.id, item.now_ms, data)
        told = [fired for fired in engine.correlate(seen, self._group, self._lost) if fired.correlation.alerts]
        return [of_window(fired, decode_by(fired.last.data) if fired.last else by) for fired in told]

    def _group(self, name: str, rule: Correlation) -> Open:
        if name not in self.groups:
            raw = self.state.records.get(name)
            self.groups[name] = Open(decode_group(raw) if raw else Group(), rule)
        return self.groups[name]

    def _lost(self, reason: str, count: int) -> None:
        self.counts[f"group_events_{reason}"] += count

    def _close(self) -> None:
        """What the clock has passed of windows that are judged as a whole."""
        engine = self.engine
        if not engine.closes:
            return
        for _, name in self.state.due:
            raw = self.state.records.get(name) if is_group(name) and name not in self.groups else None
            group = decode_group(raw) if raw else Group()
            if rule := engine.closing(group):
                self.groups[name] = Open(group, rule)
        for open in self.groups.values():
            for fired in engine.close(open.group, self.plan.clock.now_ms):
                if fired.correlation.alerts:
                    finding = of_window(fired, decode_by(fired.last.data))  # type: ignore[union-attr]
                    self.findings.append(self.watching.weigh(finding, self.plan.clock.now_ms))

    def _past(self, item: Item) -> Past:
        """The actor's past; a new one where the old has run out, whether or not its timer has come."""
        name = baseline.record(item.event.actor)
        past = self.pasts.get(name)
        if past is None:
            raw = self.state.records.get(name)
            past = baseline.decode_past(raw) if raw else Past()
        if past.due_ms <= item.now_ms:
            past = Past()
        self.pasts[name] = past
        return past

    def _keep(self, changes: Changes) -> None:
        """Puts what the clock has not passed, each with the timer that ends it; deletes what it has."""
        for _, name in self.state.due:
            (changes.drops if is_set(name) else changes.deletes).append(name)
            changes.timers[name] = None
        for name, open in self.groups.items():
            self._put(changes, name, encode_group(open.group), open.group.due_ms(open.rule))
        for name, past in self.pasts.items():
            self._put(changes, name, baseline.encode_past(past), past.due_ms)
        self.watching.put(lambda name, raw, due_ms: self._put(changes, name, raw, due_ms))
        for item in self.plan.work.items:
            name, id = item.seen
            due_ms = expires_ms(item.event.at_ms, self.job.retention_hours)
            if due_ms > self.plan.clock.now_ms and (name, id) not in self.state.seen:
                changes.seen.setdefault(name, []).append(id)
                changes.timers[name] = due_ms

    def _put(self, changes: Changes, name: str, raw: bytes, due_ms: int) -> None:
        if due_ms > self.plan.clock.now_ms:
            changes.puts[name] = raw
            changes.timers[name] = due_ms
        else:
            changes.deletes.append(name)
            changes.timers[name] = None
