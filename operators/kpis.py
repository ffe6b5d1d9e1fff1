"""Reads the counts of a dimension from Redis as the KPI flow has merged them: the running minute as well."""

from __future__ import annotations

from typing import Any

from redis import Redis

from alerts.kpis.kpi import Counts
from alerts.kpis.reading import records, slots
from features.partitions import partition_of
from operators.customers import NoState
from operators.store import PartitionStore, stored_partitions

FLOW, TOPIC = "kpis-merge", "kpi.partials"


def kpi_partition(redis: Redis, prefix: str, dim: str) -> int:
    """Where a dimension is kept. Raises NoState."""
    partitions = stored_partitions(redis, prefix, TOPIC)
    if not partitions:
        raise NoState("no KPI flow has run yet: start `brewline run kpis`")
    return partition_of(dim, partitions)


def kpi_clock_ms(redis: Redis, prefix: str, dim: str) -> int:
    """How far the flow has come in event time; 0 at the beginning. Raises NoState."""
    store = PartitionStore(redis, prefix, FLOW)
    return store.position(kpi_partition(redis, prefix, dim)).clock.now_ms


def read_kpis(redis: Redis, prefix: str, dim: str, minutes: int, from_ms: int, to_ms: int) -> dict[int, Counts]:
    """By start of the slot, epoch ms: what came in it; one consistent reading. Raises NoState."""
    store, partition = PartitionStore(redis, prefix, FLOW), kpi_partition(redis, prefix, dim)
    names = records(dim, minutes, from_ms, to_ms)
    found: Any = redis.mget([store.key(partition, f"r:{name}") for name in names])
    stored = {name: raw for name, raw in zip(names, found, strict=True) if raw is not None}
    return slots(stored, minutes, from_ms, to_ms)
