"""Campaigns as KPIs see them: what was issued and redeemed, and what orders that name them brought."""

from __future__ import annotations

import time
from functools import partial
from threading import Lock

from msgspec import Struct, msgpack

from alerts.kpis.catalog import dim_of
from alerts.kpis.kpi import Counts
from alerts.kpis.panel import ROOTS
from alerts.triggers.campaign import read_campaign
from board.access.person import HEAD_OFFICE, Person
from board.endpoint import get
from board.problems import Problem
from board.sources import Sources
from brewline.kpis import kpis
from features.times import DAY_MS, HOUR_MS
from flows.files import texts
from operators.kpis import counted, kpi_clock_ms, read_judge, read_kpis

KEPT_S = 60.0  # how long the list of campaigns that were counted is believed
MOST, LIMIT = 500, 50
MOST_DAYS = 60
SHOWN = ("orders", "revenue_cents", "coupons_issued", "redemptions", "redemption_rate", "discount_cents", "new_members")


class Asked(Struct, forbid_unknown_fields=True):
    """`days`: until now, and as many before them to compare with."""

    days: int = 1
    limit: int = LIMIT
    after: str = ""


class Campaign(Struct):
    """`kpis` of the days asked for, `before` of as many days before; `declared`: it has a file here."""

    id: str
    declared: bool
    kpis: dict[str, float | None]
    before: dict[str, float | None]


class Campaigns(Struct):
    from_ms: int
    to_ms: int
    items: list[Campaign]
    next: str


class Counted:
    """The campaigns of which anything was counted: looked for once a minute."""

    def __init__(self) -> None:
        self.lock, self.at_s, self.found = Lock(), 0.0, dict[str, list[str]]()

    def read(self, sources: Sources) -> list[str]:
        with self.lock:
            if sources.prefix not in self.found or time.monotonic() > self.at_s + KEPT_S:
                dims = counted(sources.redis, sources.prefix, "campaign")
                self.found = {sources.prefix: [dim.partition(":")[2] for dim in dims]}
                self.at_s = time.monotonic()
            return self.found[sources.prefix]


_counted = Counted()


@get("/campaigns", HEAD_OFFICE)
def campaigns(sources: Sources, person: Person, asked: Asked) -> Campaigns:
    """Campaigns that have a file or were counted, by their ids."""
    if not 1 <= asked.days <= MOST_DAYS or not 1 <= asked.limit <= MOST:
        raise Problem(400, f"expected days from 1 to {MOST_DAYS}, and a limit from 1 to {MOST}")
    declared = _declared(sources)
    ids = sorted(each for each in {*declared, *_counted.read(sources)} if each > asked.after)
    to_ms = kpi_clock_ms(sources.redis, sources.prefix, "chain:*")
    from_ms = to_ms - asked.days * DAY_MS
    told = partial(_told, sources, from_ms=from_ms, to_ms=to_ms)
    items = [Campaign(id, id in declared, *told(f"campaign:{id}")) for id in ids[: asked.limit]]
    return Campaigns(from_ms, to_ms, items, ids[asked.limit - 1] if len(ids) > asked.limit else "")


def _declared(sources: Sources) -> set[str]:
    folder = sources.settings.coupons.campaigns
    files = texts(sources.settings.path(folder), "*.toml") if folder else []
    return {read_campaign(text, file).id for file, text in files}


Told = tuple[dict[str, float | None], dict[str, float | None]]


def _told(sources: Sources, dim: str, from_ms: int, to_ms: int) -> Told:
    """Of the time asked for, and of as long before it; by whole hours, the running one included."""
    end_ms, long_ms = -(-to_ms // HOUR_MS) * HOUR_MS, to_ms - from_ms
    found = read_kpis(sources.redis, sources.prefix, dim, 60, end_ms - 2 * long_ms, end_ms)
    now = [counts for at_ms, counts in found.items() if at_ms >= end_ms - long_ms]
    before = [counts for at_ms, counts in found.items() if at_ms < end_ms - long_ms]
    return _shown(sources, now), _shown(sources, before)


def _shown(sources: Sources, each: list[Counts]) -> dict[str, float | None]:
    found = kpis(sources.kpis, each)
    return {name: found[name] for name in SHOWN}


class PlacesAsked(Struct, forbid_unknown_fields=True):
    id: str
    days: int = 1


class Place(Struct):
    """`dim`: what it is counted under, to be looked at more closely."""

    name: str
    dim: str
    kpis: dict[str, float | None]
    before: dict[str, float | None]


class Places(Struct):
    from_ms: int
    to_ms: int
    regions: list[Place]
    channels: list[Place]


@get("/campaigns/{id}/places", HEAD_OFFICE)
def places(sources: Sources, person: Person, asked: PlacesAsked) -> Places:
    """A campaign in each region and channel in which it was counted."""
    if not 1 <= asked.days <= MOST_DAYS:
        raise Problem(400, f"days: found {asked.days}, expected 1 to {MOST_DAYS}")
    to_ms = kpi_clock_ms(sources.redis, sources.prefix, "chain:*")
    from_ms = to_ms - asked.days * DAY_MS
    told = partial(_told, sources, from_ms=from_ms, to_ms=to_ms)
    found: dict[str, list[Place]] = {"region": [], "channel": []}
    for kind, name in _known(sources):
        dim = dim_of((kind, "campaign"), (name, asked.id))
        row = Place(name, dim, *told(dim))
        if any(row.kpis.values()) or any(row.before.values()):
            found[kind].append(row)
    return Places(from_ms, to_ms, found["region"], found["channel"])


def _known(sources: Sources) -> list[tuple[str, str]]:
    """The regions and channels that campaigns are counted by."""
    kept = {dimension.kind for dimension in sources.kpis.dimensions}
    raw = read_judge(sources.redis, sources.prefix, [f"names|{ROOTS}"]).get(f"names|{ROOTS}")
    dims = msgpack.decode(raw, type=list[str]) if raw else []
    parts = [dim.partition(":") for dim in sorted(dims)]
    return [(kind, name) for kind, _, name in parts if kind in ("region", "channel") and f"{kind}+campaign" in kept]


ENDPOINTS = (campaigns, places)
