"""Members who turn points into coupons now and then; some ask for more than they have, some press twice.

All chance here is its own, so that the rest of the chain lives as it would without.
"""

from __future__ import annotations

from random import Random

from features.events import PointsExchange, Who
from features.times import DAY_MS, HOUR_MS
from sim.members import Member, phone_of
from sim.stores import wall_ms
from sim.wire import Wire
from sim.world import World

POINT_CENTS, LEAST = 100, 100
_DAYS_BETWEEN_LOOKS = 3.0
_ASKS, _HOPES, _TWICE = 0.6, 0.15, 0.1  # of those who have enough; of those who have not; for the same points again
_AGAIN_MS = 2_000


class Savers:
    """All members, on a line of their own. What they have is what they remember to have paid."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.rng = world, Random(f"points-{seed}")
        self.wire = Wire(world.agenda, world.truth, self.rng, world.rates)
        self.asked: dict[str, int] = {}

    def plan(self) -> None:
        for member in self.world.members:
            self._again(member.joins_ms + DAY_MS // 4, member)

    def _again(self, at_ms: int, member: Member) -> None:
        days = round(self.rng.expovariate(1 / _DAYS_BETWEEN_LOOKS))
        minute = min(member.minute + int(self.rng.random() * 90), 23 * 60)
        next_ms = wall_ms(at_ms, member.store.timezone, days, minute)
        self.world.plan(next_ms if next_ms > at_ms else next_ms + DAY_MS, self.look, member)

    def look(self, at_ms: int, member: Member) -> None:
        """Looks at the points in the app, and perhaps gives them."""
        self._again(at_ms + HOUR_MS, member)
        if at_ms >= member.lapses_ms:
            return
        left = member.paid_cents // POINT_CENTS - self.asked.get(member.app_id, 0)
        points = max(LEAST, left // LEAST * LEAST)
        if self.rng.random() >= (_ASKS if left >= LEAST else _HOPES * left / LEAST):
            return
        self._ask(at_ms, member, points)
        if left >= LEAST:
            self.asked[member.app_id] = self.asked.get(member.app_id, 0) + points
        if self.rng.random() < _TWICE:
            self._ask(at_ms + _AGAIN_MS, member, points)

    def _ask(self, at_ms: int, member: Member, points: int) -> None:
        event = PointsExchange(
            id=f"px-{member.number}-{at_ms}",
            time=at_ms,
            who=Who(app_id=member.app_id),
            store=member.store.id,
            channel="app",
            device=phone_of(member.number),
            points=points,
            what="coupon",
        )
        self.wire.from_app(member.app_id, event, at_ms)
