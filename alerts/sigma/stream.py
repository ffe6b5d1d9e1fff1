"""The engine in a plain loop with its groups in memory: for rule tests, measurements and tests."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import islice
from typing import Any, NamedTuple

from alerts.sigma.correlating import Correlation
from alerts.sigma.engine import Engine, Fired, Seen
from alerts.sigma.group import Group, Open, decode_group, encode_group
from alerts.sigma.logsource import LogSource
from alerts.sigma.matcher import Place
from alerts.sigma.reading import Rules

STEPS = 64  # of a timespan, by which groups that are over are forgotten


class Told(NamedTuple):
    """An event as it comes in."""

    source: LogSource
    at_ms: int
    id: str
    fields: Mapping[str, Any]


class Alert(NamedTuple):
    """The event `id` decided; `values` are those of the group, none of a detection."""

    rule_id: str
    at_ms: int
    id: str
    values: tuple[str, ...] = ()
    observed: float = 1


class Stream:
    """`lateness_ms`: how far the clock stays behind the latest event. Beyond `most_groups` the one that was used
    longest ago is evicted, and counted in `lost`."""

    def __init__(self, rules: Rules, lateness_ms: int = 0, most_groups: int = 10_000_000) -> None:
        self.engine = Engine(rules)
        self.lateness_ms = lateness_ms
        self.most_groups = most_groups
        self.now_ms = 0
        self.records: dict[str, bytes] = {}  # those that were used longest ago come first
        self.timers: dict[tuple[int, int], list[str]] = {}  # records by due_ms, rounded up, and correlation
        self.queue: list[tuple[int, int]] = []  # the keys of these
        self.lost: Counter[str] = Counter()
        self.open: dict[str, Open] = {}  # decoded, of this batch

    def feed(self, events: Sequence[Told]) -> list[Alert]:
        """Alerts in order; an event's own come when it comes, those of a window when the clock has passed it."""
        alerts: list[Alert] = []
        heads = self.engine.rules.detections
        for told, met in zip(events, self._met(events), strict=True):
            self.now_ms = max(self.now_ms, told.at_ms - self.lateness_ms)
            if self.queue and self.queue[0][0] <= self.now_ms:
                alerts += self._pass(self.now_ms)
            if met:
                alerts += [Alert(heads[n].rule.id, told.at_ms, told.id) for n in met if heads[n].alerts]
                seen = Seen(told.fields, met, told.at_ms, told.id, self.now_ms)
                alerts += _told(self.engine.correlate(seen, self._find, self._lose))
        self._pack()
        return alerts

    def end(self, now_ms: int) -> list[Alert]:
        """What fires until then, without further events."""
        self.now_ms = max(self.now_ms, now_ms)
        alerts = self._pass(self.now_ms)
        self._pack()
        return alerts

    def _met(self, events: Sequence[Told]) -> list[Place]:
        by_source: defaultdict[LogSource, list[int]] = defaultdict(list)
        for n, told in enumerate(events):
            by_source[told.source].append(n)
        met: list[Place] = [()] * len(events)
        for source, places in by_source.items():
            for n, found in zip(places, self.engine.match(source, [events[n].fields for n in places]), strict=True):
                met[n] = found
        return met

    def _find(self, name: str, rule: Correlation) -> Open:
        if name not in self.open:
            raw = self.records.get(name)
            self.open[name] = Open(decode_group(raw) if raw else Group(), rule)
        return self.open[name]

    def _lose(self, reason: str, count: int) -> None:
        if count:
            self.lost[reason] += count

    def _pass(self, now_ms: int) -> list[Alert]:
        """Judges and forgets what is due."""
        self._pack()
        alerts: list[Alert] = []
        while self.queue and self.queue[0][0] <= now_ms:
            key = heappop(self.queue)
            for name in self.timers.pop(key):
                if name in self.records:
                    alerts += self._end(name, key[1], now_ms)
        return alerts

    def _end(self, name: str, place: int, now_ms: int) -> list[Alert]:
        """What a group that may be due fires; it goes, or is looked at again."""
        group = decode_group(self.records[name])
        alerts = _told(self.engine.close(name, group, now_ms))
        due_ms = group.due_ms(self.engine.rules.correlations[place])
        if due_ms > now_ms:
            self.records[name] = encode_group(group)
            self._wake(name, place, due_ms)
        else:
            del self.records[name]
        return alerts

    def _wake(self, name: str, place: int, due_ms: int) -> None:
        rule = self.engine.rules.correlations[place]
        step_ms = rule.timespan_ms // STEPS or 1 if rule.rising else 1
        key = (due_ms + -due_ms % step_ms, place)
        if key not in self.timers:
            self.timers[key] = []
            heappush(self.queue, key)
        self.timers[key].append(name)

    def _pack(self) -> None:
        for name, open in self.open.items():
            if self.records.pop(name, None) is None:
                self._wake(name, self.engine.places[open.rule.rule.id], open.group.due_ms(open.rule))
            self.records[name] = encode_group(open.group)
        self.open.clear()
        if (over := len(self.records) - self.most_groups) > 0:
            for name in list(islice(self.records, over)):
                del self.records[name]
            self.lost["evicted"] += over


def _told(fired: Iterable[Fired]) -> list[Alert]:
    return [
        Alert(each.correlation.rule.id, each.window.at_ms, each.window.id, each.values, each.window.observed)
        for each in fired
        if each.correlation.alerts
    ]
