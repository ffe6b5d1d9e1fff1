"""What a correlation has seen of one group, over event time, and whether that is enough.

A window is any stretch of one timespan, its start excluded. An event is judged by the heaviest of the windows that hold
it, so a late event counts where it belongs and may complete a window behind it. A group fires at most once per
timespan. Events stay for two timespans by the partition's clock: one that comes later than a timespan after its time
may find its window incomplete. Where only the end of a window can tell, windows stand side by side: each begins with
the first event behind the last one, and is judged once the clock has passed it; what comes later still is `late`.

A group keeps MAX_EVENTS events. Of a count, sum or average nothing is forgotten beyond them: older events of one
1024th of the timespan are added up at the time of the latest, so a window may hold that much more than its timespan,
and less only behind a late event. Of different values, repeats are left out, and then all go into sketches by
sixteenths of the timespan (HyperLogLog, 2 to 3 %); where windows are judged as a whole, the oldest go into a sketch of
theirs. Of anything else the oldest is forgotten, and that is counted.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from operator import attrgetter

from msgspec import Struct, msgpack

from alerts.security.finding import EVIDENCE
from alerts.sigma import panes
from alerts.sigma.correlating import Correlation
from alerts.sigma.measure import Counted, measure_of
from alerts.sigma.panes import Pane

MAX_EVENTS = 4096
CELLS = 1024  # of a timespan
SHORT = 16  # events of which all windows are soon looked at
PANES = 16  # of a timespan, for sketches
ADDED_UP = ("event_count", "value_sum", "value_avg")


class Last(Struct, array_like=True):
    """Of whom a group is, for what is said when its window is over; `data` is the caller's own."""

    rule_id: str
    values: tuple[str, ...]
    data: bytes = b""


class Group(Struct, array_like=True):
    """A group's record: events by time, and the times of the events at which it fired."""

    events: list[Counted] = []
    fired_ms: list[int] = []
    forgotten: int = 0  # events beyond MAX_EVENTS, since the record began; none of what is added up
    panes: list[Pane] = []  # older values of a value_count that has too many
    opened_ms: int = 0  # where windows are judged as a whole: the beginning of the one that stands open, if any
    closed_ms: int = 0  # and the end of the last one
    last: Last | None = None  # only where windows are judged as a whole
    page: int = 0  # where whoever keeps many groups has listed this one

    def due_ms(self, rule: Correlation) -> int:
        """From this clock on the record means nothing, or its window is over."""
        if not rule.rising:
            return (self.opened_ms if self.events else self.closed_ms) + rule.timespan_ms
        newest = [event.at_ms for event in self.events[-1:]] + self.fired_ms + [pane.end_ms for pane in self.panes[-1:]]
        return max(newest, default=0) + 2 * rule.timespan_ms


class Window(Struct):
    """What stood in the heaviest window at the moment it fired; the deciding event, whose id is "" where many were
    added up, is the last of the evidence."""

    observed: float
    started_ms: int
    events: int
    evidence: list[str]
    at_ms: int = 0  # of the deciding event
    id: str = ""  # of the deciding event
    again: bool = False  # the group fired less than a timespan from here: for other correlations only


encode_group = msgpack.Encoder().encode
decode_group = msgpack.Decoder(Group).decode
_at_ms = attrgetter("at_ms")


