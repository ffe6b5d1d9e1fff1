"""What goes wrong on purpose, placed late enough that a baseline can be learned before."""

from __future__ import annotations

from collections import Counter

from features.times import HOUR_MS, MINUTE_MS
from sim.offices import ANALYSTS, HEAD_OFFICE, export
from sim.stores import wall_ms
from sim.truth import Incident
from sim.world import World

TILL_OUTAGE, COUPON_SURGE, BULK_EXPORT, SLOW_EXPORT = "till_outage", "coupon_surge", "bulk_export", "slow_export"
BULK_ROWS = 20_000
_SLOW_EXPORTS = 20


def plan_incidents(world: World, start_ms: int, days: float) -> None:
    """Plans one incident of each kind in the last two fifths of the run; what begins after the end never happens."""
    stores = world.stores
    region = Counter(store.region for store in stores).most_common(1)[0][0]
    elsewhere = [store for store in stores if store.region != region] or stores
    store = max(elsewhere, key=lambda each: each.walk_ins_a_day)
    tz = next(each.timezone for each in stores if each.region == region)
    first, second = int(days * 0.6), int(days * 0.8)  # days from the start

    noon_ms = _clock(start_ms, store.timezone, first, 12)
    outage = Incident(TILL_OUTAGE, noon_ms, noon_ms + 2 * HOUR_MS, store=store.id)
    store.down_from_ms, store.down_to_ms = outage.from_ms, outage.to_ms
    _plan(world, outage)
    afternoon_ms = _clock(start_ms, tz, second, 14)
    world.surge = Incident(COUPON_SURGE, afternoon_ms, afternoon_ms + 4 * HOUR_MS, region=region)
    _plan(world, world.surge)
    night_ms = _clock(start_ms, HEAD_OFFICE, second, 2, 40)
    _plan(world, Incident(BULK_EXPORT, night_ms, night_ms + MINUTE_MS, actor=ANALYSTS[2]))
    slow_ms = _clock(start_ms, HEAD_OFFICE, first, 15, 5)
    _plan(world, Incident(SLOW_EXPORT, slow_ms, slow_ms + HOUR_MS, actor=ANALYSTS[4]))


def _clock(start_ms: int, tz: str, days: int, hour: int, minute: int = 0) -> int:
    """The first such wall-clock time that is not before `days` whole days after the start."""
    after_ms = start_ms + days * 24 * HOUR_MS
    today_ms = wall_ms(after_ms, tz, 0, hour * 60 + minute)
    return today_ms if today_ms >= after_ms else wall_ms(after_ms, tz, 1, hour * 60 + minute)


def _plan(world: World, incident: Incident) -> None:
    world.plan(incident.from_ms, begin, world, incident)


def begin(at_ms: int, world: World, incident: Incident) -> None:
    """From now on the incident is part of the truth; till and coupon know their hours beforehand."""
    world.truth.incidents.append(incident)
    if incident.kind == BULK_EXPORT:
        _take(world, at_ms, incident, BULK_ROWS)
    elif incident.kind == SLOW_EXPORT:
        _take_slowly(at_ms, world, incident, _SLOW_EXPORTS)


def _take(world: World, at_ms: int, incident: Incident, rows: int) -> None:
    export(at_ms, world, incident.actor, "analyst", HEAD_OFFICE, rows, "reporting")


def _take_slowly(at_ms: int, world: World, incident: Incident, left: int) -> None:
    """One small export every two and a half to three minutes; together more than 12,000 rows in an hour."""
    _take(world, at_ms, incident, 610 + int(world.rng.random() * 80))
    if left > 1:
        world.plan(at_ms + int((2.5 + world.rng.random() / 2) * MINUTE_MS), _take_slowly, world, incident, left - 1)
