"""Declared features are checked at load: a wrong line is refused by name, before any customer sees it."""

from __future__ import annotations

from typing import Any

import pytest

from features.catalog import WrongFeatures, build_catalog
from features.events import View
from tests.features.known import Known

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
        (
            {"models": {"m": {"features": ["views_8d"]}}},
            "f.toml: [models.m]: there is no feature 'views_8d'; did you mean 'views_7d'?",
        ),
        ({"models": {"views_7d": {"features": ["views_7d"]}}}, "f.toml: the name 'views_7d' is taken: choose another"),
        ({"feature": {}}, "f.toml: Object contains unknown field `feature`"),
    ],
)
def test_a_wrong_line_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(WrongFeatures) as wrong:
        build_catalog(SMALL | change, "f.toml")
    assert str(wrong.value).startswith(message)


def test_a_record_of_other_measures_is_refused_not_misread() -> None:
    before = build_catalog(SMALL)
    after = build_catalog(SMALL | {"measures": {"views": {"view": 1}, "orders": {"order": 1, "void": -1}}})
    assert before.layout != after.layout
    assert before.layout == build_catalog(SMALL | {"windows": ["1h", "30d"]}).layout, "panes serve any window"
