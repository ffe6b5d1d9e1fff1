"""Random lives of coupons: orders that earn them, and what tills, apps and people do with their codes."""

from __future__ import annotations

from hypothesis import strategies as st

from alerts.triggers.gifts import Then
from alerts.triggers.receipts.receipt import decision_id
from alerts.triggers.rule import Rule
from features import events as e
from features.times import HOUR_MS, parse_time
from tests.alerts.triggers.jobs import CODES

START_MS = parse_time("2026-05-04T12:00:00+08:00")
FREE = Then("free", face_value_cents=300, valid="5d", campaign="c")
BOUND = Then("bound", percent=50, at_most_cents=900, valid="2d", stores=["s1"], regions=["east"], min_spend_cents=2_000)
RULES = [
    Rule(id="free", on=["order"], when="orders_lifetime >= 1", then=FREE, cooldown="0s", capped=False),
    Rule(id="bound", on=["order"], when="orders_lifetime >= 2", then=BOUND, cooldown="0s", capped=False),
    Rule(id="again", on=["coupon_redeemed"], when="orders_lifetime >= 0", then=Then("again"), cooldown="1d"),
]
CUSTOMERS = ("ca", "cb")
ORDERS = 4  # of a customer


def order(customer: str, number: int, at_ms: int) -> e.Order:
    id = f"{customer}-o{number}"
    return e.Order(id=id, customer=customer, at_ms=at_ms, tz="UTC", lines=[e.Line("tea")], total_cents=1)


def decision(rule: str, customer: str, number: int) -> str:
    return decision_id(rule, customer, f"{customer}-o{number}")


def code(rule: str, customer: str, number: int, at_ms: int) -> str:
    """Of the coupon that a rule gives for an order, if it gives one."""
    then = next(one.then for one in RULES if one.id == rule)
    return CODES.code(decision(rule, customer, number), at_ms + then.valid_ms)


@st.composite
def lives(draw: st.DrawFn, length: int = 25, abuse: bool = False) -> list[e.Event]:
    """In the order in which they arrive: orders may come late, or after what speaks of them.

    `abuse`: a human may confirm that a customer is none to give coupons to.
    """
    times = [START_MS + draw(st.integers(0, 6 * 24)) * HOUR_MS for _ in range(ORDERS)]
    log: list[e.Event] = [order(c, n, at_ms) for c in CUSTOMERS for n, at_ms in enumerate(times)]
    log += [draw(_turns(number, times)) for number in range(draw(st.integers(0, length)))]
    confirmed = draw(st.lists(st.sampled_from(CUSTOMERS), max_size=2)) if abuse else []
    for number, customer in enumerate(confirmed):
        at_ms = START_MS + draw(st.integers(0, 6 * 24)) * HOUR_MS
        log.append(e.Suppress(id=f"{customer}-s{number}", customer=customer, at_ms=at_ms, tz="UTC", reason="abuse"))
    log.sort(key=lambda event: event.at_ms)
    for _ in range(draw(st.integers(0, 4))):  # some come at another place, some twice
        event = draw(st.sampled_from(log))
        if draw(st.booleans()):
            log.remove(event)
        log.insert(draw(st.integers(0, len(log))), event)
    return log


@st.composite
def _turns(draw: st.DrawFn, number: int, times: list[int]) -> e.Event:
    whose, which, rule = (
        draw(st.sampled_from(CUSTOMERS)),
        draw(st.integers(0, ORDERS - 1)),
        draw(st.sampled_from(RULES[:2])).id,
    )
    customer = draw(st.sampled_from((whose, whose, whose, *CUSTOMERS)))
    at_ms = times[which] + draw(st.integers(-1, 8 * 24)) * HOUR_MS
    common = {"id": f"{customer}-e{number}", "customer": customer, "at_ms": at_ms, "tz": "UTC"}
    shown = code(rule, whose, which, times[which])
    kind = draw(
        st.sampled_from((*[e.CouponRedeemed] * 4, e.CouponOpened, e.CouponDelivered, e.CouponRevoked, e.Refund, e.Void))
    )
    if issubclass(kind, e.Refund):
        undone = draw(st.sampled_from((f"{whose}-o{which}", f"till-{draw(st.integers(0, 3))}")))
        return kind(**common, order=undone, ordered_time=0, ordered_ms=at_ms, amount_cents=1)
    named = draw(st.sampled_from((shown, shown.lower(), decision(rule, whose, which), "WB5", f"0{shown[1:]}")))
    if kind is e.CouponRedeemed:
        place = draw(st.sampled_from(({"store": "s1"}, {"store": "s2"}, {"region": "east"}, {})))
        till = f"till-{draw(st.integers(0, 3))}"
        return kind(
            **common,
            **place,
            coupon=draw(st.sampled_from((shown, named))),
            order=till,
            total_cents=draw(st.sampled_from((0, 1_999, 2_000))),
        )
    return kind(**common, coupon=named)
