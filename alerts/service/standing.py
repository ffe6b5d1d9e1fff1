"""How a ticket stands at a time: what is still to be done, and how long there is for it."""

from __future__ import annotations

from msgspec import Struct

from alerts.service.ticket import Ticket
from alerts.service.timeline import due, rounds


class Clock(Struct):
    """One clock of the latest round; `stopped_ms` None: it runs."""

    due_ms: int
    stopped_ms: int | None

    def left_ms(self, now_ms: int) -> int | None:
        """Below zero: so much too late. None: it has stopped."""
        return None if self.stopped_ms is not None else self.due_ms - now_ms


class Standing(Struct):
    """`state`: open, answered, settled (the guest has not confirmed it) or closed."""

    state: str
    round: int
    clocks: dict[str, Clock]


def standing(ticket: Ticket, now_ms: int) -> Standing | None:
    """None as long as nothing has opened it."""
    opening, promise = ticket.opening, ticket.promise
    if opening is None or promise is None:
        return None
    every = rounds(ticket, opening, promise)
    last, number = every[-1], len(every)
    closed = last.closed_ms is not None and (last.closed_ms <= now_ms or not last.by_silence)
    state = "settled" if last.settled_ms is not None else "answered" if last.answered_ms is not None else "open"
    clocks = {
        clock: Clock(due(last, limit_ms, opening, promise), last.ends[clock])
        for clock, limit_ms in promise.clocks.items()
    }
    return Standing("closed" if closed else state, number, clocks)
