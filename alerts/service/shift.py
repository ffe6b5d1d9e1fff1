"""What one batch does to tickets: note what is said, follow the clock, tell what is new, forget."""

from __future__ import annotations

from collections import Counter

from alerts.agenda import Agenda
from alerts.service.people import People
from alerts.service.promise import Promises
from alerts.service.records import (
    OPEN,
    Open,
    decode_open,
    encode_open,
    person_named,
    person_record,
    ticket_named,
    ticket_record,
)
from alerts.service.telling import ALARMING, News, Topics, late, messages, news
from alerts.service.ticket import DELIVERY, Opening, Ticket, decode_ticket, encode_ticket, note, ticket_name
from alerts.service.timeline import Moment, timeline
from features import events as e
from features.job import Changes, Message, State
from features.times import DAY_MS

TURNS = ("opened", "reopened", "closed")
DELIVERIES_KEPT_MS = 2 * DAY_MS
NOTES_KEPT_MS = 7 * DAY_MS  # who was merged; what names them later was on its way for longer than that


class Shift:
    """Tickets of a batch; all is decided in log order, so that it does not matter where batches end."""

    def __init__(self, promises: Promises, topics: Topics, state: State) -> None:
        self.promises = promises
        self.topics = topics
        self.records = state.records
        self.agenda = Agenda(state.due)
        self.people = People(state.records)
        self.tickets: dict[str, Ticket] = {}
        self.open: Open = decode_open(state.records[OPEN]) if OPEN in state.records else {}
        self.opened = dict(self.open)
        self.changed: set[str] = set()
        self.stamp_ms = 0
        self.messages: list[Message] = []
        self.causes_ms: list[int] = []
        self.counts: Counter[str] = Counter()

    def hear(self, event: e.Event, now_ms: int, stamp_ms: int) -> None:
        """Does as an event says."""
        self.stamp_ms = stamp_ms
        if isinstance(event, e.Merge):
            self._merge(event.customer, self.people.now(event.into), now_ms)
        elif isinstance(event, e.Forget):
            self._forget(event.customer)
        elif name := ticket_name(event):
            self._note(name, event, now_ms)

    def advance(self, now_ms: int, stamp_ms: int) -> None:
        """Does what is due, because of a record with this Kafka timestamp."""
        self.stamp_ms = stamp_ms
        while timer := self.agenda.pop(now_ms):
            if name := ticket_named(timer[1]):
                self._settle(name, self._ticket(name), now_ms)
            else:
                self.people.erase(person_named(timer[1]))

    def _ticket(self, name: str) -> Ticket:
        if name not in self.tickets:
            raw = self.records.get(ticket_record(name))
            self.tickets[name] = decode_ticket(raw) if raw else Ticket()
        return self.tickets[name]

    def _note(self, name: str, event: e.Event, now_ms: int) -> None:
        ticket, before = self._ticket(name), self._ticket(name).customers
        if not ticket.known and event.at_ms + self._keep_ms(name) <= now_ms:
            self.counts["too_late"] += 1
            return
        event.customer = self.people.now(event.customer)
        if not note(ticket, event):
            self.counts["duplicates"] += 1
            return
        self.counts["applied"] += 1
        self.people.take(name, before - ticket.customers)
        self.people.give(name, ticket.customers)
        self._settle(name, ticket, now_ms)

    def _settle(self, name: str, ticket: Ticket, now_ms: int) -> None:
        """Tells what is new, and sets the timer for what the clock will bring."""
        self.changed.add(name)
        moments = self._told(name, ticket, now_ms)
        turns = [m for m in moments if m.what in TURNS and (m.at_ms <= now_ms or not m.timed)]
        closed_ms = turns[-1].at_ms if turns and turns[-1].what == "closed" else None
        kept = {m.clock for m in moments if m.what == "answered" and m.round == turns[-1].round}
        self._list(name, ticket, kept, closed_ms)
        forget_ms = self._forget_ms(name, ticket, closed_ms)
        if forget_ms is not None and forget_ms <= now_ms:
            self._drop(name, ticket)
        else:
            self._wake(name, min([m.at_ms for m in moments if m.timed and m.at_ms > now_ms], default=forget_ms))

    def _forget_ms(self, name: str, ticket: Ticket, closed_ms: int | None) -> int | None:
        """None: not as long as it is open."""
        opening, spoken_ms = ticket.opening, max((at_ms for at_ms, _ in ticket.words.values()), default=0)
        if opening is None:
            return spoken_ms + self._keep_ms(name)
        if opening.kind == DELIVERY:
            return max(spoken_ms, opening.promised_ms) + self._keep_ms(name)
        return None if closed_ms is None else closed_ms + self._keep_ms(name)

    def _keep_ms(self, name: str) -> int:
        return DELIVERIES_KEPT_MS if name.startswith(f"{DELIVERY}:") else self.promises.keep_ms

    def _told(self, name: str, ticket: Ticket, now_ms: int) -> list[Moment]:
        """All moments of a ticket, once those are told that are; none as long as nothing has opened it."""
        opening = ticket.opening
        if opening is None:
            return []
        promise = ticket.promised(self.promises)
        moments = timeline(ticket, opening, promise)
        for one in news(ticket, promise, [m for m in moments if m.at_ms <= now_ms or not m.timed]):
            if opening.kind == DELIVERY:
                self._say_late(ticket, opening, one)
                continue
            self.messages += messages(name, ticket, opening, promise, one, self.stamp_ms, self.topics)
            self.causes_ms.append(self.stamp_ms)
            what = "withdrawn" if one.told.withdrawn else "corrected" if one.told.revision else one.moment.what
            self.counts.update(("tickets", f"ticket:{what}:{promise.id}"))
            self.counts["service_alerts"] += one.moment.what in ALARMING and not one.told.withdrawn
        return moments

    def _say_late(self, ticket: Ticket, opening: Opening, one: News) -> None:
        """Once an order: what a guest was given for it is not taken back."""
        if one.told.revision == 0:
            self.messages.append(late(ticket, opening, one.moment, self.topics))
            self.counts["deliveries_late"] += 1

    def _list(self, name: str, ticket: Ticket, kept: set[str], closed_ms: int | None) -> None:
        """Only what is owed: the list goes with every batch, and what waits for the guest alone may wait for long."""
        opening = ticket.opening
        if opening is None or opening.kind == DELIVERY or closed_ms is not None:
            self.open.pop(name, None)
        elif (promise := ticket.promised(self.promises)).clocks.keys() - kept:
            self.open[name] = (promise.id, opening.at_ms)
        else:
            self.open.pop(name, None)

    def _wake(self, name: str, at_ms: int | None) -> None:
        if at_ms is None:
            self.agenda.timers[ticket_record(name)] = None
        else:
            self.agenda.set(ticket_record(name), at_ms)

    def _drop(self, name: str, ticket: Ticket) -> None:
        self.people.take(name, ticket.customers)
        self.tickets[name] = Ticket()
        self.changed.add(name)
        self.open.pop(name, None)
        self._wake(name, None)

    def _merge(self, customer: str, into: str, now_ms: int) -> None:
        """Of one who was merged elsewhere before, the flow that merges will say so of the others."""
        if customer == into or self.people.of(customer).into:
            return
        until_ms = now_ms + NOTES_KEPT_MS
        for name in self.people.merge(customer, into, until_ms):
            self._ticket(name).rename(customer, into)
            self.changed.add(name)
        self.agenda.set(person_record(customer), until_ms)

    def _forget(self, customer: str) -> None:
        for name in list(self.people.of(customer).tickets):
            self._drop(name, self._ticket(name))
        self.people.erase(customer)
        self.agenda.timers[person_record(customer)] = None

    def write(self, changes: Changes) -> None:
        """What the batch has changed."""
        self.people.write(changes)
        for name in sorted(self.changed):
            if self.tickets[name].known:
                changes.puts[ticket_record(name)] = encode_ticket(self.tickets[name])
            else:
                changes.deletes.append(ticket_record(name))
        if not self.open:
            changes.deletes.append(OPEN)
        elif self.open != self.opened:
            changes.puts[OPEN] = encode_open(self.open)
        changes.timers = self.agenda.timers
        changes.messages += self.messages
        changes.causes_ms = self.causes_ms
        changes.counts = {name: count for name, count in self.counts.items() if count}
        changes.levels = self._levels()

    def _levels(self) -> dict[str, float]:
        """By priority: tickets on which something is owed, and when the oldest was opened, epoch s."""
        found: dict[str, float] = {}
        kept = {priority for priority, _ in (*self.opened.values(), *self.open.values())}  # also of promises now gone
        for id in kept.union(promise.id for promise in self.promises.promise):
            opened = [at_ms for priority, at_ms in self.open.values() if priority == id]
            found[f"open:{id}"] = len(opened)
            found[f"oldest:{id}"] = min(opened) / 1000 if opened else float("nan")
        return found