class Open:
    """A group's record while a batch is worked on: what its latest window comes to is kept up event by event."""

    def __init__(self, group: Group, rule: Correlation) -> None:
        self.group = group
        self.rule = rule
        self.trail: Trail | None = None

    def forget(self, until_ms: int) -> None:
        group = self.group
        if group.events and group.events[0].at_ms <= until_ms:
            gone = bisect_right(group.events, until_ms, key=_at_ms)
            del group.events[:gone]
            self.trail = self.trail.moved(gone) if self.trail else None
        if group.fired_ms and group.fired_ms[0] <= until_ms:
            group.fired_ms = [fired_ms for fired_ms in group.fired_ms if fired_ms > until_ms]
        if group.panes:
            group.panes = [pane for pane in group.panes if pane.end_ms > until_ms]

    def add(self, event: Counted) -> bool:
        """False when the group is full of later events."""
        before = self.group.events[-1] if self.group.events else event
        count = len(self.group.events)
        if not _add(self.group, self.rule, event):
            return False
        if count < SHORT:
            self.trail = None
            return True
        in_order = event.at_ms >= before.at_ms and len(self.group.events) == count + 1
        if not in_order or self.group.panes:
            self.trail = None
        elif self.trail is not None:
            self.trail.add(self.group.events)
        else:
            self.trail = Trail(self.rule, self.group.events)
        return True


def observe(open: Open, event: Counted, now_ms: int, heard: bool = False) -> Window | None:
    """Adds the event; the window that made the group fire, or None. `now_ms` is the partition's clock. `heard`: windows
    that are reached again are asked for too."""
    group, rule, oldest_ms = open.group, open.rule, now_ms - 2 * open.rule.timespan_ms
    open.forget(oldest_ms)
    if event.at_ms <= oldest_ms or not open.add(event):
        return None
    if rule.kind == "value_count" and not group.panes and not rule.reached(len(group.events)):
        return None
    again = any(abs(event.at_ms - fired_ms) < rule.timespan_ms for fired_ms in group.fired_ms)
    if again and not heard:
        return None
    window = open.trail.window(group.events) if open.trail else _heaviest(group, event, rule)
    if window is None:
        return None
    window.again = again
    if not again:
        insort(group.fired_ms, event.at_ms)
    return window


class Trail:
    """The window that ends with a group's latest event, from `start` on; of ordered rules, how far their order is."""

    def __init__(self, rule: Correlation, events: list[Counted]) -> None:
        self.rule = rule
        self.start = bisect_right(events, events[-1].at_ms - rule.timespan_ms, key=_at_ms)
        self.measure = measure_of(rule)
        self.starts: list[int | None] = [None] * len(rule.parts)
        for event in events[self.start :]:
            self._count(event)

    def _count(self, event: Counted) -> None:
        if self.rule.kind == "temporal_ordered":
            proceed(self.starts, event)
        else:
            self.measure.add(event, 1)

    def moved(self, gone: int) -> Trail | None:
        """The same after the first `gone` events are forgotten."""
        if gone > self.start:
            return None
        self.start -= gone
        return self

    def add(self, events: list[Counted]) -> None:
        self._count(events[-1])
        until_ms = events[-1].at_ms - self.rule.timespan_ms
        while events[self.start].at_ms <= until_ms:
            if self.rule.kind != "temporal_ordered":
                self.measure.add(events[self.start], -1)
            self.start += 1

    def window(self, events: list[Counted]) -> Window | None:
        if self.rule.kind == "temporal_ordered":
            return self._ordered(events)
        if not self.rule.reached(self.measure.measured, self.measure.mask):
            return None
        return _window(self.measure.measured, events[self.start :], events[-1])

    def _ordered(self, events: list[Counted]) -> Window | None:
        """By how many of the rules have come in order within this window."""
        until_ms, observed, started_ms = events[-1].at_ms - self.rule.timespan_ms, 0, events[-1].at_ms
        for place, start_ms in enumerate(self.starts):
            if start_ms is not None and start_ms > until_ms:
                observed, started_ms = place + 1, start_ms
        if not self.rule.reached(observed):
            return None
        return _window(observed, [each for each in events[self.start :] if each.at_ms >= started_ms], events[-1])


def proceed(starts: list[int | None], event: Counted) -> None:
    """`starts`: the latest beginning of each part of the order that is complete; one event serves as one rule."""
    for place in range(len(starts) - 1, -1, -1):
        start_ms = event.at_ms if place == 0 else starts[place - 1]
        if int(event.value) >> place & 1 and start_ms is not None:
            starts[place] = start_ms


