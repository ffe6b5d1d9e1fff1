"""Whose tickets are, over one batch: found by customer, and by who a customer has become."""

from __future__ import annotations

from collections.abc import Mapping

from alerts.service.records import Person, decode_person, encode_person, person_record
from features.job import Changes


class People:
    """The records of customers that a batch speaks of."""

    def __init__(self, records: Mapping[str, bytes]) -> None:
        self.records = records
        self.known: dict[str, Person] = {}
        self.changed: set[str] = set()

    def of(self, customer: str) -> Person:
        if customer not in self.known:
            raw = self.records.get(person_record(customer))
            self.known[customer] = decode_person(raw) if raw else Person()
        return self.known[customer]

    def now(self, customer: str) -> str:
        """Who a customer has become."""
        met = {customer}
        while customer and (into := self.of(customer).into) and into not in met:
            met.add(customer := into)
        return customer

    def give(self, ticket: str, customers: set[str]) -> None:
        for customer in customers:
            if ticket not in self.of(customer).tickets:
                self.of(customer).tickets.append(ticket)
                self.changed.add(customer)

    def take(self, ticket: str, customers: set[str]) -> None:
        for customer in customers:
            if ticket in self.of(customer).tickets:
                self.of(customer).tickets.remove(ticket)
                self.changed.add(customer)

    def merge(self, customer: str, into: str, until_ms: int) -> list[str]:
        """The tickets that have a new customer now."""
        tickets = self.erase(customer)
        self.known[customer] = Person([], into, until_ms)
        for ticket in tickets:
            self.give(ticket, {into})
        return tickets

    def erase(self, customer: str) -> list[str]:
        """The tickets that were the customer's."""
        tickets, self.known[customer] = self.of(customer).tickets, Person()
        self.changed.add(customer)
        return tickets

    def write(self, changes: Changes) -> None:
        for customer in sorted(self.changed):
            person, name = self.known[customer], person_record(customer)
            if person.tickets or person.into:
                changes.puts[name] = encode_person(person)
            else:
                changes.deletes.append(name)
