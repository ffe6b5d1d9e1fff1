"""KPIs of the chain, its stores, campaigns and so on: what was counted, and what is usual."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from threading import Event
from typing import Any

import numpy as np
from msgspec import Struct

from alerts.kpis.catalog import KpiCatalog
from alerts.kpis.kpi import Counts, Ratio
from alerts.kpis.reading import STEP_MINUTES
from alerts.kpis.series import NAMES
from alerts.kpis.silence import filled
from alerts.kpis.usual import Band as Edges
from alerts.kpis.usual import Usual, layer_of, past_band
from board.access.person import EVERYONE, Person
from board.endpoint import get
from board.live import Feed, every
from board.problems import Problem
from board.sources import Sources
from board.usual import listed, read_usual
from brewline.kpis import Asked as Wanted
from brewline.kpis import check, kpis, targets
from features.times import DAY_MS, HOUR_MS, MINUTE_MS
from operators.kpis import kpi_clock_ms, read_hours, read_kpis

SLOTS = 60  # told, if nothing else is asked for
MOST_SLOTS = 3_000
PAST_DAYS = 7  # that a share which is not judged is held against
DIGITS = 5
LIVE_S = 0.4
LIVE_SLOTS = 150  # of the chain, told at most at a time
LIVE_KPIS = ("orders", "revenue_cents", "conversion", "redemption_share", "attach_rate", "visits", "aov_cents")


class Asked(Struct, forbid_unknown_fields=True):
    """`slots`: how many, if no time is asked for; `kpis`: names with commas between, all if it is empty.

    `usual`: whether to tell what is usual as well.
    """

    dim: str
    step: str = "minute"
    from_ms: int | None = None
    to_ms: int | None = None
    slots: int = SLOTS
    kpis: str = ""
    usual: bool = False


class Band(Struct):
    """What is usual of each slot, and three standard deviations to each side; null where it is not known."""

    low: list[float | None]
    mid: list[float | None]
    high: list[float | None]


class Slots(Struct):
    """By column: when each slot begins, and each KPI in it, null where it is not known."""

    at_ms: list[int]
    kpis: dict[str, list[float | None]]
    usual: dict[str, Band]


class Series(Slots):
    """`clock_ms`: how far the KPI flow has come; a slot that ends after it still fills."""

    dim: str
    minutes: int
    clock_ms: int
    sum: dict[str, float | None]
    targets: dict[str, Any]


@get("/kpis/{dim}", EVERYONE)
def series(sources: Sources, person: Person, asked: Asked) -> Series:
    """What was counted of a dimension, slot by slot; the running minute is as it stands now."""
    require_theirs(person, asked.dim)
    catalog = sources.kpis
    names = [name for name in asked.kpis.split(",") if name]
    minutes = check(Wanted(asked.dim, names, asked.step, None, None), catalog)
    clock_ms = kpi_clock_ms(sources.redis, sources.prefix, asked.dim)
    to_ms = clock_ms + minutes * MINUTE_MS if asked.to_ms is None else asked.to_ms
    from_ms = to_ms - asked.slots * minutes * MINUTE_MS if asked.from_ms is None else asked.from_ms
    if to_ms < from_ms:
        raise Problem(400, "to_ms lies before from_ms, or slots is below 0: ask for a time that goes forward")
    if (to_ms - from_ms) > MOST_SLOTS * minutes * MINUTE_MS:
        raise Problem(400, f"more than {MOST_SLOTS:,} slots: ask for a longer step or a shorter time")
    found = read_kpis(sources.redis, sources.prefix, asked.dim, minutes, from_ms, to_ms)
    told = slots_of(catalog, filled(asked.dim, found, minutes, min(to_ms, clock_ms)), names)
    if asked.usual and told.at_ms:
        hours = range(told.at_ms[0] // HOUR_MS, told.at_ms[-1] // HOUR_MS + 1)
        usual = read_usual(sources, layer_of(asked.dim), hours, _wet(catalog, found))
        told.usual = bands(sources, minutes, told, usual, Past(sources, asked.dim))
    total = {name: value for name, value in kpis(catalog, found.values()).items() if not names or name in names}
    aims = targets(sources.redis, sources.settings, catalog, asked.dim, clock_ms)
    return Series(told.at_ms, told.kpis, told.usual, asked.dim, minutes, clock_ms, total, aims)


def _wet(catalog: KpiCatalog, found: Mapping[int, Counts]) -> dict[int, float]:
    """By hour, which share of orders was told of rain: the judge knows that of now alone."""
    if not {"wet_orders", "orders"} <= {*catalog.names}:
        return {}
    wet, orders = (catalog.names.index(name) for name in ("wet_orders", "orders"))
    hours: dict[int, list[Counts]] = {}
    for at_ms, counts in found.items():
        hours.setdefault(at_ms // HOUR_MS, []).append(counts)
    sums = {
        hour: [sum(each.get(column, 0) for each in some) for column in (wet, orders)] for hour, some in hours.items()
    }
    return {hour: min(1.0, max(0, rained) / of) for hour, (rained, of) in sums.items() if of > 0}


def require_theirs(person: Person, dim: str) -> None:
    kind, _, name = dim.partition(":")
    if person.is_limited and not (kind == "store" and person.may_see(name)):
        raise Problem(403, "you see your own stores only: ask for store:" + ", store:".join(sorted(person.stores)))


def slots_of(catalog: KpiCatalog, found: Mapping[int, Counts | None], names: Sequence[str]) -> Slots:
    nothing = dict.fromkeys(kpis(catalog, []))
    rows = [nothing if counts is None else kpis(catalog, [counts]) for counts in found.values()]
    columns = {name: [_rounded(row[name]) for row in rows] for name in names or nothing}
    return Slots([*found], columns, {})


def _rounded(value: float | None) -> float | None:
    return round(value, DIGITS) if isinstance(value, float) else value


def bands(sources: Sources, minutes: int, told: Slots, usual: Usual | None, past: Past) -> dict[str, Band]:
    """What is usual of the KPIs told of, by the judge or else by the days before."""
    starts = [at_ms // MINUTE_MS for at_ms in told.at_ms]
    found = usual.bands(past.dim, starts, minutes) if usual else {}
    others = [r for r in sources.kpis.ratios if r.name in told.kpis and r.name not in NAMES and _is_share(r)]
    if others:
        found |= past.bands(told.at_ms, minutes, others)
    return {name: _band(edges) for name, edges in found.items() if name in told.kpis}


def _is_share(ratio: Ratio) -> bool:
    return ratio.scale == 1 and len(ratio.over) == 1 and not ratio.under.endswith("_cents")


def _band(edges: Edges) -> Band:
    return Band(listed(edges.low, DIGITS), listed(edges.mid, DIGITS), listed(edges.high, DIGITS))


class Past:
    """What was counted of a dimension in the same hours of the days before; each hour is looked up once."""

    def __init__(self, sources: Sources, dim: str) -> None:
        self.sources, self.dim = sources, dim
        self.hours: dict[int, tuple[dict[str, float | None], int]] = {}  # sums, and of how many days

    def bands(self, at_ms: Sequence[int], minutes: int, ratios: Sequence[Ratio]) -> dict[str, Edges]:
        slots = self._slots(at_ms)
        days = np.array([max(1, count) for _, count in slots], float)
        found = {}
        for ratio in ratios:
            names = (ratio.over[0][0], ratio.under)
            over, under = (np.array([sums[name] for sums, _ in slots], float) for name in names)
            found[ratio.name] = past_band(over, under, under / days * minutes / 60)
        return found

    def _slots(self, at_ms: Sequence[int]) -> list[tuple[dict[str, float | None], int]]:
        wanted = [each // HOUR_MS * HOUR_MS for each in at_ms]
        if missing := sorted({*wanted} - self.hours.keys()):
            self._look_up(missing)
        return [self.hours[each] for each in wanted]

    def _look_up(self, hours: list[int]) -> None:
        days = [day * DAY_MS for day in range(1, PAST_DAYS + 1)]
        starts = [at_ms - back_ms for at_ms in hours for back_ms in days]
        kept = read_hours(self.sources.redis, self.sources.prefix, self.dim, starts)
        for at_ms in hours:
            some = [kept[at_ms - back_ms] for back_ms in days if kept.get(at_ms - back_ms)]
            self.hours[at_ms] = kpis(self.sources.kpis, some), len(some)


def _running(sources: Sources, stop: Event) -> Iterator[Any]:
    """The chain's latest slots of each step, each time one changes; what is usual with them."""
    held: dict[str, Any] = {"hour": -1, "usual": None, "since": {}}
    return every(LIVE_S, partial(_latest, sources, held), stop)


