"""Tickets minute by minute: the slow, obvious twin of alerts/service. Times are whole minutes, clocks run in UTC."""

from __future__ import annotations

from collections.abc import Iterable

from alerts.service.promise import Promise, Promises
from features import events as e
from features.times import MINUTE_MS, parse_duration

Told = tuple[str, str, str, int, int, int]  # ticket, what, clock, round, step, minute


def twin(events: Iterable[e.Event], promises: Promises, now: int) -> set[Told]:
    """What should have been told of these events once the clock stands at minute `now`, whatever their order."""
    tickets: dict[str, dict[str, e.Event]] = {}
    for event in events:
        tickets.setdefault(_ticket(event, promises), {})[event.id] = event
    return {told for name, theirs in tickets.items() if name for told in _life(name, [*theirs.values()], promises, now)}


def _ticket(event: e.Event, promises: Promises) -> str:
    if isinstance(event, e.Rating):
        return f"rating:{event.order or event.id}" if event.stars <= promises.ratings.stars else ""
    return f"lead:{event.lead}" if isinstance(event, e.Lead | e.LeadContacted) else event.case


def _life(name: str, events: list[e.Event], promises: Promises, now: int) -> Iterable[Told]:
    openings = [one for one in events if isinstance(one, e.Complaint | e.Rating | e.Lead)]
    if not openings:
        return
    first = min(openings, key=lambda one: (one.at_ms, one.id))
    start, promise = first.at_ms // MINUTE_MS, _promise(first, promises)
    said: dict[int, list[e.Event]] = {}
    for event in events:
        if event is not first:
            said.setdefault(max(start, event.at_ms // MINUTE_MS), []).append(event)
    answered = settled = closed = False
    number, ran, spoken = 1, 0, 0
    yield name, "opened", "", 1, 0, start
    for minute in range(start, max([now, *said]) + 1):
        just = minute > start and _works(promise, minute - 1)  # whether the clocks have come on by one
        ran += just
        kept = settled or (answered and not promise.resolution)
        if kept and not closed and promise.close_after and minute == spoken + _minutes(promise.close_after):
            closed = True
            if minute <= now:
                yield name, "closed", "", number, 0, minute
        for event in sorted(said.get(minute, []), key=_rank):
            if isinstance(event, e.Rating | e.Lead):
                continue
            if isinstance(event, e.Complaint) or (isinstance(event, e.ComplaintConfirmed) and not event.satisfied):
                if settled or closed:
                    number, ran, just, answered, settled, closed = number + 1, 0, False, False, False, False
                    yield name, "reopened", "", number, 0, minute
            elif closed:
                continue
            elif isinstance(event, e.ComplaintConfirmed):
                closed = True
                yield name, "closed", "", number, 0, minute
            else:
                spoken = minute
                if not answered:
                    answered = True
                    yield name, "answered", "first_answer", number, 0, minute
                if (isinstance(event, e.LeadContacted) or event.closed) and not settled:
                    settled = True
                    if isinstance(first, e.Lead):
                        closed = True
                        yield name, "closed", "", number, 0, minute
                    else:
                        yield name, "answered", "resolution", number, 0, minute
        if just and minute <= now:
            for clock, stopped in (("first_answer", answered or closed), ("resolution", settled or closed)):
                limit = getattr(promise, clock)
                if not limit or stopped:
                    continue
                if ran == round(_minutes(limit) * promise.warn_at):
                    yield name, "warned", clock, number, 0, minute
                if ran == _minutes(limit):
                    yield name, "breached", clock, number, 0, minute
                for step, one in enumerate(promise.escalate, 1):
                    if ran == _minutes(limit) + _minutes(one.after):
                        yield name, "escalated", clock, number, step, minute


def _rank(event: e.Event) -> int:
    if isinstance(event, e.ComplaintConfirmed):
        return 3 if event.satisfied else 4
    if isinstance(event, e.ComplaintAnswered):
        return 2 if event.closed else 1
    return 0


def _promise(first: e.Event, promises: Promises) -> Promise:
    by_id = {promise.id: promise for promise in promises.promise}
    if isinstance(first, e.Rating):
        return by_id[promises.ratings.promise]
    if isinstance(first, e.Lead):
        return by_id[promises.leads]
    return next((one for one in promises.promise if first.topic in one.topics), by_id[promises.complaints])


def _minutes(duration: str) -> int:
    return parse_duration(duration) // MINUTE_MS


def _works(promise: Promise, minute: int) -> bool:
    """Whether its clocks run during this minute."""
    if not promise.hours:
        return True
    (from_h, from_m), (to_h, to_m) = (map(int, part.split(":")) for part in promise.hours.split("-"))
    return from_h * 60 + from_m <= minute % 1440 < to_h * 60 + to_m
