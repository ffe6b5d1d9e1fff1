"""Incidents: what fires together is told once, of the narrowest dimension that explains it.

A series that fires looks down from its dimension: while one child explains most of the deviation, that child is meant.
Then it joins an open incident that covers this place, widens one that lies within it, or opens one. So a chain-wide
fault is one incident that names the stores, a store's fault one that names the KPIs.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Literal

from msgspec import Struct

from alerts.kpis.catalog import CHAIN, values_of
from alerts.kpis.series import CATEGORY, CONVERSION, FAMILIES, LINES, OF_REGION, SOLD, series_of

EXPLAINS = 0.7  # of a dimension's deviation: a child that has so much of it is what is meant
STILL_EXPLAINS = 0.5  # while that child has an incident already
ALIKE = (
    0.5  # of a child's deviation, in parts of what is expected: where all else has so much of it, the whole is meant
)
BEYOND_CHANCE = 3.0  # standard deviations of a count
BESIDE = {"channel": ("chain", "region"), "campaign": ("chain", "region", "channel", "store")}  # what is part of them
TOLD_EVERY = 5  # minutes, at least, between two words on an incident that goes on

State = Literal["firing", "resolved"]
Direction = Literal["low", "high"]


def kind(dim: str) -> str:
    return dim.partition(":")[0]


def region_of_line(dim: str) -> str:
    """Of a line of products in a region; empty of all else."""
    return f"region:{values_of(dim)[0]}" if kind(dim) == OF_REGION else ""


def category_of_line(dim: str) -> str:
    """The same, of its category in the whole chain."""
    return f"{CATEGORY}:{values_of(dim)[1]}" if kind(dim) == OF_REGION else ""


def fingerprint(dim: str, series: str, direction: str) -> str:
    """The same for every incident of this kind; 16 hex digits."""
    return blake2b(f"{dim}|{series}|{direction}".encode(), digest_size=8).hexdigest()


class Incident(Struct, array_like=True):
    """An open one. `members`: the series that fire in it; minutes since the epoch."""

    mark: str
    dim: str
    series: int
    side: int
    start: int
    members: list[tuple[str, int]]
    kpis: list[int] = []
    severity: str = ""
    money_cents: int = 0  # an hour, the most so far
    revision: int = 0
    told: int = 0
    news: bool = True
    high: list[tuple[str, int]] = []  # where which series were more than usual

    @property
    def id(self) -> str:
        return f"{self.mark}-{self.start}"

    @property
    def direction(self) -> Direction:
        return "low" if self.side < 0 else "high"


class Place(Struct, frozen=True):
    """Where a firing series is meant to be: its dimension after looking down; `region` of what lies in one."""

    dim: str
    series: int
    side: int
    region: str = ""


def covers(incident: Incident, place: Place) -> bool:
    """Whether a fault there is part of the incident: all of its own dimension, and what is alike within it."""
    if incident.dim == place.dim:
        return True
    scope = kind(incident.dim)
    inside = scope == "chain" or incident.dim in (place.region, category_of_line(place.dim))
    beside = kind(place.dim) in BESIDE.get(scope, ()) or _is_hit(incident, place)
    return (inside or beside) and alike(incident, place)


def _is_hit(incident: Incident, place: Place) -> bool:
    """Whether a place, or what it lies in, is part of a line of products' incident: less is sold there for that."""
    if kind(incident.dim) not in LINES or kind(place.dim) in LINES or place.series not in SOLD:
        return False
    return not {dim for dim, _ in incident.members}.isdisjoint((CHAIN, place.region, place.dim))


def alike(incident: Incident, place: Place) -> bool:
    """Whether a series may be unusual for the same reason; fewer orders may be a lower share of visits, or a higher."""
    if not any(place.series in family and family & {*incident.kpis} for family in FAMILIES):
        return False
    return place.side == incident.side or place.series == CONVERSION


def lies_within(incident: Incident, place: Place, region_of: dict[str, str]) -> bool:
    """Whether the incident is a part of a wider fault there."""
    scope = kind(place.dim)
    wider = scope in ("chain", "campaign") or place.dim in (
        region_of.get(incident.dim),
        category_of_line(incident.dim),
    )
    same = any(series_of(scope, series) == place.series for series in incident.kpis)
    return wider and kind(incident.dim) != scope and same and place.side == incident.side


def join(open_: list[Incident], place: Place, member: tuple[str, int], began: int, name: str,
         region_of: dict[str, str]) -> list[Incident]:  # fmt: skip
    """Takes a firing series, unusual since the minute `began`, into the incident that covers it.

    Returns those that became part of a wider one.
    """
    found = next((one for one in open_ if covers(one, place)), None)
    inner = [] if found else [one for one in open_ if lies_within(one, place, region_of)]
    ended = widen(open_, inner, place.dim) if inner else []
    found = inner[0] if inner else found
    if found is None:
        direction: Direction = "low" if place.side < 0 else "high"
        found = Incident(fingerprint(place.dim, name, direction), place.dim, place.series, place.side, began, [])
        open_.append(found)
    found.members.append(member)
    if place.series not in found.kpis:
        found.kpis = [*found.kpis, place.series]
        found.news = True
    if place.side > 0 and not _known_high(found, place):
        found.high = [*found.high, (place.dim, place.series)]
        found.news = True
    return ended


def widen(open_: list[Incident], inner: list[Incident], dim: str) -> list[Incident]:
    """Makes the first of them that of a wider dimension; the others, which become part of it."""
    found, *ended = inner
    found.dim, found.series, found.news = dim, series_of(kind(dim), found.series), True
    for other in ended:
        found.members += other.members
        found.high += [each for each in other.high if other.news and each not in found.high]
        open_.remove(other)
    return ended


def _known_high(incident: Incident, place: Place) -> bool:
    """There, or all around it; a campaign is what is paused wherever its coupons are redeemed."""
    if kind(incident.dim) == "campaign":
        return any(dim == incident.dim for dim, _ in incident.high)
    around = {place.dim, place.region, CHAIN}
    return any(series == place.series and dim in around for dim, series in incident.high)


class Contribution(Struct, frozen=True):
    """A part of a deviation, in the series' own numbers."""

    dim: str
    observed: float
    expected: float

    @property
    def strayed(self) -> float:
        return self.observed - self.expected


class Sight(Struct):
    """How an incident's main series looks at a minute."""

    observed: float
    expected: float
    low: float
    high: float
    p: float
    window_minutes: int
    money_cents: int
