"""Whatever comes in whatever order, and twice, and wherever batches end: the same cases stand as by brute force."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from features import events as e
from features.times import DAY_MS
from tests.abusetown import NOON_MS, SMALL, Town
from tests.oracle_abuse import root, verdicts

CUSTOMERS = [f"customer-{n}" for n in range(7)]
DEVICES = ["device:a", "device:b"]


def happening(rng: Random, number: int) -> e.Event:
    """Something of a small town in which much goes wrong."""
    who = {"id": f"e{number}", "customer": rng.choice(CUSTOMERS), "at_ms": NOON_MS + rng.randrange(12 * DAY_MS)}
    order = f"o{rng.randrange(4)}"
    kind = rng.choice(["seen", "seen", "referral", "order", "redeemed", "back"])
    if kind == "seen":
        return rng.choice([e.Login, e.AppOpen])(device=rng.choice(DEVICES), **who)
    if kind == "referral":
        return e.Referral(friend=rng.choice(CUSTOMERS), **who)
    who["customer"] = rng.choice(CUSTOMERS[:2])
    if kind == "order":
        paid = {"lines": [e.Line(sku="tea")], "total_cents": 1, "coupon": rng.choice(["", "TEA"])}
        return e.Order(**{**who, "id": order}, **paid, device=rng.choice(["", *DEVICES]))
    if kind == "redeemed":
        return e.CouponRedeemed(coupon="TEA", order=order, **who)
    return rng.choice([e.Refund, e.Void])(order=order, ordered_time=0, amount_cents=1, **who)


def life(rng: Random) -> list[e.Event]:
    """Of whom some turn out to be the same customer, and some are forgotten."""
    happened = [happening(rng, number) for number in range(rng.randrange(60))]
    for loser in rng.sample(CUSTOMERS[1:], rng.randrange(4)):
        into = rng.choice(CUSTOMERS[: CUSTOMERS.index(loser)])
        happened.append(e.Merge(id=f"{loser}>{into}", customer=loser, into=into, at_ms=NOON_MS))
    return happened


def merges_of(happened: list[e.Event]) -> dict[str, str]:
    return {event.customer: event.into for event in happened if isinstance(event, e.Merge)}


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.3]))
def test_the_cases_that_stand_are_those_of_a_recount(seed: int, repeats: float) -> None:
    rng = Random(seed)
    happened = life(rng)
    rng.shuffle(happened)
    town = Town(rng, SMALL, repeats)
    town.live(happened)
    expected, into = verdicts(happened, SMALL), merges_of(happened)
    assert town.standing() == expected
    held = {customer for verdict in expected for customer in verdict.held}
    assert {customer for customer in town.suppressed() if root(customer, into) == customer} == held


def test_such_lives_hold_every_signal_many_times() -> None:
    """Else the test above would compare nothing with nothing."""
    found = [verdict.signal for seed in range(100) for verdict in verdicts(life(Random(seed)), SMALL)]
    assert all(found.count(signal) > 10 for signal in ("device", "ring", "loop"))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_what_is_forgotten_leaves_no_trace_and_the_rest_is_as_if_it_had_never_been(seed: int) -> None:
    rng = Random(seed)
    happened, gone = life(rng), rng.choice(CUSTOMERS)
    into = merges_of(happened)
    person = [customer for customer in CUSTOMERS if root(customer, into) == root(gone, into)]
    words = [e.Forget(id=f"forget|{customer}", customer=customer, at_ms=NOON_MS) for customer in person]
    late = rng.randrange(len(happened) + 1)
    town = Town(rng, SMALL)
    town.live([*happened[:late], *words, *happened[late:]])
    assert town.standing() == verdicts([*happened, *words], SMALL)
    for customer in person:
        assert town.holding(customer) == []
        assert not any(customer in str(case) for case in town.reviews.values())
