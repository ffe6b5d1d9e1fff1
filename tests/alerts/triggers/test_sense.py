"""A condition that cannot be meant is refused with what to write; what can be meant is not."""

from __future__ import annotations

import pytest

from alerts.triggers.condition import over_catalog
from alerts.triggers.gifts import WrongRule
from alerts.triggers.rule import read_rule
from alerts.triggers.sense import Comparison, comparisons
from tests.alerts.triggers.jobs import CATALOG

RULE = """id = "r"
on = {on}
when = "{when}"
{more}
then = {{ coupon = "X", face_value_cents = 100 }}
cooldown = "1d"
[[test]]
name = "fires"
events = [{{ type = "order" }}]
fires_at = ["+0s"]
[[test]]
name = "is quiet"
events = [{{ type = "login" }}]
"""


def load(when: str, on: str = '["order"]', more: str = "") -> None:
    text = RULE.format(on=on, when=when, more=more)
    over_catalog([(read_rule(text, "r.toml"), "r.toml", text)], CATALOG)


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ("orders_7d => 3", "found =>: write >=;"),
        ("orders_7d =< 3", "found =<: write <=;"),
        ("orders_7d >= 3 && hour > 3", "found &&: write AND;"),
        ("orders_7d >= 3 || hour > 3", "found ||: write OR;"),
        ("NOT (orders_7d > 3) IS  true", "found IS TRUE: write coalesce(..., false);"),
        ("(orders_7d > 3) IS NOT TRUE", "found IS NOT TRUE: write NOT coalesce(..., false);"),
        ("(orders_7d > 3) is not false", "found IS NOT FALSE: write coalesce(..., true);"),
        ("tier IS NULL", "tier is a text, which is '' where there is none: write tier = '';"),
        ("NOT (hour > 3 AND sku is not null)", "sku is a text, which is '' where there is none: write sku <> '';"),
        (
            "hour BETWEEN 22 AND 2",
            "nothing is BETWEEN 22 AND 2: the lesser comes first; past midnight say >= 22 OR <= 2;",
        ),
        ("orders_7d not between 3 and -1 AND hour > 3", "nothing is BETWEEN 3 AND -1: the lesser comes first;"),
        ("weekday = 'mon'", "weekday is a number from 1 (Monday) to 7 (Sunday); found 'mon';"),
        ("orders_7d IN (1, '2')", "orders_7d is a number; found '2';"),
        ("channel = 3", "channel is a text, which stands in single quotes and is equal or not: channel = 'word';"),
        (
            "favourite_category = milk_tea",
            "there is no feature or function 'milk_tea'; a text stands in single",
        ),
        ("tier = 'platinum'", "tier is never 'platinum'; known are gold, ordinary, silver;"),
        ("NOT ('platinum' <> tier)", "tier is never 'platinum'; known are gold, ordinary, silver;"),
        ("tier NOT IN ('gold', 'platinum')", "tier is never 'platinum'; known are gold, ordinary, silver;"),
        ("event = 'ordre'", "event is never 'ordre'; did you mean 'order'?"),
        ("churn_risk > 70", "churn_risk is from 0 to 1; found churn_risk > 70;"),
        ("orders_7d > 3 AND 70 < churn_risk", "churn_risk is from 0 to 1; found churn_risk > 70;"),
        ("hour BETWEEN 25 AND 30", "hour is from 0 to 23; found hour >= 25;"),
        ("hour >= 22 OR hour > 23", "hour is from 0 to 23; found hour > 23;"),
        ("weekday BETWEEN 0 AND 4", "weekday is a number from 1 (Monday) to 7 (Sunday); found weekday >= 0;"),
        ("hour > -1", "hour is from 0 to 23; found hour > -1;"),
        ("stars <= 2", "stars is a field of rating, and the rule looks at order only: say on = ['rating'];"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_to_write(when: str, told: str) -> None:
    with pytest.raises(WrongRule) as wrong:
        load(when)
    assert str(wrong.value).startswith(f"r.toml:3: when: {told}")


@pytest.mark.parametrize(
    "when",
    [
        "orders_7d == 3",
        "hour < 24 AND weekday <= 7 AND minute_of_day BETWEEN 0 AND 1440",
        "hour + 2 > 24 OR 2 * hour > 40 OR hour > 20 + 2",
        "churn_risk <= 1 AND churn_risk >= 0 AND uplift > -0.5",
        "tier IN ('gold', 'silver') OR tier = ''",
        "NOT hour BETWEEN 0 AND 6",
        "hour BETWEEN 4 AND 4 AND orders_7d BETWEEN 5 AND 2 * 4 AND channel <> 'between 3 and 1'",
        "orders_7d BETWEEN 5 AND orders_30d AND aov_cents_30d BETWEEN 5 AND 4 + orders_7d",
        "orders_7d IS NULL OR total_cents IS NOT NULL AND tier = 'gold'",
        "favourite_category <> 'this IS TRUE' AND NOT coalesce(orders_7d > 3, false)",
        "favourite_category <> 'a => b && tier = ''x'' or hour > 70'",
        "total_cents >= 100 AND event <> 'view'",
    ],
)
def test_what_can_be_meant_is_let_through(when: str) -> None:
    load(when)


def test_fields_are_those_of_the_events_at_which_it_is_asked() -> None:
    load("event = 'order' OR stars <= 2", on='["order", "rating"]')
    load("orders_7d > 1", more='exit = "stars >= 4"\nexit_on = ["rating"]')
    with pytest.raises(
        WrongRule, match=r"when: event is never 'view', for the rule looks at order and rating only: say on"
    ):
        load("event IN ('order', 'view')", on='["order", "rating"]')
    with pytest.raises(WrongRule, match=r"exit: stars is a field of rating, and the rule looks at order and view only"):
        load("orders_7d > 1", more='exit = "stars >= 4"\nexit_on = ["view"]')
    with pytest.raises(WrongRule, match=r"when: temp_c is a field of .*order.*, and the rule looks at rating only"):
        load("temp_c > 30", on='["rating"]')
    waits = RULE.replace("on = {on}", 'after = {{ event = "order", wait = "1d" }}').format(when="stars < 2", more="")
    with pytest.raises(WrongRule, match=r"when: stars is a field of rating, and the rule looks where nothing happens"):
        over_catalog([(read_rule(waits, "r.toml"), "r.toml", waits)], CATALOG)


def test_each_comparison_of_a_name_with_a_number_or_a_text_is_found() -> None:
    said = "a >= -3 AND (b IN ('x', 'it''s') OR 5 > c) AND d NOT BETWEEN 1 AND 2 AND e + 1 > 2 AND f > g AND h == 'y'"
    assert comparisons(said) == [
        Comparison("a", ">=", -3.0),
        Comparison("b", "=", "x"),
        Comparison("b", "=", "it's"),
        Comparison("c", "<", 5.0),
        Comparison("d", ">=", 1.0),
        Comparison("d", "<=", 2.0),
        Comparison("h", "=", "y"),
    ]
