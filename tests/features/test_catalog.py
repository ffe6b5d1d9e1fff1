"""Declared features are checked at load: a wrong line is refused by name, before any customer sees it."""

from __future__ import annotations

from typing import Any

import pytest

from features.building import build_catalog
from features.declared import WrongFeatures
from features.events import CouponIssued, CouponRedeemed, Line, Order, View
from features.times import DAY_MS, HOUR_MS, parse_time
from tests.features.known import Known
from tests.features.test_record_exactness import CATALOG as SHIPPED

NOON_MS = parse_time("2026-05-04T12:00:00+08:00")
MANY = [
    *(
        Order(
            id=f"o{n}",
            at_ms=NOON_MS - n * 40 * HOUR_MS,
            tz="UTC",
            store=f"s{n % 3}",
            lines=[Line("tea")],
            total_cents=9000,
        )
        for n in range(8)
    ),
    CouponIssued(id="i", at_ms=NOON_MS, tz="UTC", coupon="c"),
    CouponRedeemed(id="r", at_ms=NOON_MS, tz="UTC", coupon="c"),
]

SMALL: dict[str, Any] = {
    "windows": ["1h", "7d"],
    "measures": {"orders": {"order": 1, "void": -1}, "views": {"view": 1}},
}


def test_adding_a_feature_is_adding_a_line() -> None:
    catalog = build_catalog(SMALL | {"ratios": {"views_per_order": ("views_7d", "orders_7d")}})
    known = Known(catalog)
    known.take(View(id="v", at_ms=5, day=719163, tz="UTC"))
    row = known.row(5)
    assert (row["views_7d"], row["orders_7d"]) == (1, 0)
    assert row["views_per_order"] != row["views_per_order"], "empty while nothing was ordered"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"windows": ["2h"]}, "f.toml: windows: found '2h', expected '1h', '24h', whole days or 'lifetime'"),
        ({"windows": ["0d"]}, "f.toml: windows: found '0d', expected"),
        ({"windows": ["week"]}, "f.toml: windows: expected a duration such as"),
        ({"measures": {}}, "f.toml: [measures]: 'orders' is missing"),
        (
            {"measures": {"orders": {"order": 1}, **{f"m{n}": {"view": n + 1} for n in range(62)}}},
            "f.toml: [measures]: found 63 to be kept by window, there is room for 62",
        ),
        ({"measures": {"views": {"view": 1}}}, "f.toml: [measures]: 'orders' is missing"),
        (
            {"measures": {**SMALL["measures"], "x": {"ordr": 1}}},
            "f.toml: [measures] x: there is no event 'ordr'; did you mean 'order'?",
        ),
        (
            {"measures": {**SMALL["measures"], "x": {"order": "totl_cents"}}},
            "f.toml: [measures] x: order: there is no whole-number field 'totl_cents'; did you mean 'total_cents'?",
        ),
        (
            {"measures": {**SMALL["measures"], "x": {"order": "coupon"}}},
            "f.toml: [measures] x: order: there is no whole-number field 'coupon'",
        ),
        (
            {"measures": {**SMALL["measures"], "x": {"rating": "stars"}}},
            "f.toml: [measures] x: rating: there is no whole-number field 'stars'",
        ),
        (
            {"measures": {**SMALL["measures"], "x": {"order": -1}}},
            "f.toml: [measures] x: order: only refund and void can take back, found -1",
        ),
        (
            {"ratios": {"r": ("views_7d", "order_7d")}},
            "f.toml: [ratios] r: there is no feature 'order_7d'; did you mean 'orders_7d'?",
        ),
        ({"ratios": {"r": ("views_7d",)}}, "f.toml: Expected `array` of length 2, got 1 - at `$.ratios[...]`"),
        ({"ratios": {"orders_7d": ("views_7d", "views_7d")}}, "f.toml: the name 'orders_7d' is taken: choose another"),
        (
            {"recency": {"age_days": {"event": "order", "unit": "d"}}},
            "f.toml: the name 'age_days' is taken: choose another",
        ),
        (
            {"recency": {"r": {"event": "ordr", "unit": "d"}}},
            "f.toml: [recency] r: there is no event 'ordr'; did you mean 'order'?",
        ),
        ({"recency": {"r": {"event": "order", "unit": "w"}}}, "f.toml: Invalid enum value 'w'"),
        ({"models": {"m": {}}}, "f.toml: [models]: models stand in a file of their own: move them to models.toml"),
        ({"feature": {}}, "f.toml: Object contains unknown field `feature`"),
    ],
)
def test_a_wrong_line_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(WrongFeatures) as wrong:
        build_catalog(SMALL | change, "f.toml")
    assert str(wrong.value).startswith(message)


