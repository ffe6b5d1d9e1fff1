"""The job over `audit.matches`: correlations whose groups span the partitions of audit events; findings out.

Each partition holds the groups whose records hash to it. Its clock is the least of all partitions of audit.events, as
their marks tell: however far behind one of them is, what it has to say is counted where it belongs. A group that fires
tells the groups of correlations that count it, by the same topic.

Every match ends in exactly one count: `applied`, `duplicates`, `without_rule` (which was taken away or edited
meanwhile) or `dead_lettered`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from msgspec import Struct

from alerts.security import cases
from alerts.security.counting import Counting, follow, put_actors, timer_records, with_rolls
from alerts.security.finding import Finding, hidden
from alerts.security.matches import Mark, Match, carried, decode_match, encode_match, spanning
from alerts.security.roster import Bounds
from alerts.security.spoken import By, decode_by, encode_by, of_window
from alerts.security.watching import Watching
from alerts.security.ways import Ways
from alerts.sigma.correlating import TEMPORAL
from alerts.sigma.engine import Engine, Fired, Seen
from alerts.sigma.reading import Rules
from features.job import Batch, Changes, Message, Plan, Position, State
from features.messages import Refused, dead_letter
from features.seen import expires_ms, id_hash, is_set, set_name

EVERYBODY = "everybody"  # whom a finding without a group is about


class Item(Struct):
    """A match, read: its group, and the clock when it came."""

    match: Match
    place: int
    record: str
    who: str
    now_ms: int
    once: tuple[str, bytes]  # id set and id


class Work(Struct):
    batch: Batch
    engine: Engine
    items: list[Item] = []
    letters: list[tuple[int, Refused]] = []
    counts: Counter[str] = Counter()


class GroupsJob:
    """Implements features.job.Job; `retention_hours` is that of the job that sends."""

    def __init__(
        self,
        rules: Rules,
        retention_hours: int,
        ways: Ways = Ways(),  # noqa: B008 - it is frozen
        bounds: Bounds = Bounds(),  # noqa: B008 - it is frozen
    ) -> None:
        self.follow(rules)
        self.retention_hours = retention_hours
        self.ways = ways
        self.bounds = bounds

    def follow(self, rules: Rules) -> None:
        """From the next batch on; groups of rules that stay go on as they are."""
        self.engine = Engine(rules)
        self.spanning = spanning(rules)
        self.carried = carried(rules, self.spanning)

    def plan(self, batch: Batch, position: Position) -> Plan:
        work, clock = Work(batch, self.engine, counts=Counter()), position.clock
        for index, raw in enumerate(batch.values):
            try:
                said = decode_match(raw)
            except (ValueError, RecursionError) as error:
                work.letters.append((index, Refused("malformed", str(error))))
                continue
            if isinstance(said, Mark):
                clock = clock.moved(str(said.source), said.of, said.at_ms)
            elif (place := self._place(said)) is None:
                work.counts["without_rule"] += 1
            elif expires_ms(said.at_ms, self.retention_hours) <= clock.now_ms:
                work.letters.append((index, Refused("too_late", f"more than {self.retention_hours} h behind")))
            else:
                work.items.append(self._item(said, place, clock.now_ms))
        seen: dict[str, list[bytes]] = {}
        for name, id in (item.once for item in work.items):
            seen.setdefault(name, []).append(id)
        names = with_rolls({name for item in work.items for name in (item.record, cases.record(item.who))})
        more = follow(self.engine, names, self.bounds)
        return Plan(position, clock, names, seen, work, more)

    def _place(self, match: Match) -> int | None:
        place = self.engine.places.get(match.rule)
        return place if place in self.spanning and self.engine.rules.correlations[place].shape == match.shape else None

    def _item(self, match: Match, place: int, now_ms: int) -> Item:
        rule = self.engine.rules.correlations[place]
        record = self.engine.record(place, match.values)
        part = f"|{match.mask}" if rule.kind in TEMPORAL else ""  # one event may come to it as two rules
        once = set_name(match.at_ms), id_hash(f"{record}|{match.event}{part}")
        return Item(match, place, record, whom(rule.group_by, match.values), now_ms, once)

    def timer_records(self, due: list[tuple[int, str]]) -> list[str]:
        return timer_records(self.engine, due)

    def apply(self, plan: Plan, state: State) -> Changes:
        return _Walk(self, plan, state).changes()


def whom(group_by: tuple[str, ...], values: tuple[str, ...]) -> str:
    """Whom a finding about a group is about: its actor, or what else its events have in common."""
    group = dict(zip(group_by, values, strict=True))
    if group.get("actor"):
        return group["actor"]
    return " ".join(f"{name}:{hidden(name, text)}" for name, text in group.items() if text)[:128] or EVERYBODY


def _by(item: Item, group: Mapping[str, str]) -> By:
    """What all events of a group have in common stands for it, and no more of its last one."""
    store = item.match.store if "store" in group else ""
    return By(item.who, store, item.match.stamp_ms, group.get("client_ip", ""), group.get("device", ""))


class _Walk:
    """One pass over a batch."""

    def __init__(self, job: GroupsJob, plan: Plan, state: State) -> None:
        self.job = job
        self.plan = plan
        self.state = state
        self.work: Work = plan.work
        self.counts = Counter(self.work.counts)
        self.counting = Counting(self.work.engine, state, self.counts, job.bounds.groups)
        self.watching = Watching(stored=state.records)
        self.seen = set(state.seen)
        self.findings: list[Finding] = []
        self.sent: list[Message] = []

    def changes(self) -> Changes:
        for item in self.work.items:
            fresh = item.once not in self.seen
            self.counts["applied" if fresh else "duplicates"] += 1
            if fresh:
                self.seen.add(item.once)
                self._count(item)
        now_ms, batch = self.plan.clock.now_ms, self.work.batch
        for fired in self.counting.close(now_ms):
            self._tell(fired, decode_by(fired.last.data), now_ms)  # type: ignore[union-attr]
        for _, refused in self.work.letters:
            self.counts.update(("dead_lettered", f"dead_lettered:{refused.reason}"))
        self.counts.update(security_alerts=len(self.findings))
        letters = [dead_letter(self.job.ways.dead_letters, batch, *letter) for letter in self.work.letters]
        found = [finding.message(self.job.ways.alerts) for finding in self.findings]
        changes = Changes(
            position=self.plan.position,
            messages=[*letters, *found, *self.sent],
            causes_ms=[finding.trigger_stamp_ms for finding in self.findings],
        )
        self._keep(changes, now_ms)
        changes.counts = dict(+self.counts)
        changes.position = self.plan.position.moved(batch.last, self.plan.clock, changes.counts)
        return changes

    def _count(self, item: Item) -> None:
        match, engine = item.match, self.work.engine
        rule = engine.rules.correlations[item.place]
        by = _by(item, dict(zip(rule.group_by, match.values, strict=True)))
        seen = Seen(match.fields, (), match.at_ms, match.event, item.now_ms, encode_by(by))
        for fired in engine.count(item.place, match.values, match.mask, seen, self.counting.find, self.counting.lose):
            if not fired.window.again:
                self._tell(fired, decode_by(fired.last.data) if fired.last else by, item.now_ms)
            self.sent += self._above(item, fired)

    def _above(self, item: Item, fired: Fired) -> Iterator[Message]:
        """What correlations of this one are told."""
        match, engine = item.match, self.work.engine
        for place, number in engine.counted_by(item.place, fired):
            rule, carried = engine.rules.correlations[place], self.job.carried[place]
            fields = {name: value for name, value in match.fields.items() if name in carried}
            for values, mask in rule.groups(match.fields, [number]).items():
                when = match.at_ms, match.stamp_ms
                told = Match(rule.rule.id, values, mask, match.event, *when, match.store, fields, rule.shape)
                yield Message(self.job.ways.matches, engine.record(place, values), encode_match(told))

    def _tell(self, fired: Fired, by: By, now_ms: int) -> None:
        if fired.correlation.alerts:
            self.findings.append(self.watching.weigh(of_window(fired, by), now_ms))

    def _keep(self, changes: Changes, now_ms: int) -> None:
        for _, name in self.state.due:
            (changes.drops if is_set(name) else changes.deletes).append(name)
            changes.timers[name] = None
        self.counting.put(changes, now_ms)
        put_actors(self.watching.records, self.state, changes, now_ms, self.job.bounds.actors, self.counts)
        for item in self.work.items:
            name, id = item.once
            due_ms = expires_ms(item.match.at_ms, self.job.retention_hours)
            if due_ms > now_ms and item.once not in self.state.seen:
                changes.seen.setdefault(name, []).append(id)
                changes.timers[name] = due_ms
