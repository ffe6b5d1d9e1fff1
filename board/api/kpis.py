"""KPIs of the chain, its stores, campaigns and so on."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from typing import Any

from msgspec import Struct

from alerts.kpis.silence import filled
from board.access.person import EVERYONE, Person
from board.endpoint import get
from board.live import Feed, every
from board.problems import Problem
from board.sources import Sources
from brewline.kpis import Asked as Wanted
from brewline.kpis import check, kpis, targets
from features.times import MINUTE_MS
from operators.kpis import kpi_clock_ms, read_kpis

SLOTS = 60  # told, if no time is asked for
MOST_SLOTS = 3_000


class Asked(Struct, forbid_unknown_fields=True):
    dim: str
    step: str = "minute"
    from_ms: int | None = None
    to_ms: int | None = None


class Slot(Struct):
    at_ms: int
    kpis: dict[str, float | None]


class Series(Struct):
    """`clock_ms`: how far the KPI flow has come; a slot after it still fills."""

    dim: str
    minutes: int
    clock_ms: int
    slots: list[Slot]
    sum: dict[str, float | None]
    targets: dict[str, Any]


@get("/kpis/{dim}", EVERYONE)
def series(sources: Sources, person: Person, asked: Asked) -> Series:
    """What was counted of a dimension, slot by slot; the running minute is as it stands now."""
    _require_theirs(person, asked.dim)
    catalog = sources.kpis
    minutes = check(Wanted(asked.dim, [], asked.step, None, None), catalog)
    clock_ms = kpi_clock_ms(sources.redis, sources.prefix, asked.dim)
    to_ms = clock_ms + minutes * MINUTE_MS if asked.to_ms is None else asked.to_ms
    from_ms = to_ms - SLOTS * minutes * MINUTE_MS if asked.from_ms is None else asked.from_ms
    if (to_ms - from_ms) > MOST_SLOTS * minutes * MINUTE_MS:
        raise Problem(400, f"more than {MOST_SLOTS:,} slots: ask for a longer step or a shorter time")
    found = read_kpis(sources.redis, sources.prefix, asked.dim, minutes, from_ms, to_ms)
    nothing = dict.fromkeys(kpis(catalog, []))
    slots = [
        Slot(at_ms, nothing if counts is None else kpis(catalog, [counts]))
        for at_ms, counts in filled(asked.dim, found, minutes).items()
    ]
    aims = targets(sources.redis, sources.settings, catalog, asked.dim, clock_ms)
    return Series(asked.dim, minutes, clock_ms, slots, kpis(catalog, found.values()), aims)


def _require_theirs(person: Person, dim: str) -> None:
    kind, _, name = dim.partition(":")
    if person.is_limited and not (kind == "store" and person.may_see(name)):
        raise Problem(403, "you see your own stores only: ask for store:" + ", store:".join(sorted(person.stores)))


def _running(sources: Sources, stop: Event) -> Iterator[Any]:
    """The chain's latest minutes, each time one changes."""

    def read() -> dict[str, Any]:
        clock_ms = kpi_clock_ms(sources.redis, sources.prefix, "chain:*")
        this_ms = clock_ms // MINUTE_MS * MINUTE_MS
        found = read_kpis(sources.redis, sources.prefix, "chain:*", 1, this_ms - 2 * MINUTE_MS, this_ms + MINUTE_MS)
        slots = [{"at_ms": at_ms, "kpis": kpis(sources.kpis, [counts])} for at_ms, counts in found.items()]
        return {"dim": "chain:*", "clock_ms": clock_ms, "slots": slots}

    return every(0.5, read, stop)


ENDPOINTS = (series,)
FEEDS = (Feed("kpis", EVERYONE, _running),)
