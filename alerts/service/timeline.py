"""What becomes of a ticket: all moments that follow from what was said, also those to come if nobody says more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msgspec import Struct

from alerts.service.promise import Promise
from alerts.service.ticket import COMPLAINT, DELIVERY, LEAD, Opening, Said, Ticket
from alerts.service.working import reach

FIRST, RESOLUTION = "first_answer", "resolution"
WHAT = ("opened", "reopened", "warned", "breached", "escalated", "answered", "closed")  # at one moment, in this order


class Moment(NamedTuple):
    """`timed`: brought about by the clock alone, so not before the clock has come to it."""

    at_ms: int
    what: str
    round: int
    clock: str = ""
    due_ms: int = 0
    step: int = 0
    to: str = ""
    timed: bool = False

    @property
    def name(self) -> str:
        """The same whatever comes to be known later."""
        return f"{self.what}|{self.clock}|{self.round}|{self.step}"


class Round(Struct):
    """From an opening or reopening to the next."""

    start_ms: int
    answered_ms: int | None = None
    settled_ms: int | None = None
    spoken_ms: int = 0  # the latest answer
    closed_ms: int | None = None
    by_silence: bool = False

    @property
    def ends(self) -> dict[str, int | None]:
        """By clock, what stops it."""
        return {
            FIRST: _earlier(self.answered_ms, self.closed_ms),
            RESOLUTION: _earlier(self.settled_ms, self.closed_ms),
        }


def _earlier(one: int | None, other: int | None) -> int | None:
    return min((at_ms for at_ms in (one, other) if at_ms is not None), default=None)


def timeline(ticket: Ticket, opening: Opening, promise: Promise) -> list[Moment]:
    """In order of time."""
    if opening.kind == DELIVERY:
        return list(_late(ticket, opening, promise))
    found = [
        moment
        for number, each in enumerate(rounds(ticket, opening, promise), 1)
        for moment in (*_said(each, number, opening, promise), *_timed(each, number, opening, promise))
    ]
    return sorted(found, key=lambda moment: (moment.at_ms, moment.round, WHAT.index(moment.what), moment.name))


def _late(ticket: Ticket, opening: Opening, promise: Promise) -> Iterator[Moment]:
    """Of a delivery nothing is told but that it did not come; the first promise counts."""
    due_ms = opening.promised_ms + promise.clocks.get(FIRST, 0)
    if promise.clocks and all(at_ms > due_ms for at_ms, _ in ticket.words.values()):
        yield Moment(due_ms, "breached", 1, FIRST, due_ms, timed=True)


def rounds(ticket: Ticket, opening: Opening, promise: Promise) -> list[Round]:
    """What was said before the opening counts as said with it."""
    found = [Round(opening.at_ms)]
    for at_ms, what in sorted(_words(ticket, opening)):
        now = found[-1]
        _hush(now, promise, at_ms)
        if what in (Said.AGAIN, Said.UNHAPPY):
            if now.settled_ms is not None or now.closed_ms is not None:
                found.append(Round(at_ms))
        elif now.closed_ms is None:
            _hear(now, at_ms, what, opening.kind)
    _hush(found[-1], promise, None)
    return found


def _words(ticket: Ticket, opening: Opening) -> Iterator[tuple[int, Said]]:
    for at_ms, what in ticket.words.values():
        yield max(at_ms, opening.at_ms), what
    if opening.kind == COMPLAINT:  # of an order or an enquiry there is one ticket, once
        yield from ((each.at_ms, Said.AGAIN) for each in ticket.openings.values() if each is not opening)


def _hear(now: Round, at_ms: int, what: Said, kind: str) -> None:
    if what == Said.HAPPY:
        now.closed_ms = at_ms
        return
    now.spoken_ms = at_ms
    now.answered_ms = at_ms if now.answered_ms is None else now.answered_ms
    if what == Said.SETTLED and now.settled_ms is None:
        now.settled_ms = at_ms
        now.closed_ms = at_ms if kind == LEAD else None


def _hush(now: Round, promise: Promise, until_ms: int | None) -> None:
    """Closes a round in which nothing is owed any more if so long nothing was said; `until_ms` None: nor will be."""
    silence_ms, ends = promise.close_after_ms, now.ends
    if silence_ms is None or now.closed_ms is not None or any(ends[clock] is None for clock in promise.clocks):
        return
    closed_ms = now.spoken_ms + silence_ms
    if until_ms is None or closed_ms <= until_ms:
        now.closed_ms, now.by_silence = closed_ms, True


def _said(each: Round, number: int, opening: Opening, promise: Promise) -> Iterator[Moment]:
    yield Moment(each.start_ms, "opened" if number == 1 else "reopened", number)
    due_ms = {clock: due(each, limit_ms, opening, promise) for clock, limit_ms in promise.clocks.items()}
    if each.answered_ms is not None:
        yield Moment(each.answered_ms, "answered", number, FIRST, due_ms.get(FIRST, 0))
    if each.settled_ms is not None and opening.kind != LEAD:
        yield Moment(each.settled_ms, "answered", number, RESOLUTION, due_ms.get(RESOLUTION, 0))
    if each.closed_ms is not None:
        yield Moment(each.closed_ms, "closed", number, timed=each.by_silence)


def due(each: Round, after_ms: int, opening: Opening, promise: Promise) -> int:
    """When so much of a clock has run, epoch ms."""
    return reach(each.start_ms, after_ms, promise.working, opening.tz)


def _timed(each: Round, number: int, opening: Opening, promise: Promise) -> Iterator[Moment]:
    """Warnings, breaches and escalations; a clock that is stopped at the very moment is kept."""
    for clock, limit_ms in promise.clocks.items():
        due_ms, end_ms = due(each, limit_ms, opening, promise), each.ends[clock]
        steps = [("warned", round(limit_ms * promise.warn_at), 0, ""), ("breached", limit_ms, 0, "")]
        steps += [("escalated", limit_ms + one.after_ms, i, one.to) for i, one in enumerate(promise.escalate, 1)]
        for what, after_ms, step, to in steps:
            at_ms = due(each, after_ms, opening, promise)
            if end_ms is None or at_ms < end_ms:
                yield Moment(at_ms, what, number, clock, due_ms, step, to, timed=True)
