"""The security job: raw audit events in; findings and dead letters out, in log order.

Producers set the actor as the key of audit.events, so one partition sees all that an actor does.
Nothing stands before this job: it checks the bytes itself. Ticks move the clock and, live, Kafka's timestamps.

Every event but a tick ends in exactly one count: `applied`, `own` (it has told it to itself), `duplicates` or
`dead_lettered`.
"""

from __future__ import annotations

from collections import Counter

from msgspec import Struct

from alerts.security import baseline, correlation
from alerts.security.baseline import Past
from alerts.security.correlation import Correlation, Counted, Group
from alerts.security.fields import EXPORT, NOWHERE, Fields, flat_fields
from alerts.security.finding import Finding
from alerts.security.networks import Networks
from alerts.security.sigma import Detection, Rules
from alerts.security.spoken import of_detection, of_past, of_window
from alerts.security.told import message
from alerts.security.watching import Watching, records
from features.check import Limits, check
from features.events import AUDIT_EVENTS, Audit, AuditTold, Tick, decode_audit
from features.job import Batch, Changes, Plan, Position, State
from features.messages import Refused, dead_letter
from features.seen import expires_ms, id_hash, is_set, set_name
from features.stores import Stores


class Item(Struct):
    """One event, read: what it matches, and the clock when it came."""

    event: Audit
    fields: Fields
    hits: list[Detection]  # that alert
    counted: list[tuple[Correlation, str, int]]  # by these correlations, in this record, as this value
    now_ms: int
    stamp_ms: int

    @property
    def seen(self) -> tuple[str, bytes]:
        return set_name(self.event.at_ms), id_hash(self.event.id)

    @property
    def records(self) -> list[str]:
        names = [*(name for _, name, _ in self.counted), *records(self.event)]
        return [*names, baseline.record(self.event.actor)] if self.fields["action"] == EXPORT else names


class Work(Struct):
    """A batch, read; `letters` are the refused records by index."""

    batch: Batch
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
    ) -> None:
        """`stamps_tick`: Kafka timestamps move the clock, as they do live; in a replay only ticks do. `told_topic` is
        the one that it reads."""
        self.rules = rules
        self.stores = stores
        self.limits = limits
        self.retention_hours = retention_hours
        self.alerts_topic = alerts_topic
        self.dead_letters_topic = dead_letters_topic
        self.stamps_tick = stamps_tick
        self.networks = networks
        self.told_topic = told_topic

    def plan(self, batch: Batch, position: Position) -> Plan:
        work, clock = Work(batch), position.clock
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
        seen: dict[str, list[bytes]] = {}
        for item in work.items:
            name, id = item.seen
            seen.setdefault(name, []).append(id)
        records = {name for item in work.items for name in item.records}
        return Plan(position, clock, sorted(records), seen, work)

    def _item(self, event: Audit, now_ms: int, stamp_ms: int) -> Item:
        if expires_ms(event.at_ms, self.retention_hours) <= now_ms:
            raise Refused("too_late", f"more than {self.retention_hours} h behind; its duplicates are forgotten")
        event.region, event.tz = self.stores.place(event.store)
        fields = flat_fields(event, self.networks)
        hits = [index for index, detection in enumerate(self.rules.detections) if detection.matches(fields)]
        alerting = [self.rules.detections[index] for index in hits if self.rules.detections[index].alerts]
        return Item(event, fields, alerting, self._counted(fields, hits), now_ms, stamp_ms)

    def _counted(self, fields: Fields, hits: list[int]) -> list[tuple[Correlation, str, int]]:
        rules = [rule for rule in self.rules.correlations if not rule.of.isdisjoint(hits)]
        values = [(rule, rule.value(fields)) for rule in rules]
        return [(rule, rule.record(fields), value) for rule, value in values if value is not None]

    def timer_records(self, due: list[tuple[int, str]]) -> list[str]:
        return []

    def apply(self, plan: Plan, state: State) -> Changes:
        return _Walk(self, plan, state).changes()


class _Walk:
    """One pass over a batch."""

    def __init__(self, job: SecurityJob, plan: Plan, state: State) -> None:
        self.job = job
        self.plan = plan
        self.state = state
        self.seen = set(state.seen)
        self.groups: dict[str, tuple[Group, Correlation]] = {}
        self.pasts: dict[str, Past] = {}
        self.watching = Watching(job.networks, state.records)
        self.findings: list[Finding] = []
        self.counts: Counter[str] = Counter()

    def changes(self) -> Changes:
        work: Work = self.plan.work
        for item in work.items:
            if item.seen in self.seen:
                self.counts["duplicates"] += 1
            else:
                self.seen.add(item.seen)
                self.counts["own" if isinstance(item.event, AuditTold) else "applied"] += 1
                self._look(item)
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
            ],
            counts=counts,
            causes_ms=[finding.trigger_stamp_ms for finding in self.findings],
        )
        self._keep(changes)
        return changes

    def _look(self, item: Item) -> None:
        event, found = item.event, self._judge(item)
        self.findings += self.watching.look(event, item.fields, found, item.now_ms, item.stamp_ms)

    def _judge(self, item: Item) -> list[Finding]:
        found = [of_detection(detection, item.event, item.fields, item.stamp_ms) for detection in item.hits]
        for rule, name, value in item.counted:
            found += self._correlate(rule, name, value, item)
        if item.fields["action"] == EXPORT:
            past = self._past(item)
            unusual = baseline.observe(past, item.event.rows, item.fields["hour"], item.event.at_ms)
            if unusual:
                found.append(of_past(unusual, item.event, item.fields, item.stamp_ms))
        return found

    def _correlate(self, rule: Correlation, name: str, value: int, item: Item) -> list[Finding]:
        if name not in self.groups:
            raw = self.state.records.get(name)
            self.groups[name] = (correlation.decode_group(raw) if raw else Group(), rule)
        group, _ = self.groups[name]
        forgotten = group.forgotten
        window = correlation.observe(group, rule, Counted(item.event.at_ms, value, item.event.id), item.now_ms)
        self.counts["group_events_forgotten"] += group.forgotten - forgotten
        return [of_window(window, rule, item.event, item.fields, item.stamp_ms)] if window else []

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
        for name, (group, rule) in self.groups.items():
            self._put(changes, name, correlation.encode_group(group), group.due_ms(rule.timespan_ms))
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
