"""Prints what was counted of a dimension, slot by slot, with what follows from it and how it stands to its target."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from msgspec import Struct
from redis import Redis
from rich.console import Console
from rich.table import Table

from alerts.kpis.catalog import KpiCatalog
from alerts.kpis.kpi import Counts, ratios
from alerts.kpis.reading import STEP_MINUTES, sum_of
from alerts.kpis.silence import filled
from config.settings import Settings
from features.times import MINUTE_MS, local_day, midnight_ms, rfc3339
from features.written import hint
from flows.files import load_kpis
from operators.kpis import kpi_clock_ms, read_kpis
from operators.redis_link import connect_redis

SLOTS = 60  # shown, if no time is asked for
SHOWN = ("orders", "revenue_cents", "aov_cents", "visits", "conversion")  # if no KPI is asked for


class Asked(Struct):
    dim: str
    kpis: list[str]
    step: str
    from_ms: int | None
    to_ms: int | None


def show_kpis(settings: Settings, asked: Asked, as_json: bool, out: Console) -> None:
    """Raises ValueError for what is not kept, NoState, Unreachable."""
    catalog = load_kpis(settings)
    minutes = check(asked, catalog)
    redis = connect_redis(settings.redis.url, settings.redis.start_timeout_s)
    prefix = settings.redis.prefix
    clock_ms = kpi_clock_ms(redis, prefix, asked.dim)
    to_ms = clock_ms + minutes * MINUTE_MS if asked.to_ms is None else asked.to_ms
    from_ms = to_ms - SLOTS * minutes * MINUTE_MS if asked.from_ms is None else asked.from_ms
    found = read_kpis(redis, prefix, asked.dim, minutes, from_ms, to_ms)
    nothing = dict.fromkeys(kpis(catalog, []))  # is known of a store while its till is silent
    told = {
        "dim": asked.dim,
        "minutes": minutes,
        "clock": rfc3339(clock_ms),
        "slots": [
            {"at": rfc3339(at_ms), **(nothing if counts is None else kpis(catalog, [counts]))}
            for at_ms, counts in filled(asked.dim, found, minutes).items()
        ],
        "sum": kpis(catalog, found.values()),
        "targets": targets(redis, settings, catalog, asked.dim, clock_ms),
    }
    if as_json:
        out.file.write(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        _print(told, asked.kpis or list(SHOWN), settings.stores.timezone, out)


def check(asked: Asked, catalog: KpiCatalog) -> int:
    """The minutes of a slot. Raises ValueError for what is not kept."""
    kind, colon, _ = asked.dim.partition(":")
    kinds = [dimension.kind for dimension in catalog.dimensions]
    if kind not in kinds or not colon:
        raise ValueError(f"kpis: found {asked.dim!r}, expected chain:*, store:0012 or the like{hint(kind, kinds)}")
    names = [*catalog.names, *(ratio.name for ratio in catalog.ratios)]
    for kpi in asked.kpis:
        if kpi not in names:
            raise ValueError(f"kpis: --kpi: there is no {kpi!r}{hint(kpi, names)}")
    if asked.step not in STEP_MINUTES:
        raise ValueError(f"kpis: --step: found {asked.step!r}, expected one of {', '.join(STEP_MINUTES)}")
    if STEP_MINUTES[asked.step] < catalog.slot_minutes(asked.dim):
        raise ValueError(f"kpis: --step: {kind} is kept by hours only: write --step hour")
    return STEP_MINUTES[asked.step]


def kpis(catalog: KpiCatalog, each: Iterable[Counts]) -> dict[str, float | None]:
    counted = sum_of(catalog, each)
    return {**counted, **ratios(counted, catalog.ratios)}


def targets(redis: Redis, settings: Settings, catalog: KpiCatalog, dim: str, now_ms: int) -> dict[str, Any]:
    """How far the day that runs has come, by the clock of the chain's time zone."""
    wanted = catalog.targets.get(dim) or catalog.targets.get(f"{dim.partition(':')[0]}:*", {})
    if not wanted:
        return {}
    zone = settings.stores.timezone
    start_ms, end_ms = (midnight_ms(local_day(now_ms, zone) + later, zone) for later in (0, 1))  # 23 to 25 hours
    found = read_kpis(redis, settings.redis.prefix, dim, 60, start_ms, end_ms)
    counted = sum_of(catalog, found.values())
    return {
        name: {"sold": counted[name], "target": target, "share": counted[name] / target}
        for name, target in wanted.items()
    }


def _print(told: dict[str, Any], names: list[str], zone: str, out: Console) -> None:
    table = Table("from", *names, title=f"{told['dim']}, until {told['clock']}")
    for slot in told["slots"]:
        at = datetime.fromisoformat(slot["at"].replace("Z", "+00:00")).astimezone(ZoneInfo(zone))
        table.add_row(f"{at:%m-%d %H:%M}", *(_shown(slot[name]) for name in names))
    table.add_section()
    table.add_row("all", *(_shown(told["sum"][name]) for name in names))
    out.print(table)
    for name, target in told["targets"].items():
        sold = f"{target['sold']:,} of {target['target']:,} {name} today, {target['share']:.0%}"
        out.print(sold, highlight=False)


def _shown(value: float | None) -> str:
    return "?" if value is None else f"{value:,.3f}" if isinstance(value, float) else f"{value:,}"