def wait(group: Group, rule: Correlation, event: Counted, now_ms: int) -> bool:
    """Adds the event to a group whose windows are judged as a whole; False when its window is over."""
    if event.at_ms < group.closed_ms or event.at_ms + rule.timespan_ms <= now_ms:
        return False
    group.opened_ms = min(group.opened_ms, event.at_ms) if group.events else event.at_ms
    return _add(group, rule, event)


def close(group: Group, rule: Correlation, now_ms: int) -> list[Window]:
    """Judges the windows that the clock has passed, and forgets them; those that fire. Deciding is the last event."""
    found = []
    while group.events and (end_ms := group.opened_ms + rule.timespan_ms) <= now_ms:
        until = bisect_left(group.events, end_ms, key=_at_ms)
        held, older = group.events[:until], [pane for pane in group.panes if pane.start_ms < end_ms]
        latest, measure = held[-1] if held else Counted(older[-1].end_ms, 0, ""), measure_of(rule)
        for event in held:
            measure.add(event, 1)
        if older:
            observed = panes.different(older, held)
        else:
            observed = measure.measured if rule.kind != "temporal_ordered" else _in_order(held, latest, rule)[0]
        if rule.reached(observed, measure.mask):
            found.append(_window(observed, held, latest, older))
        del group.events[:until], group.panes[: len(older)]
        rest_ms = [group.events[0].at_ms, *(pane.start_ms for pane in group.panes[:1])] if group.events else [0]
        group.closed_ms, group.opened_ms = end_ms, min(rest_ms)
    return found


def _add(group: Group, rule: Correlation, event: Counted) -> bool:
    """False when the group is full of later events."""
    if not group.events or event.at_ms >= group.events[-1].at_ms:
        group.events.append(event)
    else:
        insort(group.events, event, key=_at_ms)
    if rule.kind in ADDED_UP:
        _make_room(group, event, rule.timespan_ms)
    elif rule.kind == "value_count":
        (_sketch if rule.rising else _sketch_oldest)(group, event, rule.timespan_ms)
    elif len(group.events) > MAX_EVENTS:
        group.forgotten += 1
        if group.events.pop(0) is event:
            return False
    for old in group.events[-EVIDENCE - 1 : -EVIDENCE] if rule.rising else ():
        if old is not event:
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


