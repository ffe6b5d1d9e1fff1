"""Rules as they run: detections by the log source of an event, correlations by the detections that it meets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from alerts.sigma import group as groups
from alerts.sigma.correlating import TEMPORAL, Correlation
from alerts.sigma.group import Group, Last, Open, Window
from alerts.sigma.logsource import LogSource
from alerts.sigma.matcher import Event, Matcher, Place
from alerts.sigma.measure import Counted
from alerts.sigma.reading import Rules

NAMES_KEPT = 16_384  # of records of groups
SOURCES_KEPT = 1_000  # kinds of events whose rules are kept at hand


class Seen(NamedTuple):
    """An event that some detections meet: `met`, by place; `now_ms` is the clock when it came."""

    fields: Mapping[str, Any]
    met: Place
    at_ms: int
    id: str
    now_ms: int
    data: bytes = b""  # what the caller wants to know again when a window is over


class Fired(NamedTuple):
    correlation: Correlation
    values: tuple[str, ...]  # of its group
    window: Window
    last: Last | None = None  # of a window that is over: what was kept of its last event


Find: TypeAlias = Callable[[str, Correlation], Open]
Lose: TypeAlias = Callable[[str, int], None]
Send: TypeAlias = Callable[[int, tuple[str, ...], int], None]


def nobody(place: int, values: tuple[str, ...], mask: int) -> None:
    """Takes what is counted elsewhere where nothing is."""


class Engine:
    """`find` gives a group by the name of its record; `lose` is told why a group did not count so many events."""

    def __init__(self, rules: Rules, elsewhere: frozenset[int] = frozenset()) -> None:
        """`elsewhere`: correlations, by place, of which this one finds the groups and another counts in them; with
        each all that count it."""
        self.rules = rules
        self.elsewhere = elsewhere
        self.matchers: dict[LogSource, tuple[Matcher, list[int]]] = {}
        self.names: dict[tuple[int, tuple[str, ...]], str] = {}
        self.by_id = {each.rule.id: each for each in rules.correlations}
        self.places = {each.rule.id: place for place, each in enumerate(rules.correlations)}
        self.counting: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)  # detection → (correlation, part)
        self.above: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)  # correlation → (correlation, part)
        self.heard: set[int] = set()  # correlations that a temporal one waits for
        self.closes = not all(rule.rising for n, rule in enumerate(rules.correlations) if n not in elsewhere)
        for place, rule in enumerate(rules.correlations):
            for number, part in enumerate(rule.parts):
                (self.above if part.chained else self.counting)[part.place].append((place, number))
                if part.chained and rule.kind in TEMPORAL:
                    self.heard.add(part.place)

    def match(self, source: LogSource, events: Sequence[Event]) -> list[Place]:
        """For each event of this source the detections that it meets, by place."""
        matcher, places = self._matcher(source)
        if not places:
            return [()] * len(events)
        if len(places) == len(self.rules.detections):
            return matcher.match(events)
        return [tuple([places[n] for n in found]) if found else () for found in matcher.match(events)]

    def _matcher(self, source: LogSource) -> tuple[Matcher, list[int]]:
        if source not in self.matchers:
            if len(self.matchers) >= SOURCES_KEPT:
                self.matchers.clear()
            chosen = [n for n, detection in enumerate(self.rules.detections) if detection.source.covers(source)]
            self.matchers[source] = Matcher([self.rules.detections[n].condition for n in chosen]), chosen
        return self.matchers[source]

    def records(self, fields: Event, met: Place) -> list[str]:
        """The records of all groups that the event may change here."""
        touched: dict[int, set[int]] = {}
        for place, number in self._counted(met):
            touched.setdefault(place, set()).add(number)
        for place in range(len(self.rules.correlations) if touched else 0):
            if place in touched:
                for above, number in self.above.get(place, ()):
                    touched.setdefault(above, set()).add(number)
        names: list[str] = []
        for place, numbers in touched.items():
            if place in self.elsewhere:
                continue
            rule = self.rules.correlations[place]
            names += [self.record(place, values) for values in rule.groups(fields, sorted(numbers))]
        return names

    def record(self, place: int, values: tuple[str, ...]) -> str:
        """The name of the record of a correlation's group."""
        name = self.names.get((place, values))
        if name is None:
            if len(self.names) >= NAMES_KEPT:
                self.names.clear()
            name = self.names[place, values] = self.rules.correlations[place].record(values)
        return name

    def _counted(self, met: Place) -> Iterator[tuple[int, int]]:
        counting = self.counting
        return (each for detection in met if detection in counting for each in counting[detection])

    def correlate(self, seen: Seen, find: Find, lose: Lose, send: Send = nobody) -> list[Fired]:
        """Counts the event in every correlation; those that fire now. `send` takes the groups that are counted
        elsewhere."""
        touched: dict[int, list[int]] = {}
        for place, number in self._counted(seen.met):
            touched.setdefault(place, []).append(number)
        found: list[Fired] = []
        while touched:
            place = min(touched)
            rule, numbers = self.rules.correlations[place], touched.pop(place)
            for values, mask in rule.groups(seen.fields, numbers).items():
                if place in self.elsewhere:
                    send(place, values, mask)
                    continue
                for fired in self.count(place, values, mask, seen, find, lose):
                    if not fired.window.again:
                        found.append(fired)
                    for above, number in self.counted_by(place, fired):
                        touched.setdefault(above, []).append(number)
        return found

    def counted_by(self, place: int, fired: Fired) -> Iterator[tuple[int, int]]:
        """The correlations that count this one now that it has fired, each with its part there."""
        for above, number in self.above.get(place, ()):
            if not fired.window.again or self.rules.correlations[above].kind in TEMPORAL:
                yield above, number

    def count(self, place: int, values: tuple[str, ...], mask: int, seen: Seen, find: Find, lose: Lose) -> list[Fired]:
        """Counts the event in one group of one correlation, as the parts in `mask`; what fires now."""
        rule = self.rules.correlations[place]
        value = rule.value(seen.fields, mask)
        if value is None:
            return []
        open, event = find(self.record(place, values), rule), Counted(seen.at_ms, value, seen.id)
        group = open.group
        forgotten, last = group.forgotten, group.last
        if rule.rising:
            window = groups.observe(open, event, seen.now_ms, place in self.heard)
            windows = [window] if window else []
        else:
            windows = groups.close(group, rule, seen.now_ms)
            if groups.wait(group, rule, event, seen.now_ms):
                group.last = Last(rule.rule.id, values, seen.data)
            else:
                lose("late", 1)
        if group.forgotten != forgotten:
            lose("forgotten", group.forgotten - forgotten)
        return [Fired(rule, values, each, None if rule.rising else last) for each in windows]

    def close(self, name: str, group: Group, now_ms: int) -> list[Fired]:
        """What fires because the clock has passed a window of this group, whose record is called so."""
        rule = self.closing(name, group)
        if rule is None or group.last is None:
            return []
        return [Fired(rule, group.last.values, each, group.last) for each in groups.close(group, rule, now_ms)]

    def closing(self, name: str, group: Group) -> Correlation | None:
        """The correlation of a group whose windows are judged as a whole; None of any other, and of one that its rule
        no longer has."""
        rule = self.by_id.get(group.last.rule_id) if group.last else None
        if rule is None or group.last is None or rule.rising or rule.record(group.last.values) != name:
            return None
        return rule
