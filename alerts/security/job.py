"""The security job: raw audit events in; findings and dead letters out, in log order.

Producers set the actor as the key of audit.events, so one partition sees all that an actor does.
Nothing stands before this job: it checks the bytes itself. Ticks move the clock and, live, Kafka's timestamps. What
counts in groups that span partitions is told to them on `audit.matches`, and by marks how far the clock has come; live,
a partition whose clock moves wakes the others.

Every event but a tick ends in exactly one count: `applied`, `own` (Brewline has sent it itself), `duplicates` or
`dead_lettered`. What Brewline has sent twice, as two flows may with an entry of the trail, is counted once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial

from msgspec import Struct

from alerts.security import baseline
from alerts.security.baseline import Past
from alerts.security.counting import Counting, follow, put_actors, timer_records, with_rolls
from alerts.security.fields import EXPORT, NOWHERE, Fields, flat_fields
from alerts.security.finding import Finding
from alerts.security.leaks import exposures
from alerts.security.matches import Mark, Match, carried, counted, encode_match, spanning
from alerts.security.networks import Networks
from alerts.security.roster import Bounds
from alerts.security.sigma import SOURCE, known
from alerts.security.spoken import By, decode_by, encode_by, of_detection, of_past, of_window
from alerts.security.told import message
from alerts.security.watching import Watching, records
from alerts.security.ways import Ways
from alerts.sigma.engine import Engine, Seen
from alerts.sigma.matcher import Place
from alerts.sigma.reading import Rules
from features.check import Limits, check
from features.events import AUDIT_EVENTS, Audit, AuditExport, AuditTold, Tick, decode_audit, encode
from features.job import Batch, Changes, Message, Plan, Position, State
from features.messages import Refused, dead_letter
from features.seen import expires_ms, id_hash, is_set, set_name
from features.stores import Stores

MARK_MS = 10_000  # of the clock: how often it is told
PULSE = "pulse|"  # begins the id of a tick by which one partition wakes another


class Item(Struct):
    """One event, read: what it matches, and the clock when it came."""

    event: Audit
    fields: Fields
    known: Fields  # those that the event fills in
    counted: Fields  # the same, as correlations see them
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
    pulses: int = 0


class SecurityJob:
    """Implements features.job.Job over audit.events."""

    def __init__(
        self,
        rules: Rules,
        stores: Stores,
        limits: Limits,
        retention_hours: int,
        ways: Ways = Ways(),  # noqa: B008 - it is frozen
        stamps_tick: bool = False,
        networks: Networks = NOWHERE,
        bounds: Bounds = Bounds(),  # noqa: B008 - it is frozen
    ) -> None:
        """`stamps_tick`: Kafka timestamps move the clock, as they do live; in a replay only ticks do."""
        self.follow(rules)
        self.stores = stores
        self.limits = limits
        self.retention_hours = retention_hours
        self.ways = ways
        self.stamps_tick = stamps_tick
        self.networks = networks
        self.bounds = bounds

    def follow(self, rules: Rules) -> None:
        """From the next batch on; groups of rules that stay go on as they are."""
        places = spanning(rules)
        self.engine = Engine(rules, places)
        self.carried = carried(rules, places)

    def plan(self, batch: Batch, position: Position) -> Plan:
        work, clock = Work(batch, self.engine), position.clock
        for index, (raw, stamp_ms) in enumerate(zip(batch.values, batch.stamps_ms, strict=True)):
            if self.stamps_tick:
                clock = clock.moved("", 1, stamp_ms)
            try:
                event, unknown = check(raw, decode_audit, AUDIT_EVENTS, self.limits, stamp_ms)
                if isinstance(event, Tick):
                    work.pulses += event.id.startswith(PULSE)
                    if self.stamps_tick and not event.id.startswith(PULSE):
                        raise Refused("unknown_type", "ticks are sent in replays only")
                    clock = clock if self.stamps_tick else clock.moved("", 1, event.at_ms)
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
        names = with_rolls({name for item in work.items for name in item.records})
        more = follow(self.engine, names, self.bounds)
        return Plan(position, clock, names, seen, work, more)

    def _item(self, event: Audit, now_ms: int, stamp_ms: int) -> Item:
        if expires_ms(event.at_ms, self.retention_hours) <= now_ms:
            raise Refused("too_late", f"more than {self.retention_hours} h behind; its duplicates are forgotten")
        event.region, event.tz = self.stores.place(event.store)
        fields = flat_fields(event, self.networks)
        filled = known(fields)
        return Item(event, fields, filled, filled, now_ms, stamp_ms)

    def _match(self, items: list[Item]) -> None:
        for item, met in zip(items, self.engine.match(SOURCE, [item.known for item in items]), strict=True):
            if met:
                item.met, item.counted = met, counted(item.known)
                item.groups = self.engine.records(item.counted, met)

    def timer_records(self, due: list[tuple[int, str]]) -> list[str]:
        return timer_records(self.engine, due)

    def apply(self, plan: Plan, state: State) -> Changes:
        return _Walk(self, plan, state).changes()


class _Walk:
    """One pass over a batch."""

    def __init__(self, job: SecurityJob, plan: Plan, state: State) -> None:
        self.job = job
        self.plan = plan
        self.state = state
        self.engine: Engine = plan.work.engine
        self.seen = set(state.seen)
        self.counts: Counter[str] = Counter()
        self.counting = Counting(self.engine, state, self.counts, job.bounds.groups)
        self.pasts: dict[str, Past] = {}
        self.watching = Watching(state.records, job.networks)
        self.findings: list[Finding] = []
        self.exposed: list[Message] = []
        self.matches: list[Message] = []

    def changes(self) -> Changes:
        work, ways = self.plan.work, self.job.ways
        for item in work.items:
            own = isinstance(item.event, AuditTold) or bool(item.event.trail)
            if item.seen not in self.seen:
                self.seen.add(item.seen)
                self.counts["own" if own else "applied"] += 1
                self._look(item)
            elif not own:  # two flows may send the same entry of the trail
                self.counts["duplicates"] += 1
        self._close()
        for _, refused in work.letters:
            self.counts.update(("dead_lettered", f"dead_lettered:{refused.reason}"))
        self.counts.update(unknown_fields=work.unknown_fields, security_alerts=len(self.findings))
        letters = [dead_letter(ways.dead_letters, work.batch, *letter) for letter in work.letters]
        changes = Changes(
            position=self.plan.position,
            messages=[
                *letters,
                *(finding.message(ways.alerts) for finding in self.findings),
                *(message(ways.audit, told) for told in self.watching.told),
                *self.exposed,
                *self.matches,
                *self._marks(),
            ],
            causes_ms=[finding.trigger_stamp_ms for finding in self.findings],
        )
        self._keep(changes)
        changes.counts = dict(+self.counts)
        changes.position = self.plan.position.moved(work.batch.last, self.plan.clock, changes.counts)
        return changes

    def _look(self, item: Item) -> None:
        event, found = item.event, self._judge(item)
        self.findings += self.watching.look(event, item.fields, found, item.now_ms, item.stamp_ms)
        if isinstance(event, AuditExport):
            self.exposed += exposures(self.job.ways.exposures, event)

    def _judge(self, item: Item) -> list[Finding]:
        alerting = [each for each in map(self.engine.rules.detections.__getitem__, item.met) if each.alerts]
        found = [of_detection(detection, item.event, item.fields, item.stamp_ms) for detection in alerting]
        if item.met:
            found += self._correlate(item)
        if item.fields["action"] == EXPORT:
            past = self._past(item)
            unusual = baseline.observe(past, item.event.rows, item.fields["hour"], item.event.at_ms)
            if unusual:
                found.append(of_past(unusual, item.event, item.fields, item.stamp_ms))
        return found

    def _correlate(self, item: Item) -> list[Finding]:
        event, engine = item.event, self.engine
        by = By(event.actor, event.store, item.stamp_ms, event.client_ip, event.device)
        data = encode_by(by) if engine.closes else b""
        seen = Seen(item.counted, item.met, event.at_ms, event.id, item.now_ms, data)
        send = partial(self._send, item)
        fired = engine.correlate(seen, self.counting.find, self.counting.lose, send)
        told = [each for each in fired if each.correlation.alerts]
        return [of_window(each, decode_by(each.last.data) if each.last else by) for each in told]

    def _send(self, item: Item, place: int, values: tuple[str, ...], mask: int) -> None:
        """Tells a group that spans partitions."""
        event, carried = item.event, self.job.carried[place]
        fields = {name: value for name, value in item.counted.items() if name in carried}
        rule = self.engine.rules.correlations[place]
        when = event.at_ms, item.stamp_ms
        match = Match(rule.rule.id, values, mask, event.id, *when, event.store, fields, rule.shape)
        self.matches.append(Message(self.job.ways.matches, self.engine.record(place, values), encode_match(match)))

    def _marks(self) -> Iterator[Message]:
        """How far the clock has come, from time to time; not behind a pulse of another, which would echo for ever."""
        work, ways, engine = self.plan.work, self.job.ways, self.engine
        now_ms, source = self.plan.clock.now_ms, work.batch.partition
        if now_ms // MARK_MS <= self.plan.position.clock.now_ms // MARK_MS:
            return
        mark = encode_match(Mark(source, len(ways.audit_keys), now_ms))
        for key in ways.matches_keys if engine.elsewhere else ():
            yield Message(ways.matches, key, mark)
        if self.job.stamps_tick and work.pulses < len(work.batch.values) and (engine.elsewhere or engine.closes):
            pulse = encode(Tick(id=f"{PULSE}{source}|{now_ms}", time=now_ms))
            for key in ways.audit_keys:
                yield Message(ways.audit, key, pulse)

    def _close(self) -> None:
        """What the clock has passed of windows that are judged as a whole."""
        now_ms = self.plan.clock.now_ms
        for fired in self.counting.close(now_ms):
            if fired.correlation.alerts:
                finding = of_window(fired, decode_by(fired.last.data))  # type: ignore[union-attr]
                self.findings.append(self.watching.weigh(finding, now_ms))

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
        now_ms = self.plan.clock.now_ms
        self.counting.put(changes, now_ms)
        most = self.job.bounds.actors
        put_actors({**self.pasts, **self.watching.records}, self.state, changes, now_ms, most, self.counts)
        for item in self.plan.work.items:
            name, id = item.seen
            due_ms = expires_ms(item.event.at_ms, self.job.retention_hours)
            if due_ms > now_ms and (name, id) not in self.state.seen:
                changes.seen.setdefault(name, []).append(id)
                changes.timers[name] = due_ms
