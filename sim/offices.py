"""Staff and head-office analysts reading customer data, as they should and as they should not."""

from __future__ import annotations

from features.events import AuditAccess, AuditExport
from features.times import MINUTE_MS
from sim.agenda import Step
from sim.menu import pick
from sim.stores import ZONES, Store, wall_ms, weekday
from sim.world import World

HEAD_OFFICE = ZONES["east"]
ANALYSTS = tuple(f"analyst-{n:02d}" for n in range(1, 7))
_NINE, _SIX = 9 * 60, 18 * 60  # office hours in minutes of the day
_FIELDS = ("name", "phone", "birthday", "address", "orders")
_REASONS = {  # by role
    "analyst": ("service", "campaign planning", "complaint", "reporting"),
    "store_manager": ("service", "campaign planning", "complaint", "reporting"),
    "barista": ("service", "service", "complaint", "complaint"),
}


def open_office(at_ms: int, world: World) -> None:
    """Plans the working day of the analysts, and the next one."""
    world.plan(wall_ms(at_ms, HEAD_OFFICE, 1, 0), open_office, world)
    if weekday(at_ms, HEAD_OFFICE) >= 5:
        return
    for analyst in ANALYSTS:
        desk = (world, analyst, "analyst", HEAD_OFFICE)
        _plan(world, HEAD_OFFICE, at_ms, _NINE + world.rng.random() * 20, access, *desk, "login")
        for _ in range(20 + int(world.rng.random() * 15)):
            minute = _NINE + 20 + world.rng.random() * (_SIX - _NINE - 20)
            _plan(world, HEAD_OFFICE, at_ms, minute, access, *desk, pick(world.rng, ("view", "view", "search")))
        for _ in range(int(world.rng.random() * 4)):
            minute, rows = _NINE + 30 + world.rng.random() * (_SIX - _NINE - 30), 20 + int(world.rng.random() * 380)
            _plan(world, HEAD_OFFICE, at_ms, minute, export, *desk, rows)


def open_shift(at_ms: int, world: World, store: Store) -> None:
    """Plans a store's day: the manager and one of the staff log in and look customers up."""
    world.plan(wall_ms(at_ms, store.timezone, 1, 0), open_shift, world, store)
    first, last = store.opens_h * 60, store.closes_h * 60
    for actor, role in ((store.staff[0], "store_manager"), (pick(world.rng, store.staff[1:]), "barista")):
        desk = (world, actor, role, store.timezone)
        _plan(world, store.timezone, at_ms, first + world.rng.random() * 15, access, *desk, "login", store.id)
        for _ in range(2 + int(world.rng.random() * 7)):
            minute = first + 15 + world.rng.random() * (last - first - 15)
            _plan(world, store.timezone, at_ms, minute, access, *desk, "search", store.id)


def _plan(world: World, tz: str, at_ms: int, minute: float, step: Step, *args: object) -> None:
    """Plans a step for a minute of this local day, unless that has passed."""
    moment_ms = wall_ms(at_ms, tz, 0, 0) + int(minute * MINUTE_MS)
    if moment_ms >= at_ms:
        world.plan(moment_ms, step, *args)


def access(at_ms: int, world: World, actor: str, role: str, tz: str, action: str, store: str = "") -> None:
    event = AuditAccess(
        id=world.new_id("aa"),
        time=world.stamp(at_ms, tz),
        actor=actor,
        role=role,
        store=store,
        action=action,
        object="session" if action == "login" else "customers",
        purpose="" if action == "login" else pick(world.rng, _REASONS[role]),
        rows={"login": 0, "view": 1}.get(action, 1 + int(world.rng.random() * 15)),
        client_ip=address_of(actor),
        device=f"pc-{actor}",
        result="denied" if action == "login" and world.rng.random() < 0.03 else "ok",
    )
    world.wire.from_office(actor, event, at_ms)


def export(at_ms: int, world: World, actor: str, role: str, tz: str, rows: int, purpose: str = "") -> None:
    event = AuditExport(
        id=world.new_id("ae"),
        time=world.stamp(at_ms, tz),
        actor=actor,
        role=role,
        object="customers",
        purpose=purpose or pick(world.rng, _REASONS[role]),
        rows=rows,
        fields=list(_FIELDS[: 1 + int(world.rng.random() * len(_FIELDS))]),
        client_ip=address_of(actor),
        device=f"pc-{actor}",
    )
    world.wire.from_office(actor, event, at_ms)


def address_of(actor: str) -> str:
    """An actor's usual address, the same in every run."""
    return f"10.20.{sum(actor.encode()) % 200}.{len(actor) * 7 % 250}"
