"""What members do with Brewline's coupons: it hangs on seed, member and coupon alone, and follows the truth."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.events import CouponOpened, CouponRedeemed, Event, Order, decode_event
from features.outgoing import Drawn, IssuedCoupon
from features.times import DAY_MS, HOUR_MS
from sim import Chain, Record
from sim.holders import chance, taken_off_cents
from sim.stores import open_stores
from sim.truth import Offer

SMALL = {"seed": 7, "stores": 8, "customers": 200, "days": 6}


def coupon(number: int, at_ms: int, **more: object) -> IssuedCoupon:
    told = {
        "decision": f"d{number}",
        "rule": "r",
        "rule_version": "v",
        "customer": "",
        "outcome": "issued",
        "coupon": "FIVE",
        "face_value_cents": 500,
        "percent": 0,
        "at_most_cents": 0,
        "message": "",
        "channel": "push",
        "campaign": "spring",
        "at_ms": at_ms,
        "expires_ms": at_ms + 2 * DAY_MS,
        "cause": "c",
        "trigger_stamp_ms": at_ms,
        "values": {},
        "terms": {},
        "coupons_in_cap_window": 0,
        "cap": 3,
        "ran_out": "",
        "clock_ms": at_ms,
        "cooldown_until_ms": 0,
        "holdout": False,
        "code": f"CODE{number}",
        "min_spend_cents": 0,
        "stores": [],
        "regions": [],
    }
    return IssuedCoupon(**{**told, **more})  # type: ignore[arg-type]


def lived(chain: Chain, gifts: list[tuple[int, str, IssuedCoupon]]) -> Iterator[Record]:
    """The chain's records; each coupon (heard of at, member, coupon) is given when that time has come."""
    waiting = sorted(gifts, key=lambda gift: gift[0])
    for record in chain.records():
        while waiting and waiting[0][0] <= record.at_ms:
            chain.give(*waiting.pop(0)[1:])
        yield record


def gifts_of(chain: Chain, heard_later_ms: int = 0, **more: object) -> list[tuple[int, str, IssuedCoupon]]:
    """A coupon for every member, two days after the beginning."""
    at_ms = chain.start_ms + 2 * DAY_MS + 9 * HOUR_MS
    gifts = [(app_id, coupon(number, at_ms, **more)) for number, app_id in enumerate(chain.app_ids)]
    return [(one.at_ms + heard_later_ms, app_id, one) for app_id, one in gifts]


def theirs(records: list[Record]) -> dict[str, Event]:
    """What members did with these coupons, by id; repeats are what they repeat."""
    sound = [record.value for record in records if b"-d" in record.value and not record.tick]
    events = [decode_event(value) for value in sound]
    return {event.id: event for event in events}


@pytest.fixture(scope="module")
def week() -> tuple[Chain, dict[str, Event]]:
    chain = Chain(**SMALL)
    return chain, theirs(list(lived(chain, gifts_of(chain))))


def of(kind: type[Event], events: dict[str, Event]) -> dict[str, Event]:
    """By decision."""
    return {id.split("-")[1]: event for id, event in events.items() if isinstance(event, kind) and "again" not in id}


def test_the_same_coupons_bring_the_same_events_however_late_they_are_heard_of(week) -> None:
    chain, events = week
    late = Chain(**SMALL)
    assert theirs(list(lived(late, gifts_of(late, heard_later_ms=5 * HOUR_MS)))) == events
    assert late.truth.offers == chain.truth.offers
    other = Chain(**{**SMALL, "seed": 8})
    assert theirs(list(lived(other, gifts_of(other)))) != events


def test_the_rest_of_the_chain_lives_as_it_would_without(week) -> None:
    chain = Chain(**SMALL)
    alone = [record for record in chain.records() if not record.tick]
    again = Chain(**SMALL)
    beside = [r for r in lived(again, gifts_of(again)) if not r.tick and b"-d" not in r.value]
    assert beside == alone


