"""Orders through any channel, the coupons used in them, and what follows from them."""

from __future__ import annotations

from features.events import (
    Complaint,
    ComplaintAnswered,
    CouponRedeemed,
    DeliveryDelivered,
    DeliveryPromised,
    Event,
    Line,
    Order,
    Rating,
    Referral,
    Refund,
    Share,
    Void,
    Who,
)
from features.times import MINUTE_MS
from sim.care import TOPICS, note_case, settle
from sim.members import Coupon, Member
from sim.menu import pick
from sim.stores import Store
from sim.truth import Case, Disappointment, Round
from sim.world import World

OPEN_CODE = Coupon("TEA5", "happy-hour", 500)  # anyone may use it, again and again
GOOD_STARS = 3.0  # a rating below is a disappointment
SURGE_SHARE = 0.75  # of members' orders use a coupon while it is misconfigured, against about 0.15 as a rule
_HOLDER_SHARE, _CODE_SHARE = 0.45, 0.075
_VOID, _REFUND, _RATING, _COMPLAINT, _SHARE, _REFERRAL = 0.008, 0.012, 0.10, 0.01, 0.015, 0.004


def place(
    world: World, at_ms: int, store: Store, lines: list[Line], channel: str, who: Who | None, member: Member | None
) -> None:
    """Sends an order and plans what follows; orders made in the app come from the app."""
    gross = sum(line.price_cents * line.qty for line in lines)
    coupon = _coupon(world, at_ms, store, member)
    discount = min(coupon.face_value_cents, gross // 2) if coupon else 0
    order = Order(
        id=world.new_id("o"),
        time=world.stamp(at_ms, store.timezone),
        who=who,
        store=store.id,
        channel=channel,
        staff=pick(world.rng, store.staff),
        lines=lines,
        total_cents=gross - discount,
        discount_cents=discount,
        coupon=coupon.id if coupon else "",
        campaign=coupon.campaign if coupon else "",
        coupons_used=1 if coupon else 0,
    )
    if member is not None:
        member.paid_cents += order.total_cents
    if member is not None and channel in ("app", "delivery"):
        world.wire.from_app(member.app_id, order, at_ms)
    else:
        world.wire.from_till(store, order, at_ms)
    if coupon and member:
        used = {"coupon": coupon.id, "campaign": coupon.campaign, "order": order.id}
        world.from_app(member, CouponRedeemed, "cr", at_ms, store, **used)
    _follow_up(world, at_ms, store, order, member)


def _coupon(world: World, at_ms: int, store: Store, member: Member | None) -> Coupon | None:
    if member is None:
        return None
    surge = world.surge
    if surge.region == store.region and surge.from_ms <= at_ms < surge.to_ms:
        share = SURGE_SHARE
    else:
        share = member.response * (_HOLDER_SHARE if member.coupons else _CODE_SHARE)
    if world.rng.random() >= share:
        return None
    return member.coupons.pop() if member.coupons else OPEN_CODE


def _follow_up(world: World, at_ms: int, store: Store, order: Order, member: Member | None) -> None:
    draw = world.rng.random()
    if draw < _VOID:
        _take_back(world, at_ms + _between(world, 1, 6), store, order, Void)
    elif draw < _VOID + _REFUND:
        _take_back(world, at_ms + _between(world, 10, 90), store, order, Refund)
    elif member is not None:
        _please(world, at_ms, store, order, member)


def _between(world: World, low_min: float, high_min: float) -> int:
    return int((low_min + world.rng.random() * (high_min - low_min)) * MINUTE_MS)


def _take_back(world: World, at_ms: int, store: Store, order: Order, kind: type[Refund]) -> None:
    """Voids the whole order, or refunds one piece of it; a dead till can do neither."""
    if store.is_down(at_ms):
        return
    void, line = kind is Void, order.lines[0]
    event = kind(
        id=world.new_id("v" if void else "r"),
        time=world.stamp(at_ms, store.timezone),
        who=order.who,
        store=store.id,
        channel=order.channel,
        staff=order.staff,
        order=order.id,
        ordered_time=order.time,
        amount_cents=order.total_cents if void else min(line.price_cents, order.total_cents),
        items=sum(each.qty for each in order.lines) if void else 1,
    )
    world.wire.from_till(store, event, at_ms)


def disappoint(at_ms: int, world: World, rating: Disappointment) -> None:
    world.truth.disappointed.append(rating)


def _please(world: World, at_ms: int, store: Store, order: Order, member: Member) -> None:
    """Delivery, rating, complaint, share and referral."""
    rng = world.rng

    def send(kind: type[Event], prefix: str, low_min: float, high_min: float, **fields: object) -> tuple[int, int]:
        """When it happens, and when it is sent."""
        then_ms = at_ms + _between(world, low_min, high_min)
        return then_ms, world.from_app(member, kind, prefix, then_ms, store, **fields)

    if order.channel == "delivery":
        promised = world.stamp(at_ms + 40 * MINUTE_MS, store.timezone)
        send(DeliveryPromised, "dp", 0.2, 1, order=order.id, promised_time=promised)
        send(DeliveryDelivered, "dd", 18, 43, order=order.id)
    if rng.random() < _RATING:
        stars = pick(rng, (5.0, 5.0, 5.0, 4.5, 4.0, 4.0, 3.0, 1.0))
        then_ms, sent_ms = send(Rating, "ra", 45, 120, stars=stars, order=order.id)
        if stars < GOOD_STARS:
            world.plan(sent_ms, disappoint, world, Disappointment(member.app_id, then_ms))
            world.plan(sent_ms, note_case, world, Case(f"rating:{order.id}", "", store.timezone, [Round(then_ms)]))
    if rng.random() < _COMPLAINT:
        case = world.new_id("case")
        topic = pick(rng, TOPICS)
        then_ms, sent_ms = send(Complaint, "co", 45, 90, case=case, topic=topic)
        told, answered_ms, closed = Case(case, topic, store.timezone, [Round(then_ms)]), None, False
        if rng.random() < 0.9:
            closed = rng.random() < 0.8
            answered_ms, _ = send(ComplaintAnswered, "ca", 95, 600, case=case, closed=closed)
        settle(world, member, store, told, answered_ms, closed)
        world.plan(sent_ms, note_case, world, told)
    if rng.random() < _SHARE:
        send(Share, "sh", 5, 30, what=order.lines[0].sku)
    if rng.random() < _REFERRAL:
        send(Referral, "rf", 5, 60, friend=pick(rng, world.members).app_id)
