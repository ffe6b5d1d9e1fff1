"""What is told of a ticket: each moment once, again where it has changed, and taken back where it never was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from alerts.service.promise import Promise
from alerts.service.ticket import Opening, Ticket, Told
from alerts.service.timeline import Moment
from features import events as e
from features.job import Message
from features.messages import cloudevent
from features.times import local_day, rfc3339

ALARMING = ("breached", "escalated")
NAMED = {"first_answer": "a first answer", "resolution": "a resolution"}


class Topics(Struct, frozen=True):
    """Where tickets, breaches, deliveries that are late and dead letters go."""

    tickets: str
    alerts: str
    events: str
    dead_letters: str


class News(Struct):
    """A moment to be told, with its revision."""

    moment: Moment
    told: Told


def news(ticket: Ticket, promise: Promise, moments: list[Moment]) -> Iterator[News]:
    """What differs from what was told; the ticket remembers it."""
    names = {moment.name for moment in moments}
    for name, told in ticket.told.items():
        if name not in names and not told.withdrawn:
            told.revision, told.withdrawn = told.revision + 1, True
            yield News(_former(name, told, promise), told)
    for moment in moments:
        now, before = Told(moment.at_ms, moment.due_ms, promise.id), ticket.told.get(moment.name)
        now.revision = before.revision if before else 0
        if now != before:
            now.revision += before is not None
            ticket.told[moment.name] = now
            yield News(moment, now)


def _former(name: str, told: Told, promise: Promise) -> Moment:
    what, clock, number, step = name.split("|")
    to = promise.escalate[int(step) - 1].to if 0 < int(step) <= len(promise.escalate) else ""
    return Moment(told.at_ms, what, int(number), clock, told.due_ms, int(step), to)


def messages(
    name: str, ticket: Ticket, opening: Opening, promise: Promise, one: News, stamp_ms: int, topics: Topics
) -> list[Message]:
    """The ticket's message; of a breach or an escalation, also an alert."""
    moment, told = one.moment, one.told
    id, key = f"{name}|{opening.at_ms}|{moment.name}|{told.revision}", ticket.customer or name
    data: dict[str, Any] = {
        "ticket": name,
        "kind": opening.kind,
        "customer": ticket.customer,
        "store": opening.store,
        "region": opening.region,
        "topic": opening.topic,
        "order": opening.order,
        "stars": opening.stars,
        "priority": told.priority,
        "opened_ms": opening.at_ms,
        "round": moment.round,
        "clock": moment.clock,
        "at_ms": moment.at_ms,
        "due_ms": moment.due_ms,
        "to": moment.to,
        "revision": told.revision,
        "withdrawn": told.withdrawn,
        "trigger_stamp_ms": stamp_ms,
    }
    sent = [cloudevent(topics.tickets, key, id, f"ticket.{moment.what}", "service", moment.at_ms, key, data)]
    if moment.what in ALARMING:
        alert, id = {"severity": promise.severity, **_alert(name, opening, moment, told)}, f"alert|{id}"
        sent.append(cloudevent(topics.alerts, name, id, "alert.service", "service", moment.at_ms, name, alert))
    return sent


def late(ticket: Ticket, opening: Opening, moment: Moment, topics: Topics) -> Message:
    """Goes to the clean topic: what the guest gets for it is for the coupon rules to say."""
    event = e.DeliveryLate(
        id=f"late|{opening.order}",
        store=opening.store,
        channel="delivery",
        customer=ticket.customer,
        at_ms=moment.at_ms,
        day=local_day(moment.at_ms, opening.tz),
        tz=opening.tz,
        region=opening.region,
        order=opening.order,
    )
    return Message(topics.events, ticket.customer, e.encode(event))


def _alert(name: str, opening: Opening, moment: Moment, told: Told) -> dict[str, Any]:
    """It names no customer."""
    where = f" at {opening.store}" if opening.store else ""
    late = f"{NAMED[moment.clock]} to {opening.kind} {name}{where} ({told.priority}) was due {rfc3339(moment.due_ms)}"
    whom = f"; {moment.to} is to step in" if moment.to else ""
    return {
        "state": "resolved" if told.withdrawn else "firing",
        "ticket": name,
        "priority": told.priority,
        "store": opening.store,
        "region": opening.region,
        "clock": moment.clock,
        "due_ms": moment.due_ms,
        "to": moment.to,
        "incident": f"{name}|{moment.name}",
        "why": f"{late} and came in time after all" if told.withdrawn else late + whom,
    }