def _latest(sources: Sources, held: dict[str, Any]) -> dict[str, Any]:
    clock_ms = kpi_clock_ms(sources.redis, sources.prefix, "chain:*")
    if held["hour"] != clock_ms // HOUR_MS:
        hour = held["hour"] = clock_ms // HOUR_MS
        held["past"] = Past(sources, "chain:*")
        held["usual"] = read_usual(sources, layer_of("chain:*"), (hour - 2, hour - 1, hour))
    steps = {step: _slots_since(sources, held, step, clock_ms) for step in STEP_MINUTES}
    return {"dim": "chain:*", "clock_ms": clock_ms, "steps": steps}


def _slots_since(sources: Sources, held: dict[str, Any], step: str, clock_ms: int) -> Slots:
    """From the slot before the one that ran when this was asked last."""
    minutes = STEP_MINUTES[step]
    long_ms = minutes * MINUTE_MS
    this_ms = clock_ms // long_ms * long_ms
    least_ms = this_ms - LIVE_SLOTS * MINUTE_MS
    from_ms = max(held["since"].get(step, this_ms) - long_ms, min(least_ms, this_ms - long_ms))
    held["since"][step] = this_ms
    found = read_kpis(sources.redis, sources.prefix, "chain:*", minutes, from_ms, this_ms + long_ms)
    told = slots_of(sources.kpis, filled("chain:*", {from_ms: {}} | found, minutes, this_ms + 1), LIVE_KPIS)
    if told.at_ms:
        told.usual = bands(sources, minutes, told, held["usual"], held["past"])
    return told


def _clock_alone(told: dict[str, Any], person: Person) -> dict[str, Any]:
    """What the chain sells is not a store manager's to see; that there are news is."""
    return {**told, "steps": {}}


ENDPOINTS = (series,)
FEEDS = (Feed("kpis", EVERYONE, _running, _clock_alone),)
