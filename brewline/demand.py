"""Prints what a dimension will come to in the hours ahead, learned from the hours that are kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from alerts.kpis.catalog import KpiCatalog
from alerts.kpis.demand import DAY_HOURS, WEEK_DAYS, Demand, learned
from alerts.kpis.kpi import Counts
from config.settings import Settings
from features.times import DAY_MS, HOUR_MS, rfc3339
from features.written import hint
from flows.files import load_kpis
from operators.kpis import kpi_clock_ms, read_kpis
from operators.redis_link import connect_redis

LEARNED_DAYS = 26 * WEEK_DAYS  # that are read; what is older counts next to nothing


class Asked(Struct):
    dim: str
    counter: str
    hours: int


def show_demand(settings: Settings, asked: Asked, as_json: bool, out: Console) -> None:
    """Raises ValueError for what is not counted, NoState, Unreachable."""
    catalog = load_kpis(settings)
    column = check(asked, catalog)
    redis, prefix = connect_redis(settings.redis.url, settings.redis.start_timeout_s), settings.redis.prefix
    clock_ms = kpi_clock_ms(redis, prefix, asked.dim)
    found = read_kpis(redis, prefix, asked.dim, 60, clock_ms - LEARNED_DAYS * DAY_MS, clock_ms)
    told = foretold(asked, found, column, clock_ms)
    if as_json:
        out.file.write(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        _print(told, settings.stores.timezone, out)


def check(asked: Asked, catalog: KpiCatalog) -> int:
    """The counter's column. Raises ValueError for what is not counted."""
    kind, colon, _ = asked.dim.partition(":")
    kinds = [dimension.kind for dimension in catalog.dimensions]
    if kind not in kinds or not colon:
        raise ValueError(
            f"demand: found {asked.dim!r}, expected store+category:0012+milk_tea or the like{hint(kind, kinds)}"
        )
    if asked.counter not in catalog.names:
        raise ValueError(f"demand: --counter: there is no {asked.counter!r}{hint(asked.counter, catalog.names)}")
    return catalog.names.index(asked.counter)


def foretold(asked: Asked, found: Mapping[int, Counts], column: int, clock_ms: int) -> dict[str, Any]:
    """`found`: by start of an hour. Learned from whole days that are over; the hour that runs is foretold, too."""
    hours = {at_ms // HOUR_MS: float(counts.get(column, 0)) for at_ms, counts in found.items()}
    now = clock_ms // HOUR_MS
    today = now // DAY_HOURS
    first = min(min(hours, default=now) // DAY_HOURS + 1, today)
    demand = learned(hours, first, today)
    ahead = range(now, now + asked.hours) if demand.days else range(0)
    days = {day: demand.foretell(day) for day in {hour // DAY_HOURS for hour in ahead}}
    return {
        "dim": asked.dim,
        "counter": asked.counter,
        "clock": rfc3339(clock_ms),
        "learned_days": demand.days,
        **_errors(demand),
        "hours": [
            {"at": rfc3339(hour * HOUR_MS), "expected": round(float(days[hour // DAY_HOURS][hour % DAY_HOURS]), 2)}
            for hour in ahead
        ],
    }


def _errors(demand: Demand) -> dict[str, float | None]:
    """Hours' mean distance from what was foretold as their day began, and from a week before, in parts of what came."""
    errors = demand.errors
    shares = {"error": errors.foretold, "error_of_week_before": errors.week_before}
    return {name: round(off / errors.came, 3) if errors.came > 0 else None for name, off in shares.items()}


def _print(told: dict[str, Any], zone: str, out: Console) -> None:
    if not told["hours"]:
        out.print(f"{told['dim']}: no whole day of it has been counted yet, so nothing is foretold", highlight=False)
        return
    title = f"{told['counter']} of {told['dim']}, learned from {told['learned_days']} days until {told['clock']}"
    table = Table("from", "expected", title=title)
    for hour in told["hours"]:
        at = datetime.fromisoformat(hour["at"].replace("Z", "+00:00")).astimezone(ZoneInfo(zone))
        table.add_row(f"{at:%a %m-%d %H:%M}", f"{hour['expected']:,.1f}")
    out.print(table)
    if told["error"] is None:
        out.print("how well that was foretold is known after eight days", highlight=False)
        return
    ours, before = told["error"], told["error_of_week_before"]
    out.print(f"of late an hour was off by {ours:.0%}; the same hour a week before, by {before:.0%}", highlight=False)
