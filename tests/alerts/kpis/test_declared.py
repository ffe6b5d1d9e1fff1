"""What `kpis.toml` may say, and how it is told what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from alerts.kpis.catalog import Condition, dim_of
from alerts.kpis.declared import WrongKpis, read_kpis
from alerts.kpis.kpi import COUNTERS
from features.outgoing import KpiMinute

TEXT = Path("config/kpis.toml").read_text()
[CHANNEL] = [line + "\n" for line in TEXT.splitlines() if line.startswith("channel ")]
[OF_REGION] = [line for line in TEXT.splitlines() if line.startswith('"region+category"')]


def test_the_shipped_file_counts_what_the_contract_of_kpi_minutes_names():
    catalog = read_kpis(TEXT, "kpis.toml")
    told = {*catalog.names, *(ratio.name for ratio in catalog.ratios)}
    assert told == {*KpiMinute.__struct_fields__} - {"dim", "minute_ms", "minutes", "revision"}


def test_counters_known_by_name_have_their_columns_wherever_they_stand_and_others_follow_in_order():
    line = "orders          = { order = 1, void = -1 }\n"
    moved = TEXT.replace(line, "").replace("\n# some counters by another", f"{line}\n# some counters by another")
    assert moved != TEXT
    assert read_kpis(moved, "f").names == read_kpis(TEXT, "f").names
    assert read_kpis(TEXT, "f").names[: len(COUNTERS)] == COUNTERS


def test_state_goes_on_when_a_counter_is_added_at_the_end_and_not_when_one_means_something_else():
    more = TEXT.replace("\n# some counters by another", "shares = { share = 1 }\n\n# some counters by another")
    (now, _), (_, former) = read_kpis(TEXT, "f").layout, read_kpis(more, "f").layout
    assert now in former
    other, former = read_kpis(TEXT.replace("[45, 50]", "[40, 50]"), "f").layout
    assert now not in (other, *former)


def test_state_goes_on_where_coupons_came_to_count_that_gateways_have_taken():
    shipped = 'coupons_issued  = { coupon_issued = 1, coupon_delivered = "issued" }'
    for earlier in (TEXT, TEXT.replace("wet_orders      = { order = 1, where = { rain_tenths = [1, 5000] } }\n", "")):
        former, _ = read_kpis(earlier.replace(shipped, "coupons_issued = { coupon_issued = 1 }"), "f").layout
        now, known = read_kpis(TEXT, "f").layout
        assert (former in known, former == now) == (True, False)
    other, _ = read_kpis(TEXT.replace(shipped, "coupons_issued = { coupon_redeemed = 1 }"), "f").layout
    assert other not in (now, *known)


def test_hours_of_a_daypart_may_go_over_midnight():
    assert read_kpis(TEXT, "f").dayparts["night"] == (23, 0, 1, 2, 3, 4)


def test_a_condition_is_a_range_a_list_of_texts_or_that_there_is_one():
    more = """late_app = { order = 1, where = { channel = ["app", "web"], customer = false, items = [2, 3] } }
