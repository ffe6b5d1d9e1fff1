"""Campaign files: what they may say, what is refused, and how their limits come out."""

from __future__ import annotations

from collections import Counter

import pytest

from alerts.triggers.campaign import read_campaign
from alerts.triggers.gifts import Then, WrongRule
from alerts.triggers.rule import After, Rule
from features import events as e
from features.loop import Store, batches, run
from features.times import HOUR_MS, local_day, parse_time
from tests.alerts.triggers.campaigns import campaigns_of
from tests.alerts.triggers.jobs import FREE, customers_job, data_of, encoded

NOON_MS = parse_time("2026-05-04T12:00:00+08:00")
FILE = """id = "spring"
budget_cents = 1000
coupons = 3
from = 2026-05-01
until = "2026-06-01T00:00:00+08:00"

[per_region]
east = 500
"""


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (("budget_cents", "budget_cent"), "f.toml:2: unknown key 'budget_cent'; did you mean 'budget_cents'?"),
        (("= 1000", '= "x"'), "f.toml:2: budget_cents: found 'x', expected `int"),
        (("= 1000", "= -3"), "f.toml:2: budget_cents: found -3, expected `int` >= 0"),
        (("2026-05-01", "2026-05-01T10:00:00"), "f.toml:4: from: found '2026-05-01 10:00:00', expected a date such as"),
        (("2026-05-01", "2026-07-01"), "f.toml:5: until: ends before it begins"),
        (("+08:00", ""), "f.toml:5: until: found '2026-06-01T00:00:00', expected a date such as"),
        (("[per_region]", "[per_regoin]"), "f.toml:7: unknown key 'per_regoin'; did you mean 'per_region'?"),
        (("= 500", "= 0.5"), "f.toml:7: per_region: found {'east': 0.5}, expected `int`"),
        (('id = "spring"', ""), "f.toml:1: `id` is missing"),
        (("= 3", "=== 3"), "f.toml: not valid TOML"),
    ],
)
def test_a_wrong_file_is_told_with_line_and_key(wrong: tuple[str, str], told: str) -> None:
    with pytest.raises(WrongRule) as caught:
        read_campaign(FILE.replace(*wrong), "f.toml")
    assert str(caught.value).startswith(told)


def view(number: int, at_ms: int = NOON_MS, customer: str = "", **fields: str) -> e.View:
    fields = {"tz": "Asia/Shanghai", **fields}
    day = local_day(at_ms, fields["tz"])
    return e.View(id=f"v{number}", customer=customer or f"c{number}", at_ms=at_ms + number, day=day, **fields)


def outcomes(file: str, *log: e.Event, face_value_cents: int = 300) -> list[tuple[str, str]]:
    rule = Rule(id="r", on=["view"], when="true", then=Then("c", face_value_cents, campaign="spring"), cooldown="0s")
    job = customers_job([rule], FREE, campaigns=campaigns_of(file))
    decisions = data_of(run(job, batches("events", 0, encoded(list(log))))[0], "decisions")
    return [(d["outcome"], d["ran_out"]) for d in decisions]


def test_a_campaign_without_a_file_has_no_limits_and_counts_nothing() -> None:
    assert outcomes('id = "other"\ncoupons = 0', view(0), view(1)) == [("issued", "")] * 2


def test_stock_and_budget_end_at_the_unit() -> None:
    log = [view(n) for n in range(4)]
    assert Counter(outcomes('id = "spring"\ncoupons = 3', *log)) == {("issued", ""): 3, ("stock", "coupons"): 1}
    assert Counter(outcomes('id = "spring"\nbudget_cents = 900', *log)) == {("issued", ""): 3, ("budget", "budget"): 1}
    assert Counter(outcomes('id = "spring"\nbudget_cents = 899', *log)) == {("issued", ""): 2, ("budget", "budget"): 2}


def test_budgets_by_store_end_for_that_store_alone() -> None:
    file = 'id = "spring"\n[per_store]\ns1 = 300\ndefault = 600'
    log = [view(n, store=store) for n, store in enumerate(("s1", "s1", "s2", "s2", "s2", "s3"))]
    found = [ran_out or outcome for outcome, ran_out in outcomes(file, *log)]
    assert found == ["issued", "store:s1", "issued", "issued", "store:s2", "issued"]


