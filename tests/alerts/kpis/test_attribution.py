"""Removal effects are those of walks through the chain; ways are those of a slow look at each customer."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from alerts.kpis.attribution import KEPT, NOTHING, ORDER, READ, START, Chain, Ways, attributed
from features import events as e
from features.archive import Archiver, in_shares
from features.times import DAY_MS, HOUR_MS

STEPS = 4_000
Way = tuple[list[str], bool]
ways_of_any_kind = st.lists(
    st.tuples(st.lists(st.sampled_from("abcd"), min_size=1, max_size=5), st.booleans()), min_size=1, max_size=30
)


def steps_of(ways: list[Way]) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for touches, ordered in ways:
        whole = [START, *touches, ORDER if ordered else NOTHING]
        found.update(pairwise(whole))
    return found


def walked(steps: Counter[tuple[str, str]], kept: dict[str, float]) -> float:
    """Customers as a fluid that flows through the chain, step by step; the share that has come to an order."""
    leaving: Counter[str] = Counter()
    for (name, _), count in steps.items():
        leaving[name] += count
    here, arrived = {START: 1.0}, 0.0
    for _ in range(STEPS):
        there: dict[str, float] = {}
        for (name, after), count in steps.items():
            flows = here.get(name, 0.0) * count / leaving[name] * kept.get(after, 1.0)
            arrived += flows if after == ORDER else 0.0
            if flows and after not in (ORDER, NOTHING):
                there[after] = there.get(after, 0.0) + flows
        here = there
        if sum(here.values()) < 1e-13:
            break
    return arrived


@settings(max_examples=60, deadline=None)
@given(ways_of_any_kind)
def test_what_a_touch_is_worth_is_what_walks_through_the_chain_lose_without_it(ways: list[Way]) -> None:
    assume(any(ordered for _, ordered in ways))
    steps = steps_of(ways)
    whole = walked(steps, {})
    for touch in attributed(steps, {})["touches"]:
        name = touch["touch"]
        assert touch["removal_effect"] == pytest.approx(1 - walked(steps, {name: 0.0}) / whole, abs=1e-9)
        told = [point["orders"] for point in touch["curve"]]
        assert told == pytest.approx([len(ways) * walked(steps, {name: kept}) for kept in KEPT], abs=1e-8)
        assert all(low <= high + 1e-9 for low, high in pairwise(told))


@settings(max_examples=100, deadline=None)
@given(ways_of_any_kind)
def test_the_chain_comes_to_as_many_orders_as_there_were_and_attributes_each_of_them(ways: list[Way]) -> None:
    steps, orders = steps_of(ways), sum(ordered for _, ordered in ways)
    cents = Counter[str]()
    for touches, ordered in ways:
        cents[touches[-1]] += 700 * ordered
    figures = attributed(steps, cents)
    assert Chain(steps).whole == pytest.approx(orders / len(ways), abs=1e-12)
    assert (figures["ways"], figures["orders"]) == (len(ways), orders)
    assert sum(touch["orders"] for touch in figures["touches"]) == pytest.approx(orders)
    assert sum(touch["revenue_cents"] for touch in figures["touches"]) == pytest.approx(700 * orders)
    assert sum(touch["orders_last"] for touch in figures["touches"]) == orders


def test_a_textbook_chain() -> None:
    """Of three ways, two to an order: a and then b, b alone; and a alone, to nothing."""
    found = attributed(steps_of([(["a", "b"], True), (["b"], True), (["a"], False)]), {})
    effects = {touch["touch"]: touch["removal_effect"] for touch in found["touches"]}
    assert effects == pytest.approx({"a": 0.5, "b": 1.0})
    assert [touch["orders"] for touch in found["touches"]] == pytest.approx([4 / 3, 2 / 3])


WINDOW_MS = 6 * HOUR_MS
deeds = st.tuples(
    st.sampled_from(("order", "order", "push", "sms", "open", "again", "void", "view")),
    st.sampled_from("abc"),
    st.integers(0, 60),
)


def log_of(plan: list[tuple[str, str, int]]) -> list[e.Event]:
    log: list[e.Event] = []
    for number, (what, customer, hour) in enumerate(plan):
        common = {"id": f"{what}{number}", "customer": customer, "at_ms": (1 + hour) * HOUR_MS, "tz": "UTC"}
        mine = [event for event in log if event.customer == customer]
        orders = [event for event in mine if isinstance(event, e.Order)]
        if what == "order":
            log.append(e.Order(lines=[e.Line("tea")], total_cents=100 + number, **common))
        elif what in ("push", "sms"):
            log.append(e.CouponDelivered(coupon="c", gateway=what, **common))
        elif what == "open":
            log.append(e.AppOpen(channel="mini", **common))
        elif what == "view":
            log.append(e.View(**common))
        elif what == "again" and mine:
            log.append(mine[hour % len(mine)])
        elif what == "void" and orders:
            order = orders[hour % len(orders)]
            undone = {"order": order.id, "ordered_time": order.at_ms, "ordered_ms": order.at_ms}
            log.append(e.Void(amount_cents=0, **undone, **common))
    return log


def name_of(event: e.Event) -> str:
    if isinstance(event, e.CouponDelivered):
        return f"coupon_delivered {event.gateway}"
    return ORDER if isinstance(event, e.Order) else "app_open mini"


def slowly(log: list[e.Event], from_ms: int, end_ms: int) -> tuple[Counter[tuple[str, str]], Counter[str], int, int]:
    """Customer by customer, event by event."""
    log = [event for event in log if event.at_ms < end_ms]
    voided = {(event.customer, event.order) for event in log if isinstance(event, e.Void)}
    ways, alone, open = list[tuple[Way, int]](), 0, 0
    for customer in "abc":
        mine: dict[str, e.Event] = {}
        for event in log:
            wanted = isinstance(event, e.Order | e.CouponDelivered | e.AppOpen) and event.at_ms >= from_ms
            if wanted and event.customer == customer and (customer, event.id) not in voided:
                mine.setdefault(event.id, event)
        touches, last_ms = list[str](), 0
        for event in sorted(mine.values(), key=lambda event: event.at_ms):
            if touches and event.at_ms - last_ms > WINDOW_MS:
                ways.append(((touches, False), 0))
                touches = []
            if not isinstance(event, e.Order):
                touches, last_ms = [*touches, name_of(event)], event.at_ms
            elif touches:
                ways.append(((touches, True), event.total_cents))
                touches = []
            else:
                alone += 1
        if touches and last_ms + WINDOW_MS < end_ms:
            ways.append(((touches, False), 0))
        elif touches:
            open += 1
    cents = Counter[str]()
    for (touches, ordered), worth in ways:
        cents[touches[-1]] += worth if ordered else 0
    return steps_of([way for way, _ in ways]), +cents, alone, open


@settings(max_examples=150, deadline=None)
@given(st.lists(deeds, min_size=15, max_size=40).map(log_of), st.integers(0, 20), st.integers(30, 65))
def test_ways_are_those_that_a_slow_look_at_each_customer_finds(log: list[e.Event], first: int, end: int) -> None:
    assume(log)
    rows, ways = in_shares([Archiver().rows([e.encode(event) for event in log])], size=5), Ways("channel", WINDOW_MS)
    for share in rows.filter(rows["share"] >= 0).partition_by("partition", "share"):
        ways.add(share.select([name for name in READ if name in share.columns]), first * HOUR_MS, end * HOUR_MS)
    steps, cents, alone, open = slowly(log, first * HOUR_MS, end * HOUR_MS)
    assert (+ways.steps, +ways.cents, ways.alone, ways.open) == (steps, cents, alone, open)


def test_touches_are_told_apart_by_campaign_where_that_is_asked() -> None:
    common = {"customer": "a", "tz": "UTC"}
    log = [
        e.CouponIssued(id="1", coupon="c", campaign="spring", at_ms=1, **common),
        e.AppOpen(id="2", channel="mini", at_ms=2, **common),
        e.Order(id="3", lines=[e.Line("tea")], total_cents=1, at_ms=3, **common),
    ]
    ways = Ways("campaign", WINDOW_MS)
    ways.add(in_shares([Archiver().rows([e.encode(event) for event in log])]), 0, DAY_MS)
    assert set(ways.steps) == {
        (START, "coupon_issued spring"),
        ("coupon_issued spring", "app_open"),
        ("app_open", ORDER),
    }
