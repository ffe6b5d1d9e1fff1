"""Reads the receipts that are kept of customers, and remembers the rule files that they speak of.

bl:{customers.3}:k:<customer>  list: receipts (alerts/triggers/receipts/kept.py), the latest last
bl:{customers.3}:m:<customer>  hash: rule → the latest moment noted at which it did not fire
bl:rules                       hash: version → text of the rule's file
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from redis import Redis

from alerts.triggers.receipts.kept import Kept, decode_kept
from features.partitions import partitions_of
from operators.store import PartitionStore


def read_receipts(redis: Redis, prefix: str, partitions: int, customers: list[str]) -> list[Kept]:
    """Of these customers, who have become one, the newest first; each decision once."""
    store, pipe = PartitionStore(redis, prefix, "customers"), redis.pipeline(transaction=False)
    for customer, partition in zip(customers, partitions_of(customers, partitions), strict=True):
        pipe.lrange(store.key(partition, f"k:{customer}"), 0, -1)
        pipe.hvals(store.key(partition, f"m:{customer}"))
    found = [decode_kept(raw) for answer in pipe.execute() for raw in answer]
    latest = {(receipt.decision, receipt.outcome): receipt for receipt in found}
    return sorted(latest.values(), key=lambda receipt: receipt.at_ms)[::-1]


def note_rules(redis: Redis, prefix: str, texts: Mapping[str, str]) -> None:
    """Remembers rule files by version, so that what they decided can still be explained when they have changed."""
    if texts:
        redis.hset(f"{prefix}:rules", mapping=dict(texts))


def known_rules(redis: Redis, prefix: str, versions: Iterable[str]) -> dict[str, str]:
    """The texts of rule files, by version."""
    wanted = list(dict.fromkeys(versions))
    texts: Any = redis.hmget(f"{prefix}:rules", wanted) if wanted else []
    return {version: raw.decode() for version, raw in zip(wanted, texts, strict=True) if raw is not None}
