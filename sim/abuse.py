"""Who abuses the coupons, and who only looks so: farms of accounts, rings of friends, refund loops; families, tablets.

All chance here is its own, so that the rest of the chain lives as it would without.
"""

from __future__ import annotations

from random import Random
from typing import Any

from features.events import (
    AppOpen,
    Bind,
    Consent,
    CouponRedeemed,
    Event,
    Line,
    Login,
    Order,
    Referral,
    Refund,
    Who,
)
from features.times import DAY_MS, HOUR_MS, MINUTE_MS
from sim.members import Member
from sim.menu import pick
from sim.stores import Store, wall_ms
from sim.truth import Abuse
from sim.wire import Wire
from sim.world import World

FARM, RING, LOOP = "device", "ring", "loop"  # as the signals are called
FARMS, FARM_ACCOUNTS = 2, 6
RINGS, RING_FRIENDS = 2, 2
LOOPS, LOOP_ORDERS, LOOP_REFUNDS = 3, 6, 5
TABLET_LOGINS = 12  # customers who log in at a store's tablet
CIRCLES, CIRCLE_FRIENDS = 2, 3  # members who bring friends with phones of their own
PRICE_CENTS = 1800
NOON = 12 * 60  # minutes


class Abusers:
    """The cast, on a line of its own."""

    def __init__(self, world: World, seed: int, span: tuple[int, int]) -> None:
        self.world, self.rng, self.span = world, Random(f"abuse-{seed}"), span
        self.wire = Wire(world.agenda, world.truth, self.rng, world.rates)
        self.number = 0

    def plan(self) -> None:
        for number in range(FARMS):
            names = [f"farm-{number}-{i}" for i in range(FARM_ACCOUNTS)]
            self._cast(FARM, f"farm-phone-{number}", names)
        for number in range(RINGS):
            names = [f"ring-{number}-{i}" for i in range(1 + RING_FRIENDS)]
            self._cast(RING, f"ring-phone-{number}", names)
        for number in range(LOOPS):
            self._cast(LOOP, f"loop-phone-{number}", [f"loop-{number}"])
        self._honest()

    def _moment(self, low: float, high: float) -> int:
        """Within these shares of the run."""
        start_ms, end_ms = self.span
        return start_ms + int((low + self.rng.random() * (high - low)) * (end_ms - start_ms))

    def _cast(self, kind: str, device: str, names: list[str]) -> None:
        store, joined_ms = pick(self.rng, self.world.stores), self._moment(0.1, 0.3)
        self.world.plan(joined_ms, self._begin, Abuse(kind, device, names))
        for name in names:
            self._do(joined_ms, self._join, name, device, store)
            if kind != LOOP:
                self._do(self._moment(0.35, 0.6), self._order, name, device, store, refunded=False)
        if kind == RING:
            for friend in names[1:]:
                self._do(self._moment(0.35, 0.6), self._refer, names[0], friend, device, store)
        if kind == LOOP:
            for order in range(LOOP_ORDERS):
                refunded = order < LOOP_REFUNDS
                self._do(self._moment(0.35, 0.8), self._order, names[0], device, store, refunded=refunded)

    def _begin(self, at_ms: int, abuse: Abuse) -> None:
        self.world.truth.abuses.append(abuse)

    def _do(self, at_ms: int, step: Any, *args: Any, **more: Any) -> None:
        self.world.plan(at_ms, lambda now_ms: step(now_ms, *args, **more))

    def _honest(self) -> None:
        """What looks alike and is not: a store's tablet, and friends with phones of their own."""
        for store in self.world.stores[:2]:
            for member in self.rng.sample(self.world.members, min(TABLET_LOGINS, len(self.world.members))):
                self._do(self._moment(0.4, 0.9), self._at_tablet, member, store)
        for number in range(CIRCLES):
            names, store = [f"circle-{number}-{i}" for i in range(1 + CIRCLE_FRIENDS)], self.world.stores[0]
            for name in names:
                self._do(self._moment(0.1, 0.3), self._join, name, f"phone-{name}", store)
            for friend in names[1:]:
                self._do(self._moment(0.35, 0.6), self._refer, names[0], friend, f"phone-{names[0]}", store)

    def _send(self, at_ms: int, kind: type[Event], name: str, store: Store, device: str, **fields: Any) -> Event:
        self.number += 1
        event = kind(
            id=f"ab{self.number:06d}",
            time=at_ms,
            who=Who(app_id=name),
            store=store.id,
            device=device,
            **{"channel": "app", **fields},
        )
        self.wire.from_app(name, event, at_ms)
        return event

    def _join(self, at_ms: int, name: str, device: str, store: Store) -> None:
        self._send(at_ms, Bind, name, store, device)
        self._send(at_ms + MINUTE_MS, Consent, name, store, device, purpose="marketing", granted=True)

    def _refer(self, at_ms: int, name: str, friend: str, device: str, store: Store) -> None:
        self._send(at_ms, Referral, name, store, device, friend=friend)

    def _at_tablet(self, at_ms: int, member: Member, store: Store) -> None:
        if at_ms > member.joins_ms:
            self._send(at_ms, Login, member.app_id, store, f"tablet-{store.id}", channel="kiosk")

    def _order(self, at_ms: int, name: str, device: str, store: Store, refunded: bool) -> None:
        if not store.is_open(at_ms + MINUTE_MS):
            noon_ms = wall_ms(at_ms, store.timezone, 0, NOON) + int(self.rng.random() * HOUR_MS)
            later_ms = noon_ms if noon_ms > at_ms else noon_ms + DAY_MS
            self._do(later_ms, self._order, name, device, store, refunded=refunded)
            return
        coupon = f"WELCOME-{name}-{self.number}"
        self._send(at_ms, AppOpen, name, store, device)
        order = self._send(
            at_ms + MINUTE_MS,
            Order,
            name,
            store,
            device,
            lines=[Line(sku="oolong", price_cents=PRICE_CENTS)],
            total_cents=PRICE_CENTS // 2,
            discount_cents=PRICE_CENTS // 2,
            coupon=coupon,
            campaign="welcome",
        )
        used = {"coupon": coupon, "campaign": "welcome", "order": order.id}
        self._send(at_ms + MINUTE_MS, CouponRedeemed, name, store, device, **used)
        if refunded:
            back = {"order": order.id, "ordered_time": order.time, "amount_cents": PRICE_CENTS // 2, "items": 1}
            self._send(at_ms + 30 * MINUTE_MS, Refund, name, store, device, **back)
