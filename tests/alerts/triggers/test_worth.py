"""What a coupon is worth may hang on the customer: by steps of a feature, as of the decision."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.triggers.campaign import Campaign, Campaigns
from alerts.triggers.condition import over_catalog
from alerts.triggers.gifts import Then, WrongRule
from alerts.triggers.receipts.spoken import gift
from alerts.triggers.rule import Rule, read_rule
from alerts.triggers.worth import Worth
from features import events as e
from features.loop import Store, batches, run
from features.record import decode_ledger
from features.times import DAY_MS, parse_time
from tests.alerts.triggers.jobs import CATALOG, customers_job, data_of, encoded

NOON_MS = parse_time("2026-05-04T12:00:00+08:00")
STEPS = [(100, 1_000), (200, 2_000), (500, 6_000)]
WORTH = Worth("points_balance", STEPS)
RULE = Rule(id="r", on=["order"], when="true", then=Then("POINTS", worth=WORTH, campaign="points"), cooldown="0s")
TEXT = """\
id = "r"
on = ["order"]
when = "orders_7d >= 1"
then = { coupon = "P", worth = { of = "points_balance", steps = [[100, 1000], [200, 2000]] } }
cooldown = "1d"
[[test]]
name = "a"
events = [{ type = "order", total_cents = 10000 }]
fires_at = ["+0s"]
[[test]]
name = "b"
events = [{ type = "order", total_cents = 9999 }]
"""


def bought(*yuan: int, customer: str = "ca") -> list[e.Event]:
    common = {"customer": customer, "tz": "UTC", "lines": [e.Line("tea")]}
    return [
        e.Order(id=f"{customer}{day}", at_ms=NOON_MS + day * DAY_MS, total_cents=100 * paid, **common)
        for day, paid in enumerate(yuan)
    ]


def lived(log: list[e.Event], budget_cents: int = 10**9, cuts: tuple[int, ...] = ()) -> Store:
    campaigns = Campaigns([Campaign("points", budget_cents=budget_cents)])
    return run(customers_job([RULE], campaigns=campaigns), batches("events", 0, encoded(log), cuts))[0]


def worths(store: Store) -> list[int]:
    return [one["face_value_cents"] for one in data_of(store, "coupons")]


def test_the_coupon_is_worth_what_the_step_says_at_the_moment_of_the_decision() -> None:
    store = lived(bought(99, 1, 99, 1, 299, 1, 1_000))
    assert worths(store) == [1_000, 1_000, 2_000, 2_000, 6_000, 6_000]
    told = data_of(store, "decisions")
    assert [one["values"]["points_balance"] for one in told] == [100, 199, 200, 499, 500, 1_500]
    assert [one["face_value_cents"] for one in told] == worths(store)
    [record] = store.records.values()
    ledger = decode_ledger(record[customers_job([RULE]).core.merge(record, b"", 0).ledger :])
    assert [coupon.face_value_cents for coupon in ledger.coupons.values()] == worths(store)


def test_the_budget_is_spent_by_what_each_is_worth() -> None:
    log = [*bought(150), *bought(600, customer="cb"), *bought(250, customer="cc")]
    store = lived(log, budget_cents=8_000)
    assert (worths(store), store.spent["points/budget"]) == ([1_000, 6_000], 7_000)
    assert [one["outcome"] for one in data_of(store, "decisions")] == ["issued", "issued", "budget"]
    assert lived(log, budget_cents=9_000).spent["points/budget"] == 9_000


@pytest.mark.parametrize("cuts", [(1,), (1, 2, 3), (2, 4)])
def test_it_does_not_matter_where_batches_end(cuts: tuple[int, ...]) -> None:
    log = bought(99, 1, 99, 1, 299)
    assert data_of(lived(log, cuts=cuts), "coupons") == data_of(lived(log), "coupons")


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(1, 10**6)), min_size=1), st.integers(-60, 60))
def test_the_step_is_the_last_that_is_reached(steps: list[tuple[int, int]], amount: int) -> None:
    amounts, cents = (sorted(set(numbers)) for numbers in zip(*steps, strict=True))
    rising = list(zip(amounts, cents, strict=False))
    reached = [worth for from_, worth in rising if from_ <= amount]
    then = Then("P", worth=Worth("x", rising)).to({"x": amount})
    assert (then.face_value_cents, then.worth) == (reached[-1] if reached else 0, None)
    assert Then("P", worth=Worth("x", rising)).to({"x": None}).face_value_cents == 0


def test_the_most_that_it_can_cost_is_the_last_step() -> None:
    assert (RULE.then.worth_cents, RULE.then.least_cents) == (6_000, 1_000)
    assert gift(RULE.then) == "POINTS (10.00 to 60.00 off, by points_balance)"


@given(st.integers(0, 10**6), st.integers(1, 50), st.integers(1, 500), st.integers(0, 10**6))
def test_so_many_cents_for_each_from_the_least_on_and_never_more_than_the_most(
    amount: int, each: int, least: int, more: int
) -> None:
    worth = Worth("x", cents_each=each, least=least, at_most_cents=each * least + more)
    worth.check()
    wanted = 0 if amount < least else min(each * amount, each * least + more)
    assert (worth.cents(amount), worth.cents(amount + 0.4) >= wanted, worth.cents(None)) == (wanted, True, 0)
    assert (worth.least_cents, worth.most_cents) == (each * least, each * least + more)


def test_it_may_hang_on_a_number_of_the_events() -> None:
    then = Then("BACK", worth=Worth("total_cents", cents_each=1, least=5_000, at_most_cents=20_000))
    rule = Rule(id="r", on=["order"], when="true", then=then, cooldown="0s")
    store = run(customers_job([rule]), batches("events", 0, encoded(bought(49, 50, 199, 201))))[0]
    assert worths(store) == [5_000, 19_900, 20_000]


def test_a_rule_is_read_with_its_steps() -> None:
    assert read_rule(TEXT, "r.toml").then.worth == Worth("points_balance", STEPS[:2])


def test_a_rule_that_waits_sees_no_number_of_an_event() -> None:
    text = TEXT.replace('on = ["order"]', 'after = { event = "order", wait = "1d" }').replace("points_balance", "stars")
    with pytest.raises(WrongRule, match="found 'stars', of events, and a rule with `after` looks where none comes"):
        over_catalog([(read_rule(text, "r.toml"), "r.toml", text)], CATALOG)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"points_balance"', '"points_balanc"', "r.toml:4: then.worth.of: found 'points_balanc', expected a feature"),
        ('"points_balance"', '"points_balanc"', "did you mean 'points_balance'?"),
        ('"points_balance"', '"tier"', "r.toml:4: then.worth.of: found 'tier', expected a feature that is a number"),
        ("[[100, 1000], [200, 2000]]", "[[200, 1000], [100, 2000]]", "the amounts [200.0, 100.0], expected that they"),
        ("[[100, 1000], [200, 2000]]", "[[100, 2000], [200, 1000]]", "the cents [2000, 1000], expected that they rise"),
        ("[[100, 1000], [200, 2000]]", "[]", "then.worth: found neither steps nor cents_each"),
        ("steps = [[100, 1000], [200, 2000]]", "cents_each = 10", "r.toml:4: then.worth: least is missing"),
        ("steps = [[100, 1000], [200, 2000]]", "cents_each = 10, least = 1", "at_most_cents is missing"),
        ("]] }", "]], least = 5 }", "then.worth: found steps beside least"),
        (
            "steps = [[100, 1000], [200, 2000]]",
            "cents_each = 10, least = 100, at_most_cents = 999",
            "found at_most_cents = 999, and the least, 100, is worth 1000 already",
        ),
        ('"points_balance"', '"total_cent"', "did you mean 'total_cents'?"),
        (
            '"points_balance"',
            '"stars"',
            "r.toml:4: then.worth.of: stars is a field of rating, and the rule looks at order",
        ),
        ("[[100, 1000], [200, 2000]]", "[[100, 0]]", "then.worth.steps"),
        ("steps =", "stairs =", "stairs"),
        ('coupon = "P",', 'coupon = "P", face_value_cents = 5,', "then.worth: found it beside face_value_cents"),
        ('coupon = "P",', 'message = "m",', "a message alone is worth nothing"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(old: str, new: str, told: str) -> None:
    text = TEXT.replace(old, new)
    assert text != TEXT
    with pytest.raises(WrongRule) as refused:
        over_catalog([(read_rule(text, "r.toml"), "r.toml", text)], CATALOG)
    assert told in str(refused.value)
