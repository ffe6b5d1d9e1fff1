"""Tickets as they stand: the table of `brewline tickets`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import orjson
from redis import Redis
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from alerts.service.records import OPEN, decode_open, decode_person, person_record, ticket_record
from alerts.service.standing import standing
from alerts.service.ticket import Ticket, decode_ticket
from config.settings import Settings
from features.times import rfc3339, spell_offsets
from flows.keys import load_pseudonyms
from operators.customers import find_customer
from operators.layout import RECORDS, stored_partitions
from operators.redis_link import connect_redis
from operators.store import PartitionStore

FLOW, TOPIC = "service-desk", "service.cases"
CHUNK = 1_000
CLOCKS = ("first_answer", "resolution")


def show_tickets(settings: Settings, only_open: bool, customer: str, as_json: bool, out: Console) -> None:
    """Prints them, the one that is due first at the top. Raises UnknownCustomer."""
    redis = connect_redis(settings.redis.url, settings.redis.start_timeout_s)
    pseudonyms = load_pseudonyms(settings) if ":" in customer else None
    whose = find_customer(redis, settings.redis.prefix, pseudonyms, customer) if customer else ""
    rows = read_tickets(redis, settings.redis.prefix, only_open, whose)
    if as_json:
        print(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    names = ("priority", "state", "store", "opened", "customer", *CLOCKS)
    table = Table(Column("ticket", overflow="fold"), *names, box=SIMPLE_HEAD)
    for row in rows:
        left = [_left(row["clocks"].get(clock)) for clock in CLOCKS]
        about = (row["ticket"], row["priority"], row["state"], row["store"], rfc3339(row["opened_ms"])[:16])
        table.add_row(*map(escape, (*about, row["customer"][:9])), *left)
    out.print(table)
    out.print(f"{len(rows):,} tickets; clocks say how much time is left", highlight=False)


def _left(clock: dict[str, Any] | None) -> str:
    if clock is None:
        return ""
    if clock["left_ms"] is None:
        return "kept" if clock["stopped_ms"] <= clock["due_ms"] else "late"
    left_s = clock["left_ms"] // 1000 * 1000
    return f"[red]{spell_offsets([-left_s])[1:]} over[/]" if left_s < 0 else spell_offsets([left_s])[1:]


def read_tickets(redis: Redis, prefix: str, only_open: bool, customer: str = "") -> list[dict[str, Any]]:
    """A row for each, as of the clocks of the partitions."""
    store = PartitionStore(redis, prefix, FLOW)
    parts = range(stored_partitions(redis, prefix, TOPIC))
    now_ms = max((store.position(part).clock.now_ms for part in parts), default=0) or round(time.time() * 1000)
    found = [pair for part in parts for pair in _stored(redis, store, part, only_open, customer)]
    rows = [row for name, ticket in found if (row := _row(name, ticket, now_ms)) is not None]
    kept = [row for row in rows if not only_open or _next_ms(row) < float("inf")]  # something is owed on it
    return sorted(kept, key=lambda row: (row["state"] == "closed", _next_ms(row), row["opened_ms"], row["ticket"]))


def _next_ms(row: dict[str, Any]) -> float:
    running = [clock["due_ms"] for clock in row["clocks"].values() if clock["left_ms"] is not None]
    return min(running, default=float("inf"))


def _stored(
    redis: Redis, store: PartitionStore, part: int, only_open: bool, customer: str
) -> Iterator[tuple[str, Ticket]]:
    if customer:
        raw = store.record(part, person_record(customer))
        names = decode_person(raw).tickets if raw else []
    elif only_open:
        raw = store.record(part, OPEN)
        names = list(decode_open(raw)) if raw else []
    else:
        kept = redis.hscan_iter(store.key(part, RECORDS), f"{ticket_record('')}*", CHUNK)
        names = [name.decode().removeprefix(ticket_record("")) for name, _ in kept]
    for at in range(0, len(names), CHUNK):
        some = names[at : at + CHUNK]
        raws = store.records(part, [ticket_record(name) for name in some])
        yield from ((name, decode_ticket(raw)) for name, raw in zip(some, raws, strict=True) if raw is not None)


def _row(name: str, ticket: Ticket, now_ms: int) -> dict[str, Any] | None:
    stands, opening, promise = standing(ticket, now_ms), ticket.opening, ticket.promise
    if stands is None or opening is None or promise is None:
        return None
    clocks = {
        clock: {"due_ms": one.due_ms, "stopped_ms": one.stopped_ms, "left_ms": one.left_ms(now_ms)}
        for clock, one in stands.clocks.items()
    }
    about = {"ticket": name, "kind": opening.kind, "customer": ticket.customer, "store": opening.store}
    about |= {"topic": opening.topic, "order": opening.order, "priority": promise.id}
    return {**about, "state": stands.state, "round": stands.round, "opened_ms": opening.at_ms, "clocks": clocks}