MEASURE_ERRORS: list[tuple[dict[str, Any], str]] = [
    ({}, "names no event type"),
    ({"order": 1, "aggregate": "median"}, "aggregate: found 'median'"),
    ({"order": 1, "windows": ["2h"]}, "windows: found '2h'"),
    ({"order": 1, "windows": "7d"}, "windows: found '7d', expected a list"),
    ({"order": "store", "aggregate": "distinct"}, "windows: distinct cannot be counted over a lifetime"),
    ({"order": "total_cents", "aggregate": "distinct", "windows": ["7d"]}, "order: there is no text 'total_cents'"),
    ({"order": 1, "aggregate": "top", "half_life": "7d"}, "order: found 1, expected a field's name"),
    ({"order": "sku", "aggregate": "top"}, "half_life: is missing"),
    ({"order": "sku", "aggregate": "top", "half_life": "1h"}, "half_life: found '1h', expected a day or more"),
    ({"order": 1, "half_life": "7d"}, "half_life: sum has none"),
    ({"order": "stor", "aggregate": "last"}, "order: there is no text 'stor'; did you mean 'store'?"),
    ({"order": "store", "aggregate": "last", "windows": ["7d"]}, "windows: last has none"),
    ({"void": "-amount_cents", "aggregate": "max"}, "void: max cannot take back"),
    ({"order": 1, "where": "app"}, "where: found 'app', expected a table"),
    ({"order": 1, "where": {"chanel": "app"}}, "where: order has no text 'chanel'; did you mean 'channel'?"),
    ({"order": 1, "where": {"channel": 1}}, "where: channel: found 1, expected a text"),
    ({"order": 1, "void": -1, "where": {"category": "tea"}}, "where: void has no text 'category'"),
    ({"order": 1, "where": {"hour": [5, 24]}}, "where: hour: found [5, 24], expected [first, last] within 0 to 23"),
    ({"order": 1, "where": {"weekday": 6}}, "where: weekday: found 6, expected [first, last] within 1 to 7"),
]


@pytest.mark.parametrize(("measure", "message"), MEASURE_ERRORS)
def test_a_measure_that_makes_no_sense_is_refused_by_name(measure: dict[str, Any], message: str) -> None:
    with pytest.raises(WrongFeatures) as wrong:
        build_catalog(SMALL | {"windows": ["1h", "lifetime"], "measures": SMALL["measures"] | {"x": measure}}, "f.toml")
    assert str(wrong.value).startswith(f"f.toml: [measures] x: {message}")


ORDERS_ERRORS: list[tuple[dict[str, Any], str]] = [
    ({"order": 1, "aggregate": "max"}, "aggregate: found 'max', expected 'sum': the rhythm of a customer is"),
    ({"order": 1, "aggregate": "mean"}, "aggregate: found 'mean', expected 'sum'"),
    ({"order": 1, "aggregate": "decay", "half_life": "7d"}, "aggregate: found 'decay', expected 'sum'"),
    ({"order": 1, "aggregate": "smu"}, "aggregate: found 'smu'; did you mean 'sum'?"),
    ({"order": "items"}, "order: found 'items', expected 1: the rhythm of a customer is counted in orders"),
    ({"order": 2}, "order: found 2, expected 1"),
    ({"view": 1}, "order: is missing, expected 1"),
]


@pytest.mark.parametrize(("orders", "message"), ORDERS_ERRORS)
def test_orders_that_are_not_counted_are_refused(orders: dict[str, Any], message: str) -> None:
    count = {"order": 1}  # keeps the cell that the rhythm is counted in, under another name
    with pytest.raises(WrongFeatures) as wrong:
        build_catalog(SMALL | {"measures": {"orders": orders, "count": count}}, "f.toml")
    assert str(wrong.value).startswith(f"f.toml: [measures] orders: {message}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bands": {"b": {"of": "orders_8d", "cuts": [1]}}}, "[bands] b: there is no feature 'orders_8d'"),
        ({"bands": {"b": {"of": "orders_7d", "cuts": [2, 1]}}}, "[bands] b: cuts: found [2.0, 1.0]"),
        ({"bands": {"b": {"of": "orders_7d", "cuts": [1], "names": ["x"]}}}, "[bands] b: names: found 1"),
        ({"segments": {"s": [{"name": "x", "when": {"b": [1, 2]}}]}}, "[segments] s: there is no feature 'b'"),
        ({"points": {"earn": {"order": 1}, "cents_per_point": 0, "valid_months": 12}}, "[points]: expected cents"),
        ({"points": {"earn": {"ordr": 1}, "cents_per_point": 1, "valid_months": 12}}, "[points]: earn: there is no"),
        ({"ratios": {"r": ("sort", "orders_7d")}}, "[ratios] r: 'sort' is a text, expected a number"),
    ],
)
def test_what_is_made_of_features_is_checked_too(change: dict[str, Any], message: str) -> None:
    sort = {"sort": {"order": "sku", "aggregate": "top", "half_life": "30d"}}
    with pytest.raises(WrongFeatures) as wrong:
        build_catalog(SMALL | {"measures": SMALL["measures"] | sort} | change, "f.toml")
    assert str(wrong.value).startswith(f"f.toml: {message}")


def test_fewer_columns_are_the_same_columns() -> None:
    wanted = ["rfm_segment", "coupon_use_change", "favourite_store", "orders_1h", "tier", "minutes_since_order"]
    narrow = SHIPPED.narrowed(wanted)
    assert len(narrow.names) < len(SHIPPED.names) / 2
    assert narrow.layout == SHIPPED.layout
    wide, few = Known(SHIPPED), Known(narrow)
    for known in (wide, few):
        known.take(*MANY)
    assert wide.raw == few.raw
    whole = wide.row(NOON_MS + DAY_MS)
    assert repr(few.row(NOON_MS + DAY_MS)) == repr({name: whole[name] for name in narrow.names})
    assert [SHIPPED.names[i] for i in SHIPPED.models["churn_risk"]] == [
        narrow.names[i] for i in narrow.models["churn_risk"]
    ]
