"""What the desk keeps: tickets, whose they are, and on which something is owed; how records and timers are called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct, msgpack

from alerts.service.ticket import decode_ticket

OPEN = "open"
Open = dict[str, tuple[str, int]]  # ticket → priority, when it was opened


class Person(Struct, array_like=True):
    """A customer's tickets; or as whom a customer who was merged goes on, known until the clock is at `until_ms`."""

    tickets: list[str] = []
    into: str = ""
    until_ms: int = 0


def ticket_record(ticket: str) -> str:
    return f"t|{ticket}"


def person_record(customer: str) -> str:
    return f"of|{customer}"


def ticket_named(record: str) -> str:
    """The ticket of a record or timer; empty for another's."""
    return record[2:] if record.startswith("t|") else ""


def person_named(record: str) -> str:
    return record[3:] if record.startswith("of|") else ""


def further(leaving: set[str], records: Mapping[str, bytes]) -> Iterator[str]:
    """What these records lead to: whose a ticket is, as whom a customer goes on, the tickets of who leaves."""
    for name, raw in records.items():
        if ticket_named(name):
            yield from map(person_record, decode_ticket(raw).customers)
        elif customer := person_named(name):
            person = decode_person(raw)
            if person.into:
                yield person_record(person.into)
            elif customer in leaving:
                yield from map(ticket_record, person.tickets)


encode_person = msgpack.Encoder().encode
decode_person = msgpack.Decoder(Person).decode
encode_open = msgpack.Encoder().encode
decode_open = msgpack.Decoder(Open).decode
