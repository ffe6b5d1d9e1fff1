"""Reads customers' records from Redis, by customer id or by one of the identifiers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterable

from redis import Redis

from features.identity import KINDS, Pseudonyms, is_customer_id
from features.messages import Refused
from features.partitions import partitions_of
from features.record import forward, forwarded
from operators.identities import look_up
from operators.layout import RECORDS, stored_partitions
from operators.store import PartitionStore, partition_key

# Yields rounds of (key, names), the HMGET of each partition, and is sent what stands there: so that who reads in a
# thread and who reads on an event loop ask the same.
Reading = Generator[list[tuple[str, list[str]]], list[list[bytes | None]], dict[str, bytes]]


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
    found, names = {id: id for id in ids if ":" not in id}, dict[str, list[str]]()
    for id in ids:
        kind, colon, raw = id.partition(":")
        if colon and (kind not in KINDS or pseudonyms is None):
            expected = ", ".join(f"{k}:…" for k in KINDS)
            raise UnknownCustomer(f"found {kind!r}, expected a customer id or one of {expected}")
        if colon and pseudonyms is not None:
            names[id] = _names(pseudonyms, kind, raw)
    table = look_up(redis, prefix, [name for each in names.values() for name in each])
    known = {id: next((table.links[name] for name in each if name in table.links), "") for id, each in names.items()}
    return found | {id: table.root(customer) for id, customer in known.items() if customer}


def _names(pseudonyms: Pseudonyms, kind: str, raw: str) -> list[str]:
    try:
        return pseudonyms.every(kind, raw)
    except Refused:  # it is no phone number, say
        raise UnknownCustomer(f"no customer is known by this {kind}") from None


def unknown(customer: str) -> UnknownCustomer:
    """What looks like no id of ours may be somebody's number: it is not said again."""
    named = customer if is_customer_id(customer) else "…"
    return UnknownCustomer(f"no customer {named!r}: give a customer id, or an identifier such as card:123")


def read_record(redis: Redis, prefix: str, customer: str) -> bytes:
    """The stored record, packed. Raises UnknownCustomer, NoState."""
    found = read_records(redis, prefix, laid_out(redis, prefix), [customer])
    if not found:
        raise unknown(customer)
    return found[customer]


def read_current(redis: Redis, prefix: str, customer: str) -> tuple[str, bytes]:
    """Who a customer is now, and the stored record, packed. Raises UnknownCustomer, NoState."""
    partitions, raw = laid_out(redis, prefix), forward(customer)
    while into := forwarded(raw):
        customer, raw = into, read_stored(redis, prefix, partitions, [into]).get(into, b"")
    if not raw:
        raise unknown(customer)
    return customer, raw


def laid_out(redis: Redis, prefix: str) -> int:
    """Partitions that customers are spread over. Raises NoState."""
    partitions = stored_partitions(redis, prefix)
    if not partitions:
        raise NoState(f"Redis holds no state yet: no flow has run under the redis.prefix {prefix!r}")
    return partitions


def read_records(redis: Redis, prefix: str, partitions: int, customers: Iterable[str]) -> dict[str, bytes]:
    """The stored records, packed, of those who have one; of one who was merged into another, that one's."""
    return _answered(redis, reading_records(prefix, partitions, customers))


def read_stored(redis: Redis, prefix: str, partitions: int, customers: list[str]) -> dict[str, bytes]:
    """What stands under these customer ids: records, or notes in their place."""
    return _answered(redis, reading_stored(prefix, partitions, customers))


def reading_records(prefix: str, partitions: int, customers: Iterable[str]) -> Reading:
    """As `read_records`: one round, and another one for those who were merged."""
    found = yield from reading_stored(prefix, partitions, list(dict.fromkeys(customers)))
    while merged := {customer: into for customer, raw in found.items() if (into := forwarded(raw))}:
        more = yield from reading_stored(prefix, partitions, list(dict.fromkeys(merged.values())))
        for customer, into in merged.items():
            del found[customer]
            if into in more:
                found[customer] = more[into]
    return found


def reading_stored(prefix: str, partitions: int, customers: list[str]) -> Reading:
    """As `read_stored`, in one round."""
    mine = defaultdict[int, list[str]](list)
    for customer, partition in zip(customers, partitions_of(customers, partitions), strict=True):
        mine[partition].append(customer)
    keys = (partition_key(prefix, "customers", partition, RECORDS) for partition in mine)
    stored = yield [*zip(keys, mine.values(), strict=True)]
    found = zip(mine.values(), stored, strict=True)
    return {c: raw for names, raws in found for c, raw in zip(names, raws, strict=True) if raw is not None}


def _answered(redis: Redis, reading: Reading) -> dict[str, bytes]:
    """One round trip for each round."""
    asked = next(reading)
    while True:
        pipe = redis.pipeline(transaction=False)
        for key, names in asked:
            pipe.hmget(key, names)
        try:
            asked = reading.send(pipe.execute())
        except StopIteration as read:
            found: dict[str, bytes] = read.value
            return found


def read_words(redis: Redis, prefix: str, partitions: int, codes: Iterable[int]) -> dict[int, str]:
    """The texts that codes in records stand for."""
    store, wanted = PartitionStore(redis, prefix, "customers"), list(dict.fromkeys(codes))
    if not wanted:
        return {}
    pipe = redis.pipeline(transaction=False)
    for partition in range(partitions):
        pipe.hmget(store.key(partition, "words"), [str(code) for code in wanted])
    answers = pipe.execute()
    return {code: raw.decode() for texts in answers for code, raw in zip(wanted, texts, strict=True) if raw is not None}
