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
from board.usual import Look
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
    look = sources.stores_now.read()
    chosen = _chosen(person, asked, look)
    order = chosen[_order(look, asked.sort, chosen)]
    start = _start(asked.after)
    shown, more = order[start : start + asked.limit], start + asked.limit
    regions = sorted(set(look.regions[chosen].tolist()) - {""})
    items = [_store(look, place) for place in shown.tolist()]
    from_ms = (look.until - look.window) * MINUTE_MS
    last = f"{more}" if more < len(order) else ""
    return Stores(from_ms, look.until * MINUTE_MS, len(order), regions, items, last)


def _start(after: str) -> int:
    if after and not after.isdigit():
        raise Problem(400, f"after: found {after!r}, expected `next` of the answer before")
    return int(after or 0)


def _mine(person: Person, look: Look) -> NDArray[np.bool_]:
    if not person.is_limited:
        return np.ones(len(look.ids), bool)
    return np.array([person.may_see(store) for store in look.ids.tolist()], bool)


def _chosen(person: Person, asked: Asked, look: Look) -> NDArray[np.int64]:
    mine = _mine(person, look)
    if asked.q:
        mine &= np.char.find(np.char.lower(look.ids), asked.q.lower()) >= 0
    if asked.region:
        mine &= look.regions == asked.region
    return np.flatnonzero(mine)


def _order(look: Look, sort: Sort, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    found, names = look.found, look.ids[chosen]
    if sort == "id":
        return np.argsort(names, kind="stable")
    counts = found.counts[:, chosen]
    if sort == "orders":
        return np.lexsort((names, -counts[ORDERS]))
    if sort == "revenue":
        return np.lexsort((names, -counts[REVENUE]))
    if sort == "conversion":
        return np.lexsort((names, -counts[ORDERS] / np.maximum(counts[VISITS], 1)))
    return np.lexsort((names, -counts[ORDERS], -_stands_out(found, ORDERS)[chosen]))


def _stands_out(found: Standings, which: int) -> NDArray[np.int64]:
    """An alert most, then silence, then how far off it is."""
    silent = found.state == STATES.index("silent")
    return np.asarray(np.abs(found.far[which]) + 4 * silent + 8 * found.firing.any(axis=0), np.int64)


def _store(look: Look, place: int) -> Store:
    found = look.found
    orders, revenue, visits, _ = found.counts[:, place].tolist()
    expected, cents = found.expected[:, place].tolist()
    return Store(
        str(look.ids[place]),
        str(look.regions[place]),
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
    look = sources.stores_now.read()
    which = ORDERS if asked.of == "orders" else REVENUE
    mine = np.flatnonzero(_mine(person, look))
    shown = mine[np.argsort(-_stands_out(look.found, which)[mine], kind="stable")][:MOST_ON_MAP]
    names, places = np.unique(look.regions[mine], return_inverse=True)
    known = np.where(np.isfinite(look.found.expected[which, mine]), look.found.expected[which, mine], 0.0)
    values = np.bincount(places, look.found.counts[which, mine], len(names))
    expected, stores = np.bincount(places, known, len(names)), np.bincount(places, minlength=len(names))
    regions = [
        Region(str(name), int(stores[n]), int(values[n]), _share(float(values[n]), float(expected[n]), 1.0), [])
        for n, name in enumerate(names)
    ]
    by_name = {region.id: region for region in regions}
    for place in sorted(shown.tolist(), key=lambda place: look.ids[place]):
        by_name[str(look.regions[place])].cells.append(_cell(look, place, which))
    from_ms = (look.until - look.window) * MINUTE_MS
    return Heat(from_ms, look.until * MINUTE_MS, len(mine) - len(shown), regions)


def _cell(look: Look, place: int, which: int) -> Cell:
    found = look.found
    value, expected = int(found.counts[which, place]), float(found.expected[which, place])
    state, alarmed = STATES[found.state[place]], bool(found.firing[:, place].any())
    share = _share(value, expected, 0.0) if state == "open" else None
    return Cell(str(look.ids[place]), state, int(found.far[which, place]), value, share, alarmed)  # type: ignore[arg-type]


def _share(value: float, expected: float, least: float) -> float | None:
    return round(value / expected, 3) if expected > least else None


ENDPOINTS = (stores, heat)