def _sketch(group: Group, event: Counted, timespan_ms: int) -> None:
    """A full group leaves out repeats; if that is not enough, all but its latest few events and this one become
    sketches, and so does all that follows until these are forgotten."""
    room = EVIDENCE + 1 if group.panes else MAX_EVENTS
    if not group.panes and len(group.events) > MAX_EVENTS:
        latest = {counted.value: counted for counted in group.events}
        group.events = [c for c in group.events if c is event or latest[c.value] is c or c.id]
        room = MAX_EVENTS * 3 // 4
    if len(group.events) > room:
        kept = [counted for counted in group.events[:-EVIDENCE] if counted is event]
        for counted in group.events[:-EVIDENCE]:
            if counted is not event:
                pane_ms = max(1, timespan_ms // PANES)
                panes.add(group.panes, counted.at_ms - counted.at_ms % pane_ms, counted)
        group.events = kept + group.events[-EVIDENCE:]


def _sketch_oldest(group: Group, event: Counted, timespan_ms: int) -> None:
    """Of a full group that is judged window by window, the oldest quarter: each window that they are of has a pane."""
    if len(group.events) <= MAX_EVENTS:
        return
    start_ms = group.panes[-1].start_ms if group.panes else group.opened_ms
    for counted in group.events[: MAX_EVENTS // 4]:
        if counted.at_ms >= start_ms + timespan_ms:
            start_ms = counted.at_ms
        panes.add(group.panes, start_ms, counted)
    del group.events[: MAX_EVENTS // 4]


def _heaviest(group: Group, event: Counted, rule: Correlation) -> Window | None:
    """Of the windows that hold the event, the one that measures most, of equals the earliest; None if that is too
    little."""
    if rule.kind == "temporal_ordered":
        return _ordered(group.events, event, rule)
    if group.panes:
        return _estimated(group, event, rule)
    events, span_ms, measure = group.events, rule.timespan_ms, measure_of(rule)
    start = first = bisect_right(events, event.at_ms - span_ms, key=_at_ms)
    best, bounds = -float("inf"), (0, 0)
    for end in range(first, len(events)):
        newest = events[end]
        if newest.at_ms >= event.at_ms + span_ms:
            break
        measure.add(newest, 1)
        while events[start].at_ms <= newest.at_ms - span_ms:
            measure.add(events[start], -1)
            start += 1
        part = end + 1 < len(events) and events[end + 1].at_ms == newest.at_ms  # of the events at this time
        if part or newest.at_ms < event.at_ms or (measured := measure.measured) <= best:
            continue
        if rule.expression is None or rule.reached(measured, measure.mask):
            best, bounds = measured, (start, end + 1)
    if bounds == (0, 0) or (rule.expression is None and not rule.reached(best)):
        return None
    return _window(best, events[slice(*bounds)], event)


def _estimated(group: Group, event: Counted, rule: Correlation) -> Window | None:
    """By the latest window that holds the event."""
    last_ms = max(group.events[-1].at_ms, group.panes[-1].end_ms)
    end_ms = min(last_ms, event.at_ms + rule.timespan_ms - 1)
    older = [pane for pane in group.panes if end_ms - rule.timespan_ms < pane.end_ms <= end_ms]
    held = [counted for counted in group.events if end_ms - rule.timespan_ms < counted.at_ms <= end_ms]
    observed = panes.different(older, held)
    return _window(observed, held, event, older) if rule.reached(observed) else None


def _ordered(events: list[Counted], event: Counted, rule: Correlation) -> Window | None:
    low = bisect_right(events, event.at_ms - rule.timespan_ms, key=_at_ms)
    high = bisect_left(events, event.at_ms + rule.timespan_ms, key=_at_ms)
    observed, started_ms, ended_ms = _in_order(events[low:high], event, rule)
    if not rule.reached(observed):
        return None
    return _window(observed, [each for each in events[low:high] if started_ms <= each.at_ms <= ended_ms], event)


def _in_order(events: Iterable[Counted], event: Counted, rule: Correlation) -> tuple[int, int, int]:
    """How many of the rules, from the first on, came one after the other in a window that holds the event; the times of
    the first and last event of that. One event serves as one of them."""
    starts: list[int | None] = [None] * len(rule.parts)  # the latest beginning of each that is complete so far
    best = (0, event.at_ms, event.at_ms)
    for each in events:
        for place in range(len(starts) - 1, -1, -1):
            start_ms = each.at_ms if place == 0 else starts[place - 1]
            if not int(each.value) >> place & 1 or start_ms is None:
                continue
            starts[place] = start_ms
            low_ms, high_ms = min(start_ms, event.at_ms), max(each.at_ms, event.at_ms)
            if place + 1 > best[0] and high_ms - low_ms < rule.timespan_ms:
                best = (place + 1, low_ms, high_ms)
    return best


def _window(observed: float, held: list[Counted], event: Counted, older: Sequence[Pane] = ()) -> Window:
    """`older`: what of it stands in sketches."""
    others = [counted.id for counted in held if counted.id and counted is not event]
    started_ms = min([held[0].at_ms if held else event.at_ms, *(pane.start_ms for pane in older)])
    events = sum(counted.events for counted in held) + sum(pane.events for pane in older)
    evidence = [*others[-EVIDENCE + 1 :], *([event.id] if event.id else [])]
    return Window(observed, started_ms, events, evidence, event.at_ms, event.id)