def test_whoever_comes_orders_and_pays_with_the_code_while_the_coupon_is_good_and_the_store_open(week) -> None:
    chain, events = week
    stores = {store.id: store for store in open_stores(chain._rng(), chain.stores)}
    came = {offer.decision: offer.comes_ms for offer in chain.truth.offers if offer.comes_ms is not None}
    redeemed, orders, opened = of(CouponRedeemed, events), of(Order, events), of(CouponOpened, events)
    assert redeemed.keys() == orders.keys() == came.keys()
    assert opened.keys() > came.keys()
    for decision, event in redeemed.items():
        order = orders[decision]
        assert isinstance(event, CouponRedeemed)
        assert isinstance(order, Order)
        full_cents = sum(line.qty * line.price_cents for line in order.lines)
        assert (event.order, event.coupon) == (order.id, f"CODE{decision[1:]}")
        assert (order.total_cents + order.discount_cents, order.discount_cents) == (full_cents, min(500, full_cents))
        assert event.total_cents == full_cents
        assert stores[order.store].is_open(int(event.time))
        assert opened[decision].time < event.time == came[decision]


def test_as_many_come_as_the_truth_says_is_likely(week) -> None:
    """Within four standard deviations, and fewer for a smaller coupon."""
    chain, _ = week
    likely = [offer.chance for offer in chain.truth.offers]
    came = sum(offer.comes_ms is not None for offer in chain.truth.offers)
    spread = sum(p * (1 - p) for p in likely) ** 0.5
    assert abs(came - sum(likely)) < 4 * spread
    small = Chain(**SMALL)
    list(lived(small, gifts_of(small, face_value_cents=100)))
    assert sum(offer.chance for offer in small.truth.offers) < 0.6 * sum(likely)


def test_a_coupon_is_used_where_it_is_good_and_from_its_least_spend_on() -> None:
    chain = Chain(**SMALL)
    events = theirs(list(lived(chain, gifts_of(chain, regions=["island"], min_spend_cents=6_000))))
    orders = of(Order, events).values()
    assert orders
    assert {open_stores(chain._rng(), chain.stores)[int(o.store[1:]) - 1].region for o in orders} == {"island"}
    assert min(event.total_cents for event in of(CouponRedeemed, events).values()) >= 6_000


def test_a_coupon_that_is_good_nowhere_or_over_is_not_used() -> None:
    for more in ({"stores": ["elsewhere"]}, {"expires_ms": 1}):
        chain = Chain(**SMALL)
        assert not of(CouponRedeemed, theirs(list(lived(chain, gifts_of(chain, **more)))))


def test_some_try_a_coupon_twice(week) -> None:
    _, events = week
    again = [event for id, event in events.items() if id.endswith("-again")]
    assert 0 < len(again) < 0.2 * len(of(CouponRedeemed, events))


@given(st.floats(0.4, 1.6), st.floats(0, 5_000), st.floats(0, 5_000))
def test_more_moves_more_people_and_the_first_yuan_most(response: float, one: float, more: float) -> None:
    base, once, both = (chance(response, worth) for worth in (0.0, one, one + more))
    assert 0.0 == base <= once <= both <= 1.0
    assert chance(response, 2 * one) - once <= once - base + 1e-12
    assert chance(response, one) <= chance(2 * response, one)


@pytest.mark.parametrize(
    ("more", "off"), [({}, 500), ({"face_value_cents": 0, "percent": 20, "at_most_cents": 350}, 350)]
)
def test_a_share_takes_off_at_most_what_it_says(more: dict[str, int], off: int) -> None:
    assert taken_off_cents(coupon(1, 0, **more), 2_000) == off


def test_the_truth_names_rule_and_arm() -> None:
    chain = Chain(**SMALL)
    [app_id] = chain.app_ids[:1]
    one = coupon(1, chain.start_ms, arm=Drawn("five", 0.5))
    list(lived(chain, [(chain.start_ms, app_id, one)]))
    [offer] = chain.truth.offers
    assert isinstance(offer, Offer)
    assert (offer.decision, offer.rule, offer.arm, offer.app_id) == ("d1", "r", "five", app_id)
