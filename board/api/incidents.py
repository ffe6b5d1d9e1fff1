"""KPI incidents: those that are open, as the judge has them, and those that ended lately."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from typing import Any

from msgspec import Struct

from alerts.kpis import incident
from alerts.kpis.book import decode_header
from alerts.kpis.incident import kind
from alerts.kpis.series import NAMES
from alerts.notices.standing import Standing
from board.access.person import EVERYONE, Person
from board.endpoint import Nothing, get
from board.live import Feed, every
from board.sources import Sources
from features.times import MINUTE_MS
from operators.kpis import read_judge
from operators.standings import Standings

LOOK_S = 0.5
MOST = 100


class Incident(Struct):
    """`key`: of its alert; `money_cents`: at stake in an hour; `end_ms`: 0 while it is open."""

    key: str
    dim: str
    series: str
    direction: str
    severity: str
    money_cents: int
    kpis: list[str]
    stores: int
    start_ms: int
    end_ms: int
    acknowledged_by: str


class Incidents(Struct):
    """The latest first."""

    items: list[Incident]


@get("/incidents", EVERYONE)
def incidents(sources: Sources, person: Person, asked: Nothing) -> Incidents:
    """KPI incidents that are open or ended lately, of stores that are theirs to see."""
    return cut(read(sources), person)


def read(sources: Sources) -> Incidents:
    raw = read_judge(sources.redis, sources.prefix, ["judge"]).get("judge")
    known = Standings(sources.redis, sources.prefix).load().book
    found = [_open(one, known.get(one.id)) for one in (decode_header(raw).incidents if raw else [])]
    mine = {one.key for one in found}
    found += [
        _ended(one) for key, one in known.items() if one.alert.kind == "kpi" and key not in mine and not one.firing
    ]
    return Incidents(sorted(found, key=lambda one: (one.end_ms > 0, -one.start_ms)))


def _open(one: incident.Incident, told: Standing | None) -> Incident:
    stores = len({dim for dim, _ in one.members if kind(dim) == "store"})
    kpis = [NAMES[series] for series in one.kpis]
    by = told.acknowledged_by if told else ""
    fields = (one.id, one.dim, NAMES[one.series], one.direction, one.severity, one.money_cents, kpis, stores)
    return Incident(*fields, one.start * MINUTE_MS, 0, by)


def _ended(one: Standing) -> Incident:
    alert = one.alert
    dim, series, direction = (alert.labels.get(name, "") for name in ("dim", "series", "direction"))
    money = round(alert.figures.get("money_cents", 0))
    fields = (alert.key, dim, series, direction, alert.severity, money, [series], 0)
    return Incident(*fields, alert.started_ms, one.ended_ms, one.acknowledged_by)


def cut(told: Incidents, person: Person) -> Incidents:
    theirs = [one for one in told.items if kind(one.dim) == "store" and person.may_see(one.dim[6:])]
    return latest(Incidents(theirs) if person.is_limited else told)


def latest(told: Incidents) -> Incidents:
    return Incidents(told.items[:MOST])


def _watch(sources: Sources, stop: Event) -> Iterator[Any]:
    return every(LOOK_S, lambda: read(sources), stop)


ENDPOINTS = (incidents,)
FEEDS = (Feed("incidents", EVERYONE, _watch, cut, latest),)
