"""A dimension's counts over time, as a board reads them: what is left of its minutes, and what stayed of older ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from alerts.kpis.catalog import KpiCatalog
from alerts.kpis.hour import decode_hour
from alerts.kpis.kpi import Counts, hour_record
from alerts.kpis.rollup import STEPS, Rollup, Step, summed
from features.times import HOUR_MS, MINUTE_MS

STEP_MINUTES = {"minute": 1, "5m": 5, "hour": 60}


def records(dim: str, minutes: int, from_ms: int, to_ms: int) -> list[str]:
    """Names of the records that may hold slots of so many minutes from `from_ms` until before `to_ms`.

    Each hour's own is asked for: after an outage it may stay for longer than usual.
    """
    first, last = from_ms // HOUR_MS, max(from_ms, to_ms - 1) // HOUR_MS
    found = [hour_record(dim, hour * HOUR_MS) for hour in range(first, last + 1)]
    for step in (step for step in STEPS if step.minutes == minutes):
        blocks = range(first // step.hours, last // step.hours + 1)
        found += [step.record(dim, block * step.hours) for block in blocks]
    return found


def slots(stored: Mapping[str, bytes], minutes: int, from_ms: int, to_ms: int) -> dict[int, Counts]:
    """By start, epoch ms: counts of slots in which anything came. Raises ValueError for another layout."""
    found: dict[int, Counts] = {}
    for name, raw in stored.items():
        kept = Rollup(minutes, raw).slots() if _step(name) else summed(decode_hour(raw), minutes)
        for number, counts in kept.items():
            found[number * minutes * MINUTE_MS] = counts
    return {at_ms: found[at_ms] for at_ms in sorted(found) if from_ms <= at_ms < to_ms}


def _step(name: str) -> Step | None:
    return next((step for step in STEPS if name.startswith(f"{step.name}|")), None)


def counters(catalog: KpiCatalog, counts: Counts) -> dict[str, int]:
    return {name: counts.get(column, 0) for column, name in enumerate(catalog.names)}


def sum_of(catalog: KpiCatalog, each: Iterable[Counts]) -> dict[str, int]:
    """By name, over several slots."""
    names = catalog.names
    found = dict.fromkeys(names, 0)
    for counts in each:
        for column, count in counts.items():
            found[names[column]] += count
    return found
