"""Reads customers' records from Redis, by customer id or by one of the identifiers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from redis import Redis

from features.identity import KINDS, Pseudonyms
from features.partitions import partition_of
from operators.identities import known_customers
from operators.store import PartitionStore, stored_partitions


class UnknownCustomer(ValueError):
    """Nobody is known under this id."""


class NoState(ValueError):
    """No flow has run yet."""


def find_customer(redis: Redis, prefix: str, pseudonyms: Pseudonyms | None, id: str) -> str:
    """The customer id behind `card:123`, `phone:+86...` or a customer id. Raises UnknownCustomer."""
    found = find_customers(redis, prefix, pseudonyms, [id])
    if not found:
        raise UnknownCustomer(f"no customer is known by this {id.partition(':')[0]}")
    return found[id]


def find_customers(redis: Redis, prefix: str, pseudonyms: Pseudonyms | None, ids: list[str]) -> dict[str, str]:
    """Customer ids by what was asked for, without identifiers that nobody has. Raises UnknownCustomer for no kind."""
    found, hashes = {id: id for id in ids if ":" not in id}, dict[str, str]()
    for id in ids:
        kind, colon, raw = id.partition(":")
        if colon and (kind not in KINDS or pseudonyms is None):
            expected = ", ".join(f"{k}:…" for k in KINDS)
            raise UnknownCustomer(f"found {kind!r}, expected a customer id or one of {expected}")
        if colon and pseudonyms is not None:
            hashes[id] = pseudonyms.one(kind, raw)
    known = known_customers(redis, prefix, hashes.values())
    return found | {id: known[pseudonym] for id, pseudonym in hashes.items() if pseudonym in known}


def read_record(redis: Redis, prefix: str, customer: str) -> bytes:
    """The stored record, packed. Raises UnknownCustomer, NoState."""
    found = read_records(redis, prefix, laid_out(redis, prefix), [customer])
    if not found:
        raise UnknownCustomer(f"no customer {customer!r}: give a customer id, or an identifier such as card:123")
    return found[customer]


def laid_out(redis: Redis, prefix: str) -> int:
    """Partitions that customers are spread over. Raises NoState."""
    partitions = stored_partitions(redis, prefix)
    if not partitions:
        raise NoState(f"Redis holds no state yet: no flow has run under the redis.prefix {prefix!r}")
    return partitions


def read_records(redis: Redis, prefix: str, partitions: int, customers: Iterable[str]) -> dict[str, bytes]:
    """The stored records, packed, of those who have one: one MGET per partition, all in one round trip."""
    store, mine = PartitionStore(redis, prefix, "customers"), defaultdict[int, list[str]](list)
    for customer in dict.fromkeys(customers):
        mine[partition_of(customer, partitions)].append(customer)
    pipe = redis.pipeline(transaction=False)
    for partition, names in mine.items():
        start = store.key(partition, "r:")
        pipe.mget([start + name for name in names])
    found = zip(mine.values(), pipe.execute(), strict=True)
    return {c: raw for names, raws in found for c, raw in zip(names, raws, strict=True) if raw is not None}
