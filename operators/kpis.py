"""Reads the counts of a dimension from Redis as the KPI flow has merged them: the running minute as well."""

from __future__ import annotations

from collections.abc import Iterable

from redis import Redis

from alerts.kpis.kpi import Counts
from alerts.kpis.reading import records, slots
from features.partitions import partition_of
from features.times import HOUR_MS
from operators.customers import NoState
from operators.layout import stored_partitions
from operators.store import PartitionStore

FLOW, TOPIC = "kpis-merge", "kpi.partials"
JUDGE, JUDGES = "kpis-judge", 0  # the partition that judges
SCANNED = 5_000  # timers at a time


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
    stored = _stored(redis, prefix, dim, records(dim, minutes, from_ms, to_ms))
    return slots(stored, minutes, from_ms, to_ms)


def read_hours(redis: Redis, prefix: str, dim: str, starts: Iterable[int]) -> dict[int, Counts]:
    """Of hours here and there, by their starts, epoch ms. Raises NoState."""
    wanted = {*starts}
    names = sorted({name for at_ms in wanted for name in records(dim, 60, at_ms, at_ms + HOUR_MS)})
    found = slots(_stored(redis, prefix, dim, names), 60, min(wanted, default=0), max(wanted, default=-1) + 1)
    return {at_ms: counts for at_ms, counts in found.items() if at_ms in wanted}


def _stored(redis: Redis, prefix: str, dim: str, names: list[str]) -> dict[str, bytes]:
    store, partition = PartitionStore(redis, prefix, FLOW), kpi_partition(redis, prefix, dim)
    found = store.records(partition, names)
    return {name: raw for name, raw in zip(names, found, strict=True) if raw is not None}


def read_judge(redis: Redis, prefix: str, names: Iterable[str]) -> dict[str, bytes]:
    """Records of the judge that are there; one consistent reading."""
    store, wanted = PartitionStore(redis, prefix, JUDGE), [*names]
    found = store.records(JUDGES, wanted)
    return {name: raw for name, raw in zip(wanted, found, strict=True) if raw is not None}


def counted(redis: Redis, prefix: str, kind: str) -> list[str]:
    """The dimensions of a kind of which anything is kept; it looks at every timer, so do not ask often."""
    store, found = PartitionStore(redis, prefix, FLOW), set[str]()
    for partition in range(stored_partitions(redis, prefix, TOPIC)):
        for timer, _ in redis.zscan_iter(store.key(partition, "timers"), f"*{kind}:*|*", SCANNED):
            found |= {part for part in timer.decode().split("|") if part.startswith(f"{kind}:")}
    return sorted(found)