def test_a_coupon_that_comes_of_no_store_counts_for_none() -> None:
    file = 'id = "spring"\nbudget_cents = 500\n[per_store]\ndefault = 0'
    rule = Rule(id="r", after=After("cart_add", "30m"), when="true", then=Then("c", 300, "7d", "spring"), cooldown="0s")
    job = customers_job([rule], FREE, campaigns=campaigns_of(file))
    carts = [e.CartAdd(id=f"{n}", customer=f"c{n}", at_ms=NOON_MS, sku="tea", store="s1") for n in range(2)]
    tick = e.Tick(id="t", at_ms=NOON_MS + HOUR_MS, source="s", of=1)
    store: Store = run(job, batches("events", 0, encoded([*carts, tick])))[0]
    assert [d["ran_out"] for d in data_of(store, "decisions")] == ["", "budget"]
    assert store.spent == {"spring/coupons": 1, "spring/budget": 300, "spring/since": NOON_MS + HOUR_MS // 2}


@pytest.mark.parametrize(
    ("bounds", "zone", "moment", "outcome"),
    [
        ("from = 2026-05-05", "Asia/Shanghai", "2026-05-04T23:59:59.900+08:00", "campaign_not_begun"),
        ("from = 2026-05-05", "Asia/Shanghai", "2026-05-05T00:00:00+08:00", "issued"),
        ("from = 2026-05-05", "America/New_York", "2026-05-05T00:00:00+08:00", "campaign_not_begun"),
        ("until = 2026-05-05", "Asia/Shanghai", "2026-05-05T23:59:59.900+08:00", "issued"),
        ("until = 2026-05-05", "Asia/Shanghai", "2026-05-06T00:00:00+08:00", "campaign_over"),
        ("until = 2026-05-05", "America/New_York", "2026-05-06T00:00:00+08:00", "issued"),
        ("until = 2026-05-05T12:00:00Z", "America/New_York", "2026-05-05T11:59:59.900Z", "issued"),
        ("until = 2026-05-05T12:00:00Z", "America/New_York", "2026-05-05T12:00:00Z", "campaign_over"),
    ],
)
def test_a_date_is_the_stores_own_and_a_time_is_a_moment(bounds: str, zone: str, moment: str, outcome: str) -> None:
    assert outcomes(f'id = "spring"\n{bounds}', view(0, parse_time(moment), tz=zone)) == [(outcome, "")]


def test_a_mere_message_counts_for_no_limit_and_keeps_to_the_days() -> None:
    file = 'id = "spring"\nbudget_cents = 0\ncoupons = 0\ncoupons_per_customer = 1\nuntil = 2026-05-05'
    rule = Rule(id="r", on=["view"], when="true", then=Then(message="hello", campaign="spring"), cooldown="0s")
    job = customers_job([rule], FREE, campaigns=campaigns_of(file))
    log = [view(0, customer="c"), view(1, customer="c"), view(2, NOON_MS + 48 * HOUR_MS, customer="c")]
    store = run(job, batches("events", 0, encoded(log)))[0]
    assert [d["outcome"] for d in data_of(store, "decisions")] == ["issued", "issued", "campaign_over"]
    assert store.spent == {}


def test_a_customer_gets_so_many_coupons_of_a_campaign_and_no_more() -> None:
    log = [view(n, customer=customer) for n, customer in enumerate("aabab")]
    found = [outcome for outcome, _ in outcomes('id = "spring"\ncoupons_per_customer = 2', *log)]
    assert found == ["issued", "issued", "issued", "customer_limit", "issued"]


def test_each_brand_may_have_a_budget_of_its_own() -> None:
    file = 'id = "spring"\n[per_brand]\nLeaf = 300\ndefault = 600'
    log = [view(n, brand=brand) for n, brand in enumerate(["Leaf", "Leaf", "Pot", "Pot", "Pot", ""])]
    assert outcomes(file, *log) == [
        ("issued", ""),
        ("budget", "brand:Leaf"),
        ("issued", ""),
        ("issued", ""),
        ("budget", "brand:Pot"),
        ("issued", ""),
    ]


def test_what_a_coupon_costs_is_told_alike_the_first_time_and_again() -> None:
    known = campaigns_of(FILE, FILE.replace("spring", "autumn").replace("east", "west"))
    thens = [Then("c", 300, campaign="spring"), Then("c", 500, campaign="spring"), Then(message="m", campaign="spring")]
    places = [{}, {"region": "east"}, {"region": "west"}, {"store": "east"}]
    for _ in range(2):
        for campaign in known.by_id.values():
            for then in thens:
                for names in places:
                    assert known.costs(campaign, then, names) == campaign.costs(then, names)
