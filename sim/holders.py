"""What members do with the coupons that Brewline gives them: look, come for it, use it; perhaps try it twice.

All of it hangs on the seed, the member and the coupon: the moment at which it is heard of changes when events are sent,
and nothing else.
"""

from __future__ import annotations

from math import exp
from random import Random

from msgspec import Struct
from msgspec.structs import replace

from features.events import CouponOpened, CouponRedeemed, Line, Order, Who
from features.outgoing import IssuedCoupon
from features.times import DAY_MS, HOUR_MS, MINUTE_MS
from sim.members import Member, phone_of
from sim.menu import fill_cart, pick
from sim.stores import Store
from sim.truth import Offer
from sim.wire import Wire
from sim.world import World

MOST_LIKELY, USUAL_CENTS = (
    0.6,
    500.0,
)  # of an average member: what no coupon exceeds, and how fast it is reached
PATIENCE_MS = 3 * DAY_MS  # whoever has not come by then has forgotten the coupon
_SOONEST_MS = 10 * MINUTE_MS
_LOOKS, _TRIES_AGAIN = 0.4, 0.04
_MOMENTS = 8  # that are tried until one falls into opening hours


class Held(Struct):
    """A coupon in a member's hands; `rng` and `wire` are its own, so that the rest of the chain lives as without it."""

    member: Member
    coupon: IssuedCoupon
    rng: Random
    wire: Wire


class Holders:
    """All members of a world."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.seed = world, seed
        self.members = {member.app_id: member for member in world.members}
        self.rates = replace(world.rates, malformed=0.0)

    def take(self, app_id: str, coupon: IssuedCoupon) -> None:
        """Decides what becomes of it, and plans that."""
        member = self.members[app_id]
        rng = Random(f"{self.seed} {app_id} {coupon.rule} {coupon.at_ms}")
        wire = Wire(self.world.agenda, self.world.truth, Random(rng.random()), self.rates)
        wire.witness = self.world.wire.witness
        held, likely = Held(member, coupon, rng, wire), chance(member.response, worth_cents(coupon, member.usual))
        store = self._store(held)
        comes_ms = _moment(held, store) if store and rng.random() < likely else None
        arm = coupon.arm.name if coupon.arm else ""
        self.world.truth.offers.append(Offer(coupon.decision, coupon.rule, arm, app_id, likely, comes_ms))
        if comes_ms is not None or rng.random() < _LOOKS:
            looks_ms = _begins_ms(coupon) + MINUTE_MS + int(rng.random() * (_SOONEST_MS - MINUTE_MS))
            self._plan(looks_ms, self._look, held)
        if comes_ms is not None and store:
            self._plan(comes_ms, self._come, held, store)

    def _plan(self, at_ms: int, step: object, *args: object) -> None:
        """What should have happened before the coupon was heard of is caught up with, as of its time."""
        now_ms = self.world.agenda.now_ms
        self.world.plan(max(at_ms, now_ms), lambda _: step(at_ms, *args))  # type: ignore[operator]

    def _store(self, held: Held) -> Store | None:
        """The member's own if the coupon is good there, else another where it is."""
        coupon, own = held.coupon, held.member.store
        good = [store for store in self.world.stores if _good(coupon, store)]
        return own if own in good else pick(held.rng, good) if good else None

    def _look(self, at_ms: int, held: Held) -> None:
        member, decision = held.member, held.coupon.decision
        event = CouponOpened(
            id=f"co-{decision}",
            time=at_ms,
            who=Who(app_id=member.app_id),
            store=member.store.id,
            channel="app",
            device=phone_of(member.number),
            coupon=held.coupon.code or decision,
        )
        held.wire.from_app(member.app_id, event, at_ms)

    def _come(self, at_ms: int, held: Held, store: Store) -> None:
        """Orders, and pays with it."""
        coupon, rng = held.coupon, held.rng
        lines = _cart(held)
        full_cents = sum(line.price_cents * line.qty for line in lines)
        off_cents = min(taken_off_cents(coupon, full_cents), full_cents)
        order = Order(
            id=f"o-{coupon.decision}",
            time=at_ms,
            who=held.member.at_till(rng),
            store=store.id,
            channel="pos",
            staff=pick(rng, store.staff),
            lines=lines,
            total_cents=full_cents - off_cents,
            discount_cents=off_cents,
            coupon=coupon.coupon,
            campaign=coupon.campaign,
            coupons_used=1,
        )
        held.wire.from_till(store, order, at_ms)
        self._present(at_ms, held, store, order.id, full_cents)
        if rng.random() < _TRIES_AGAIN:
            self._plan(at_ms + HOUR_MS, self._present, held, store, "", full_cents)

    def _present(self, at_ms: int, held: Held, store: Store, order: str, full_cents: int) -> None:
        """Shows the code at a till; `order` is empty where it is shown again."""
        coupon = held.coupon
        event = CouponRedeemed(
            id=f"cr-{coupon.decision}{'' if order else '-again'}",
            time=at_ms,
            who=held.member.at_till(held.rng),
            store=store.id,
            channel="pos",
            coupon=coupon.code or coupon.decision,
            campaign=coupon.campaign,
            order=order,
            total_cents=full_cents,
        )
        held.wire.from_till(store, event, at_ms)


def chance(response: float, worth: float) -> float:
    """How likely a member comes for a coupon: by their taste and its worth in cents, each further one moving less."""
    return min(1.0, MOST_LIKELY * response * (1.0 - exp(-worth / USUAL_CENTS)))


def worth_cents(coupon: IssuedCoupon, usual: Line) -> int:
    """What it takes off the member's usual drink."""
    return min(taken_off_cents(coupon, usual.price_cents), usual.price_cents)


def taken_off_cents(coupon: IssuedCoupon, full_cents: int) -> int:
    if not coupon.percent:
        return coupon.face_value_cents
    return min(coupon.at_most_cents, full_cents * coupon.percent // 100)


def _good(coupon: IssuedCoupon, store: Store) -> bool:
    everywhere = not (coupon.stores or coupon.regions)
    return everywhere or store.id in coupon.stores or store.region in coupon.regions


def _begins_ms(coupon: IssuedCoupon) -> int:
    return max(coupon.at_ms, coupon.send_ms)


def _moment(held: Held, store: Store) -> int | None:
    """When the member comes, rather soon than late; None where no time suits."""
    from_ms = _begins_ms(held.coupon) + _SOONEST_MS
    span_ms = min(held.coupon.expires_ms, from_ms + PATIENCE_MS) - from_ms
    moments = (from_ms + int(held.rng.random() ** 2 * span_ms) for _ in range(_MOMENTS if span_ms > 0 else 0))
    fits = (ms for ms in moments if store.is_open(ms) and not store.is_down(ms) and ms < held.member.lapses_ms)
    return next(fits, None)


def _cart(held: Held) -> list[Line]:
    """What they like, and so much of it that the coupon may be used."""
    lines = fill_cart(held.rng, held.member.usual)
    missing_cents = held.coupon.min_spend_cents - sum(line.price_cents * line.qty for line in lines)
    usual = held.member.usual
    return lines if missing_cents <= 0 else [*lines, replace(usual, qty=-(-missing_cents // usual.price_cents))]