"""
    catalog = read_kpis(TEXT.replace("\n# some counters by", f"{more}\n# some counters by"), "f")
    assert catalog.counters[-1].where == (
        Condition("channel", texts=("app", "web")),
        Condition("customer", named=False),
        Condition("items", 2, 3),
    )


def test_values_of_a_cross_are_told_apart_whatever_they_hold():
    pairs = [("a+b", "c"), ("a", "b+c"), ("a%2Bb", "c"), ("a", "b%2Bc"), ("a%", "2Bb+c")]
    assert len({dim_of(("store", "channel"), pair) for pair in pairs}) == len(pairs)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "refunds         = { refund = 1 }",
            "refunds = { refnd = 1 }",
            "[counters] refunds: there is no event 'refnd'",
        ),
        ("refund = 1 }", "refund = true }", "[counters] refunds: refund: found True, expected a whole number other"),
        ("refund = 1 }", "refund = 10000000000 }", "refunds: refund: found 10000000000, expected a whole number other"),
        (
            'order = "total_cents"',
            'order = "total"',
            "there is no whole-number field 'total'; did you mean 'total_cents'",
        ),
        ("[counters]", "[counters]\nticks = { tick = 1 }", "[counters] ticks: there is no event 'tick' to count"),
        ("{ customer = true }", "{ custmer = true }", "where: order has no field 'custmer'; did you mean 'customer'?"),
        (
            "{ customer = true }",
            "{ customer = 1 }",
            "where: customer: found 1, expected a text, a list of texts, or true",
        ),
        ("[45, 50]", "[50, 45]", "where: star_tenths: found [50, 45], expected [least, most]"),
        ("[45, 50]", "[45, 10000000000000000000]", "expected [least, most], included, at most 1000000000"),
        (
            '["promoters", "-detractors"]',
            "[]",
            "[ratios] nps: found {'of': [], 'per': 'ratings', 'scale': 100}: Expected",
        ),
        (
            '"store+channel" ',
            '"channel+region" ',
            "[dimensions] channel+region: is region+channel once more: leave one",
        ),
        (
            "{ sold_cents = 200_000 }",
            "{ sold_cents = 0 }",
            "[targets] staff:*: found {'sold_cents': 0}: Expected `int` >= 1",
        ),
        ("lunch     = [11, 13]", 'lunch = ["11", 13]', "[dayparts] lunch: found ['11', 13]: Expected `int`"),
        ("refunds         = { refund = 1 }\n", "", "refunds is missing; the flows know it by that name"),
        ("new_members     = { bind = 1 }", "new_members = {}", "names no event type; expected for example order = 1"),
        ('per = "visits"', 'per = "visit"', "[ratios] conversion: there is no counter 'visit'; did you mean 'visits'?"),
        ('"-detractors"', '"-detractor"', "[ratios] nps: there is no counter 'detractor'; did you mean 'detractors'?"),
        ("aov_cents ", "items ", "[ratios] items: is the name of a counter as well"),
        (
            "[ratios]",
            "[ratios]\nminutes = { of = 'orders', per = 'visits' }",
            "[ratios] minutes: is what a minute says of",
        ),
        ("[counters]", "[counters]\nrevision = { order = 1 }", "[counters] revision: is what a minute says of itself"),
        ('["promoters", "-detractors"]', '["promoters", "-promoters"]', "[ratios] nps: of: found ['promoters', '-pro"),
        ("scale = 100", "scale = inf", "[ratios] nps: found {'of': ['promoters', '-detractors'], 'per': 'ratings'"),
        ('"region+channel" ', '"region+chanel" ', "nothing is counted by 'chanel'; did you mean 'channel'?"),
        ('"region+channel" ', '"region+region" ', "expected at most 3 different parts"),
        (
            '"the unit that fails, and that somebody can visit" }',
            '"stores", every = "1h" }',
            "[dimensions] store: every: found '1h', expected '1m'; the judge of KPIs holds minutes of each region",
        ),
        (
            CHANNEL,
            "",
            "[dimensions]: channel is missing; the judge of KPIs holds minutes of each region, channel, campaign",
        ),
        (
            OF_REGION,
            "",
            "[dimensions]: region+category is missing; the judge of KPIs holds minutes of each region, channel,"
            " campaign, category, region+category, store against each other",
        ),
        (
            OF_REGION,
            '"region+category" = { why = "what to deliver where", every = "1h" }',
            "[dimensions] region+category: every: found '1h', expected '1m'; the judge of KPIs",
        ),
        (
            "category           = {",
            'category           = { every = "1h",',
            "[dimensions] category: every: found '1h', expected '1m'",
        ),
        (OF_REGION, '"category+region" = { why = "x" }', "[dimensions]: region+category is missing"),
        ('every = "1h" }\nstaff', 'every = "2h" }\nstaff', "[dimensions] region+daypart: found"),
        ('{ why = "what a campaign brings, and costs" }', "{}", "[dimensions] campaign: found {}: Object missing"),
        ("lunch     = [11, 13]", "lunch     = [11, 14]", "[dayparts] afternoon: hour 14 is in lunch as well"),
        ("lunch     = [11, 13]", "lunch     = [11, 12]", "[dayparts]: hour 13 is in none of them"),
        (
            "lunch     = [11, 13]",
            "lunch     = [11, 24]",
            "[dayparts] lunch: found [11, 24], expected [first hour, last",
        ),
        (
            '"staff:*" =',
            '"stff:*" =',
            "[targets] stff:*: expected a dimension such as store:0012 or store:*; did you mean",
        ),
        ("{ sold_cents = 200_000 }", "{ sold = 200_000 }", "[targets] staff:*: there is no counter 'sold'"),
        ("[ratios]", "[ratio]", "unknown key 'ratio'; did you mean 'ratios'?"),
    ],
)
def test_what_is_wrong_is_told_with_file_line_and_what_to_write(old: str, new: str, message: str):
    assert old in TEXT
    with pytest.raises(WrongKpis) as error:
        read_kpis(TEXT.replace(old, new), "kpis.toml")
    assert str(error.value).startswith("kpis.toml:")
    assert message in str(error.value)
