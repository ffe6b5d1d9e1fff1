"""Sigma correlations over event time: event_count, value_count and value_sum within a timespan, by group.

A window is any stretch of one timespan, its start excluded. An event is judged by the heaviest of
the windows that hold it, so a late event counts where it belongs and may complete a window behind
it. A group fires at most once per timespan. Events stay for two timespans by the partition's
clock: one that comes later than a timespan after its time may find its window incomplete.

A group keeps MAX_EVENTS events; beyond that the oldest is forgotten, and that is counted. Of a sum
nothing is forgotten: older events of one 1024th of the timespan are added up at the time of the
latest, so a window may hold that much more than its timespan, and less only behind a late event.
Source: Sigma specification v2.1, correlation rules.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter
from operator import attrgetter
from typing import Literal, TypeAlias

from msgspec import Struct, msgpack

from alerts.security.fields import Fields
from alerts.security.finding import EVIDENCE, Rule, digest

Kind: TypeAlias = Literal["event_count", "value_count", "value_sum"]
MAX_EVENTS = 4096
CELLS = 1024  # of a timespan


class Correlation(Struct, frozen=True):
    """`of` are the detections it counts, by index; it fires above the threshold, or at it if `inclusive`."""

    rule: Rule
    kind: Kind
    of: frozenset[int]
    group_by: tuple[str, ...]
    timespan_ms: int
    timespan: str  # as the rule spells it
    threshold: float
    inclusive: bool
    field: str = ""  # what value_count and value_sum look at

    def group(self, fields: Fields) -> dict[str, str]:
        return {name: fields[name] for name in self.group_by}

    def record(self, fields: Fields) -> str:
        """The name of the group's record: another one when the rule comes to count other things."""
        parts = (self.rule.id, self.kind, self.field, *self.group_by, *self.group(fields).values())
        return f"group|{digest(parts, 16).hex()}"

    def value(self, fields: Fields) -> int | None:
        """What the event adds: 1, its number, or a hash of its text; None where it adds nothing."""
        if self.kind == "event_count":
            return 1
        if self.kind == "value_sum":
            number: int = fields[self.field]
            return number or None
        text = str(fields[self.field])
        return int.from_bytes(digest((text,), 8), "big") if text else None

    def reached(self, observed: float) -> bool:
        return observed >= self.threshold if self.inclusive else observed > self.threshold


class Counted(Struct, array_like=True):
    """One event of a group, or several that were added up; the id is kept for the latest few only, as evidence."""

    at_ms: int
    value: int
    id: str = ""
    events: int = 1


class Group(Struct, array_like=True):
    """A group's record: events by time, and the times of the events at which it fired."""

    events: list[Counted] = []
    fired_ms: list[int] = []
    forgotten: int = 0  # events beyond MAX_EVENTS, since the record began; none of a sum's

    def due_ms(self, timespan_ms: int) -> int:
        """From this clock on the record means nothing."""
        newest = [event.at_ms for event in self.events[-1:]] + self.fired_ms
        return max(newest, default=0) + 2 * timespan_ms


class Window(Struct):
    """What stood in the heaviest window at the moment it fired; the deciding event is the last of the evidence."""

    observed: int
    started_ms: int
    events: int
    evidence: list[str]


encode_group = msgpack.Encoder().encode
decode_group = msgpack.Decoder(Group).decode
_at_ms = attrgetter("at_ms")


def observe(group: Group, rule: Correlation, event: Counted, now_ms: int) -> Window | None:
    """Adds the event; the window that made the group fire, or None. `now_ms` is the partition's clock."""
    _forget(group, now_ms - 2 * rule.timespan_ms)
    if event.at_ms <= now_ms - 2 * rule.timespan_ms or not _add(group, rule, event):
        return None
    if any(abs(event.at_ms - fired_ms) < rule.timespan_ms for fired_ms in group.fired_ms):
        return None
    window = _heaviest(group.events, event, rule)
    if not rule.reached(window.observed):
        return None
    group.fired_ms.append(event.at_ms)
    return window


def _forget(group: Group, until_ms: int) -> None:
    del group.events[: bisect_right(group.events, until_ms, key=_at_ms)]
    group.fired_ms = [fired_ms for fired_ms in group.fired_ms if fired_ms > until_ms]


def _add(group: Group, rule: Correlation, event: Counted) -> bool:
    """False when the group is full of later events."""
    insort(group.events, event, key=_at_ms)
    if rule.kind == "value_sum":
        _make_room(group, event, rule.timespan_ms)
    elif len(group.events) > MAX_EVENTS:
        group.forgotten += 1
        if group.events.pop(0) is event:
            return False
    for old in group.events[-EVIDENCE - 1 : -EVIDENCE]:
        old.id = ""
    return True


def _make_room(group: Group, event: Counted, timespan_ms: int) -> None:
    """Adds a full group's events up until a quarter of it is free."""
    if len(group.events) > MAX_EVENTS:
        cell_ms = max(1, timespan_ms // CELLS)
        while len(group.events) > MAX_EVENTS * 3 // 4:
            group.events = _added_up(group.events, event, cell_ms)
            cell_ms *= 2


def _added_up(events: list[Counted], apart: Counted, cell_ms: int) -> list[Counted]:
    """One entry for all events of a cell; the latest few, which are evidence, and one more stay `apart`."""
    kept: list[Counted] = []
    for event in events[:-EVIDENCE]:
        last = kept[-1] if kept else apart
        if last is apart or event is apart or last.at_ms // cell_ms != event.at_ms // cell_ms:
            kept.append(event)
        else:
            kept[-1] = Counted(event.at_ms, last.value + event.value, "", last.events + event.events)
    return kept + events[-EVIDENCE:]


def _heaviest(events: list[Counted], event: Counted, rule: Correlation) -> Window:
    """One pass over all windows that hold the event; of equals, the earliest."""
    span_ms, total, values = rule.timespan_ms, 0, Counter[int]()
    start = first = bisect_right(events, event.at_ms - span_ms, key=_at_ms)
    best, bounds = -1, (0, 0)
    for end in range(first, len(events)):
        newest = events[end]
        if newest.at_ms >= event.at_ms + span_ms:
            break
        total += newest.value
        values[newest.value] += 1
        while events[start].at_ms <= newest.at_ms - span_ms:
            total -= events[start].value
            values[events[start].value] -= 1
            if not values[events[start].value]:
                del values[events[start].value]
            start += 1
        measured = len(values) if rule.kind == "value_count" else total
        if newest.at_ms >= event.at_ms and measured > best:
            best, bounds = measured, (start, end + 1)
    held = events[slice(*bounds)]
    others = [counted.id for counted in held if counted.id and counted is not event]
    return Window(best, held[0].at_ms, sum(counted.events for counted in held), [*others[-EVIDENCE + 1 :], event.id])
