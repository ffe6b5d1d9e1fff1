"""Coupon campaigns: issued in the morning to members who agreed, used or expired within days."""

from __future__ import annotations

from features.events import CouponExpired, CouponIssued
from features.times import HOUR_MS
from sim.members import Coupon, Member
from sim.menu import pick
from sim.stores import ZONES, wall_ms
from sim.visits import visit
from sim.world import World

CAMPAIGNS = (("fruit-season", 400), ("boba-week", 600), ("welcome-back", 800))  # name, face value in cents
_DAILY_SHARE = 0.12  # of the members who agreed
_VALID_DAYS = 2
_COMES_FOR_IT = 0.25


def open_morning(at_ms: int, world: World) -> None:
    """Plans today's coupons at ten, and the next morning."""
    world.plan(wall_ms(at_ms, ZONES["east"], 1, 10 * 60), open_morning, world)
    for member in world.members:
        if member.consents and not member.coupons and world.rng.random() < _DAILY_SHARE:
            world.plan(at_ms + int(world.rng.random() * HOUR_MS), issue, world, member)


def issue(at_ms: int, world: World, member: Member) -> None:
    """Hands a member a coupon; some come by for it."""
    rng = world.rng
    campaign, face_value_cents = pick(rng, CAMPAIGNS)
    coupon = Coupon(world.new_id("CP"), campaign, face_value_cents)
    member.coupons = [coupon]
    world.from_app(
        member, CouponIssued, "ci", at_ms, coupon=coupon.id, campaign=campaign, face_value_cents=face_value_cents
    )
    world.plan(wall_ms(at_ms, member.store.timezone, _VALID_DAYS, 23 * 60 + 59), expire, world, member, coupon)
    if rng.random() < _COMES_FOR_IT * member.response:
        world.plan(at_ms + int((2 + 20 * rng.random()) * HOUR_MS), visit, world, member, False)


def expire(at_ms: int, world: World, member: Member, coupon: Coupon) -> None:
    if coupon in member.coupons:
        member.coupons = []
        world.from_app(member, CouponExpired, "ce", at_ms, coupon=coupon.id, campaign=coupon.campaign)
