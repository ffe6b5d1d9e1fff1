"""Reads a customer's record from Redis, by customer id or by one of the identifiers."""

from __future__ import annotations

from typing import Any

from redis import Redis

from features.identity import KINDS, Pseudonyms
from features.partitions import partition_of
from features.record import forwarded
from operators.identities import look_up
from operators.store import PartitionStore, stored_partitions


class UnknownCustomer(ValueError):
    """Nobody is known under this id."""


def find_customer(redis: Redis, prefix: str, pseudonyms: Pseudonyms | None, id: str) -> str:
    """The customer id behind `card:123`, `phone:+86...` or a customer id. Raises UnknownCustomer."""
    kind, colon, raw = id.partition(":")
    if not colon:
        return id
    if kind not in KINDS or pseudonyms is None:
        raise UnknownCustomer(f"found {kind!r}, expected a customer id or one of {', '.join(f'{k}:…' for k in KINDS)}")
    names = pseudonyms.every(kind, raw)
    table = look_up(redis, prefix, names)
    found = next((table.root(table.links[name]) for name in names if name in table.links), None)
    if found is None:
        raise UnknownCustomer(f"no customer is known by this {kind}")
    return found


def read_record(redis: Redis, prefix: str, customer: str) -> bytes:
    """The stored record, packed; of one who was merged into another, that one's. Raises UnknownCustomer."""
    partitions = stored_partitions(redis, prefix)
    if not partitions:
        raise UnknownCustomer("Redis holds no state yet: no flow has run under this redis.prefix")
    store = PartitionStore(redis, prefix, "customers")
    raw: Any = b""
    while raw is not None and (not raw or forwarded(raw)):
        customer = forwarded(raw) or customer
        raw = redis.get(store.key(partition_of(customer, partitions), f"r:{customer}"))
    if raw is None:
        raise UnknownCustomer(f"no customer {customer!r}: give a customer id, or an identifier such as card:123")
    return bytes(raw)
