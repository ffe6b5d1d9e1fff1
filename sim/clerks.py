"""What honest staff does beside looking customers up: amends, coupons, refunds, keys, newcomers, housekeeping."""

from __future__ import annotations

from typing import Any

from features.events import AuditAccess, AuditExport
from features.times import DAY_MS, MINUTE_MS
from sim.menu import pick
from sim.offices import ANALYSTS, HEAD_OFFICE, address_of
from sim.stores import Store, wall_ms
from sim.world import World

ADMIN, CRM, ROTATION = "admin-01", "crm", "log-rotation"
CRM_KEY, CRM_ADDRESS = "key-crm", "10.40.1.5"
REPORTER = ANALYSTS[5]  # who makes the weekly report
REPORT_ROWS = 900
NEWCOMERS = ("analyst-21", "analyst-22")


def do(world: World, at_ms: int, actor: str, role: str, action: str, **fields: Any) -> None:
    """Plans something that an actor does; `export` is an action as well. Address and device are their usual ones."""
    tz = fields.pop("tz", HEAD_OFFICE)
    usual = {"client_ip": address_of(actor), "device": f"pc-{actor}", "purpose": "service"}
    common = {"actor": actor, "role": role, **usual, **fields}

    def step(now_ms: int) -> None:
        told = {"id": world.new_id("ad"), "time": world.stamp(now_ms, tz), **common}
        event = AuditExport(**told) if action == "export" else AuditAccess(action=action, **told)
        world.wire.from_office(actor, event, now_ms)

    world.plan(at_ms, step)


def minute_of(world: World, start_ms: int, tz: str, day: int, first_h: float, last_h: float) -> int:
    """Some moment of a day between two hours, in a zone; where the first day has begun before, the one after."""
    midnight_ms = wall_ms(start_ms, tz, day, 0)
    at_ms = midnight_ms + int((first_h + world.rng.random() * (last_h - first_h)) * 60) * MINUTE_MS
    return at_ms if at_ms >= start_ms else at_ms + DAY_MS


def plan_clerks(world: World, start_ms: int, days: int) -> None:
    for day in range(days):
        for store in world.stores:
            _plan_counter(world, store, start_ms, day)
        for hour in range(24):
            at_ms = start_ms + day * DAY_MS + hour * 60 * MINUTE_MS
            do(world, at_ms, CRM, "service", "key_use", key=CRM_KEY, client_ip=CRM_ADDRESS, device="", rows=20)
        do(world, start_ms + day * DAY_MS + 180 * MINUTE_MS, ROTATION, "log_rotation", "log_delete", object="log")
        if day % 7 == 4:
            at_ms = minute_of(world, start_ms, HEAD_OFFICE, day, 15, 17)
            do(world, at_ms, REPORTER, "analyst", "export", rows=REPORT_ROWS, purpose="reporting", fields=["orders"])
    for number, name in enumerate(NEWCOMERS):
        _plan_newcomer(world, name, start_ms, 7 + 6 * number, days)


def _plan_counter(world: World, store: Store, start_ms: int, day: int) -> None:
    manager, others = store.staff[0], store.staff[1:]
    opens, closes = store.opens_h + 0.5, store.closes_h - 0.5

    def when() -> int:
        return minute_of(world, start_ms, store.timezone, day, opens, closes)

    common = {"store": store.id, "tz": store.timezone}
    for _ in range(int(world.rng.random() * 3)):
        coupon = world.new_id("amends")
        do(world, when(), manager, "store_manager", "coupon_issue", coupon=coupon, purpose="complaint", **common)
        if world.rng.random() < 0.5:  # the guest is back within days, at the till
            later_ms = when() + DAY_MS
            do(world, later_ms, pick(world.rng, others), "barista", "coupon_redeem", coupon=coupon, **common)
    for _ in range(int(world.rng.random() * 6)):
        coupon = world.new_id("guest")
        do(world, when(), pick(world.rng, others), "barista", "coupon_redeem", coupon=coupon, **common)
    if world.rng.random() < 0.3:
        coupon = world.new_id("guest")
        do(world, when(), pick(world.rng, others), "barista", "refund", coupon=coupon, purpose="refund", **common)
    if world.rng.random() < 0.5:
        person = pick(world.rng, store.staff)
        role = "store_manager" if person == manager else "barista"
        marks = ["vip"] if world.rng.random() < 0.2 else []
        do(world, when(), person, role, "view", object=world.new_id("c"), rows=1, marks=marks, **common)


def _plan_newcomer(world: World, name: str, start_ms: int, first: int, days: int) -> None:
    """Gets an account, and exports for the first time three days later."""
    granted_ms = minute_of(world, start_ms, HEAD_OFFICE, first, 9, 10)
    do(world, granted_ms, ADMIN, "it", "permission_change", account=name, purpose="onboarding")
    for day in range(first, days):
        if day % 7 >= 5:
            continue
        for _ in range(12):
            at_ms = minute_of(world, start_ms, HEAD_OFFICE, day, 9.5, 18)
            do(world, max(at_ms, granted_ms), name, "analyst", "search", rows=5, purpose="reporting")
        if day >= first + 3:
            at_ms = minute_of(world, start_ms, HEAD_OFFICE, day, 10, 17)
            do(world, at_ms, name, "analyst", "export", rows=100, purpose="reporting", fields=["orders"])
