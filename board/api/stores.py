"""How the stores stand: the latest hour of each against what is usual there."""

from __future__ import annotations

from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from alerts.kpis.recent import COLUMNS, STATES, Standings
from alerts.kpis.series import NAMES
from board.access.person import EVERYONE, Person
from board.endpoint import get
from board.problems import Problem
from board.sources import Sources
from features.times import MINUTE_MS

MOST, LIMIT = 500, 50
MOST_ON_MAP = 400  # stores that one look can take in: of more, those that stand out
Sort = Literal["id", "orders", "revenue", "against", "conversion"]
ORDERS, REVENUE, VISITS, REDEMPTIONS = range(len(COLUMNS))


class Asked(Struct, forbid_unknown_fields=True):
    """`q`: a part of the id; `against`: what stands out most comes first; `after`: `next` of the answer before."""

    q: str = ""
    region: str = ""
    sort: Sort = "against"
    limit: int = LIMIT
    after: str = ""


class Store(Struct):
    """In the window. `far`: -2 very low, -1 low, 0 usual, 1 high, 2 very high; `spark`: orders in twelfths of it."""

    id: str
    region: str
    state: Literal["open", "closed", "silent", "learning"]
    orders: int
    revenue_cents: int
    visits: int
    conversion: float | None
    expected_orders: float | None
    expected_revenue_cents: int | None
    far_orders: int
    far_revenue: int
    firing: list[str]
    spark: list[int]


class Stores(Struct):
    """`from_ms` until `to_ms`: the latest hour whose minutes are all closed; `of`: stores that fit what was asked."""

    from_ms: int
    to_ms: int
    of: int
    regions: list[str]
    items: list[Store]
    next: str


@get("/stores", EVERYONE)
def stores(sources: Sources, person: Person, asked: Asked) -> Stores:
    """Stores with their latest hour, those that stand out first unless another order is asked for."""
    if not 1 <= asked.limit <= MOST:
        raise Problem(400, f"limit: found {asked.limit}, expected 1 to {MOST}")
    until, found = sources.stores_now.read()
    ids = np.array([dim.partition(":")[2] for dim in found.dims], dtype=str)
    regions = np.array([sources.regions.get(store, "") for store in ids.tolist()], dtype=str)
    chosen = _chosen(person, asked, ids, regions)
    order = chosen[_order(found, ids, asked.sort, chosen)]
    start = _start(asked.after)
    shown = order[start : start + asked.limit]
    more = start + asked.limit
    return Stores(
        (until - sources.stores_now.recent.header.window) * MINUTE_MS,
        until * MINUTE_MS,
        len(order),
        sorted({region for region in regions[chosen].tolist() if region}),
        [_store(found, place, str(ids[place]), str(regions[place])) for place in shown.tolist()],
        f"{more}" if more < len(order) else "",
    )


def _start(after: str) -> int:
    if after and not after.isdigit():
        raise Problem(400, f"after: found {after!r}, expected `next` of the answer before")
    return int(after or 0)


def _chosen(person: Person, asked: Asked, ids: NDArray[np.str_], regions: NDArray[np.str_]) -> NDArray[np.int64]:
    mine = np.isin(ids, sorted(person.stores)) if person.is_limited else np.ones(len(ids), bool)
    if asked.q:
        mine &= np.char.find(np.char.lower(ids), asked.q.lower()) >= 0
    if asked.region:
        mine &= regions == asked.region
    return np.flatnonzero(mine)


def _order(found: Standings, ids: NDArray[np.str_], sort: Sort, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    names = ids[chosen]
    if sort == "id":
        return np.argsort(names, kind="stable")
    counts = found.counts[:, chosen]
    if sort == "orders":
        return np.lexsort((names, -counts[ORDERS]))
    if sort == "revenue":
        return np.lexsort((names, -counts[REVENUE]))
    if sort == "conversion":
        return np.lexsort((names, counts[ORDERS] / np.maximum(counts[VISITS], 1)))
    alarmed, silent = found.firing[:, chosen].any(axis=0), found.state[chosen] == STATES.index("silent")
    far = np.abs(found.far[ORDERS, chosen])
    return np.lexsort((names, -counts[ORDERS], -far, ~silent, ~alarmed))


def _store(found: Standings, place: int, id: str, region: str) -> Store:
    orders, revenue, visits, _ = found.counts[:, place].tolist()
    expected, cents = found.expected[:, place].tolist()
    return Store(
        id,
        region,
        STATES[found.state[place]],  # type: ignore[arg-type]
        orders,
        revenue,
        visits,
        round(orders / visits, 4) if visits > 0 else None,
        round(expected, 1) if expected == expected else None,
        round(cents) if cents == cents else None,
        int(found.far[ORDERS, place]),
        int(found.far[REVENUE, place]),
        [NAMES[series] for series in np.flatnonzero(found.firing[:, place]).tolist()],
        found.parts[:, place].tolist(),
    )


class MapAsked(Struct, forbid_unknown_fields=True):
    of: Literal["orders", "revenue"] = "orders"


class Cell(Struct):
    """`share`: of what is expected; null where that is not known, or nothing."""

    id: str
    state: Literal["open", "closed", "silent", "learning"]
    far: int
    value: int
    share: float | None
    alarmed: bool


class Region(Struct):
    """`stores`: all of its stores; `cells`: those shown."""

    id: str
    stores: int
    value: int
    share: float | None
    cells: list[Cell]


class Heat(Struct):
    """`hidden`: stores that do not stand out, where they are too many to be shown; money in cents."""

    from_ms: int
    to_ms: int
    hidden: int
    regions: list[Region]


@get("/stores-heat", EVERYONE)
def heat(sources: Sources, person: Person, asked: MapAsked) -> Heat:
    """All stores by region, each against what is usual there in the latest hour."""
    until, found = sources.stores_now.read()
    ids = [dim.partition(":")[2] for dim in found.dims]
    mine = np.array([place for place, store in enumerate(ids) if person.may_see(store)], np.int64)
    which = ORDERS if asked.of == "orders" else REVENUE
    stands = np.abs(found.far[which]) + 3 * found.firing.any(axis=0) + 3 * (found.state == STATES.index("silent"))
    shown = {*mine[np.argsort(-stands[mine], kind="stable")][:MOST_ON_MAP].tolist()}
    by_region: dict[str, list[int]] = {}
    for place in mine.tolist():
        by_region.setdefault(sources.regions.get(ids[place], ""), []).append(place)
    regions = [_region(found, ids, name, by_region[name], shown, which) for name in sorted(by_region)]
    window = sources.stores_now.recent.header.window
    return Heat((until - window) * MINUTE_MS, until * MINUTE_MS, len(mine) - len(shown), regions)


def _region(found: Standings, ids: list[str], name: str, places: list[int], shown: set[int], which: int) -> Region:
    value, expected = int(found.counts[which, places].sum()), float(np.nansum(found.expected[which, places]))
    cells = [_cell(found, ids, place, which) for place in places if place in shown]
    cells.sort(key=lambda cell: cell.id)
    return Region(name, len(places), value, round(value / expected, 3) if expected >= 1 else None, cells)


def _cell(found: Standings, ids: list[str], place: int, which: int) -> Cell:
    value, expected = int(found.counts[which, place]), float(found.expected[which, place])
    share = round(value / expected, 3) if expected > 0 and found.state[place] == 0 else None
    state, alarmed = STATES[found.state[place]], bool(found.firing[:, place].any())
    return Cell(ids[place], state, int(found.far[which, place]), value, share, alarmed)  # type: ignore[arg-type]


ENDPOINTS = (stores, heat)
