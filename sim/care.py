"""What becomes of complaints and enquiries: second answers, guests' last words, calls; with chance of its own."""

from __future__ import annotations

from features.events import ComplaintAnswered, ComplaintConfirmed, Lead, LeadContacted, Who
from features.times import DAY_MS, HOUR_MS, MINUTE_MS
from sim.members import Member
from sim.menu import pick
from sim.stores import Store
from sim.truth import Case, Round
from sim.world import World

TOPICS = ("taste", "waiting", "delivery", "billing", "foreign object")  # of complaints
LEADS_A_DAY = 12
_CONFIRMS, _CONTENT, _CALLED = 0.8, 0.85, 0.9


def note_case(at_ms: int, world: World, case: Case) -> None:
    world.truth.cases.append(case)


def settle(world: World, member: Member, store: Store, case: Case, answered_ms: int | None, closed: bool) -> None:
    """A complaint, and the answer that is sent to it; what follows is the guest's word and perhaps more of both."""
    chance, now = world.care, case.rounds[-1]
    now.answered_ms, now.settled_ms = answered_ms, answered_ms if closed else None
    while now.settled_ms is not None and chance.random() < _CONFIRMS:
        said_ms, content = now.settled_ms + _between(world, 10, 240), chance.random() < _CONTENT
        number = len(case.rounds)
        common = {"who": Who(app_id=member.app_id), "store": store.id, "case": case.ticket}
        word = ComplaintConfirmed(
            id=f"cc-{case.ticket}-{number}", time=said_ms, satisfied=content, channel="app", **common
        )
        world.care_wire.from_app(member.app_id, word, said_ms)
        if content:
            now.closed_ms = said_ms
            return
        now = Round(said_ms, said_ms + _between(world, 5, 400))
        now.settled_ms = now.answered_ms
        case.rounds.append(now)
        again = ComplaintAnswered(id=f"ca-{case.ticket}-{number}", time=now.answered_ms, closed=True, **common)
        world.care_wire.from_app(member.app_id, again, now.answered_ms or 0)


def open_desk(at_ms: int, world: World) -> None:
    """The enquiries of a day, from eight in the morning on, by people whom nobody knows."""
    world.plan(at_ms + DAY_MS, open_desk, world)
    for _ in range(LEADS_A_DAY):
        world.plan(at_ms + 8 * HOUR_MS + int(world.care.random() * 12 * HOUR_MS), ask, world)


def ask(at_ms: int, world: World) -> None:
    number = f"{len(world.truth.cases)}-{at_ms}"
    topic = pick(world.care, ("franchise", "group order"))
    world.care_wire.from_app("web", Lead(id=f"le-{number}", time=at_ms, lead=number, topic=topic, channel="web"), at_ms)
    now = Round(at_ms)
    if world.care.random() < _CALLED:
        now.answered_ms = now.settled_ms = now.closed_ms = at_ms + _between(world, 1, 25)
        world.care_wire.from_app(
            "web", LeadContacted(id=f"lc-{number}", time=now.closed_ms, lead=number), now.closed_ms
        )
    world.truth.cases.append(Case(f"lead:{number}", topic, "", [now]))


def _between(world: World, low_min: float, high_min: float) -> int:
    return int((low_min + world.care.random() * (high_min - low_min)) * MINUTE_MS)
