"""A ticket: what was said of a case, in whatever order it came, and what was told of it.

What was said is a set: the same whatever the order, and however often an event comes. All that follows from it is
worked out anew each time (`timeline.py`), and only what differs from what was told before is told, as a revision.
"""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct, field, msgpack

from alerts.service.promise import Promise, Promises
from features import events as e

VERSION = 1
COMPLAINT, RATING, LEAD, DELIVERY = "complaint", "rating", "lead", "delivery"


class Said(IntEnum):
    AGAIN = 0  # what opened it, once more
    ANSWER = 1
    SETTLED = 2  # as those who answered see it
    HAPPY = 3
    UNHAPPY = 4


class Opening(Struct, array_like=True):
    """What a case is about, as the event that opened it says. `tz`: in which the store's clocks run."""

    at_ms: int
    kind: str
    customer: str = ""
    store: str = ""
    region: str = ""
    tz: str = ""
    topic: str = ""
    order: str = ""
    stars: float | None = None
    promised_ms: int = 0  # of a delivery


class Told(Struct, array_like=True):
    """The latest revision of a message: what it said, and how often that has changed."""

    at_ms: int
    due_ms: int
    priority: str
    revision: int = 0
    withdrawn: bool = False


class Ticket(Struct, array_like=True):
    """The record. `openings` and `words` by event id; `promise` is the one that was given when it opened."""

    version: int = VERSION
    customer: str = ""
    openings: dict[str, Opening] = field(default_factory=dict)
    words: dict[str, tuple[int, Said]] = field(default_factory=dict)  # when, what
    told: dict[str, Told] = field(default_factory=dict)
    opener: str = ""  # event id of the opening that `promise` goes with
    promise: Promise | None = None

    @property
    def known(self) -> bool:
        return bool(self.openings or self.words)

    @property
    def customers(self) -> set[str]:
        """All whom it names."""
        return {name for name in (self.customer, *(one.customer for one in self.openings.values())) if name}

    @property
    def opening(self) -> Opening | None:
        """The earliest."""
        return self.openings[self.first()] if self.openings else None

    def first(self) -> str:
        """Event id of the earliest opening."""
        return min(self.openings, key=lambda id: (self.openings[id].at_ms, id))

    def promised(self, promises: Promises) -> Promise:
        """What was promised when it opened; later changes of the file do not count."""
        first = self.first()
        if self.openings[first].kind == DELIVERY:
            return promises.deliveries.promise if promises.deliveries else Promise(DELIVERY)
        if self.promise is None or self.opener != first:
            self.opener, self.promise = first, _promise(self.openings[first], promises)
        return self.promise

    def rename(self, customer: str, into: str) -> None:
        for opening in self.openings.values():
            if opening.customer == customer:
                opening.customer = into
        self.customer = into if self.customer == customer else self.customer


def _promise(opening: Opening, promises: Promises) -> Promise:
    if opening.kind == COMPLAINT:
        return promises.of_complaint(opening.topic)
    rated = promises.ratings.promise if promises.ratings else ""
    return promises.named((rated if opening.kind == RATING else promises.leads) or promises.complaints)


def ticket_of(event: e.Event, promises: Promises) -> str:
    """Which ticket an event is about; empty if about none that was promised anything."""
    if isinstance(event, e.Rating):
        promised = promises.ratings is not None and event.stars <= promises.ratings.stars
    elif isinstance(event, e.Lead | e.LeadContacted):
        promised = bool(promises.leads)
    else:
        promised = promises.deliveries is not None or not isinstance(event, e.DeliveryPromised | e.DeliveryDelivered)
    return ticket_name(event) if promised else ""


def ticket_name(event: e.Event) -> str:
    """Of an event about a case; empty for others."""
    if isinstance(event, e.Complaint | e.ComplaintAnswered | e.ComplaintConfirmed):
        return event.case
    if isinstance(event, e.Lead | e.LeadContacted):
        return f"{LEAD}:{event.lead}"
    if isinstance(event, e.DeliveryPromised | e.DeliveryDelivered):
        return f"{DELIVERY}:{event.order}"
    return f"{RATING}:{event.order or event.id}" if isinstance(event, e.Rating) else ""


def note(ticket: Ticket, event: e.Event) -> bool:
    """Adds what an event says; False if that was known."""
    if event.id in ticket.openings or event.id in ticket.words:
        return False
    ticket.customer = ticket.customer if ticket.known else event.customer
    if isinstance(event, e.Complaint | e.Rating | e.Lead | e.DeliveryPromised):
        ticket.openings[event.id] = _opening(event)
        ticket.customer = ticket.openings[ticket.first()].customer
    elif isinstance(event, e.ComplaintConfirmed):
        ticket.words[event.id] = (event.at_ms, Said.HAPPY if event.satisfied else Said.UNHAPPY)
    else:
        done = isinstance(event, e.LeadContacted | e.DeliveryDelivered)
        settled = done or (isinstance(event, e.ComplaintAnswered) and event.closed)
        ticket.words[event.id] = (event.at_ms, Said.SETTLED if settled else Said.ANSWER)
    return True


def _opening(event: e.Complaint | e.Rating | e.Lead | e.DeliveryPromised) -> Opening:
    opening = Opening(event.at_ms, COMPLAINT, event.customer, event.store, event.region, event.tz)
    if isinstance(event, e.Rating):
        opening.kind, opening.order, opening.stars = RATING, event.order, event.stars
    elif isinstance(event, e.DeliveryPromised):
        opening.kind, opening.order, opening.promised_ms = DELIVERY, event.order, event.promised_ms
    else:
        opening.kind, opening.topic = LEAD if isinstance(event, e.Lead) else COMPLAINT, event.topic
    return opening


encode_ticket = msgpack.Encoder().encode
decode_ticket = msgpack.Decoder(Ticket).decode
