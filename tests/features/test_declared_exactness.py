"""Measures of every kind, with what they may ask of events and of the lines of orders, equal the brute-force ones."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from features import events as e
from features.building import build_catalog
from features.times import DAY_MS, HOUR_MS
from tests.features.known import Known
from tests.features.streams import logs
from tests.features.test_record_exactness import DECLARED, differences
from tests.oracle import Customer

SNACKS, APP, NIGHT = {"category": "snack"}, {"channel": "app"}, {"hour": [22, 5]}
SUGARED = {"options.sugar": ["half", "none"], "category": "drink", "weekday": [5, 1]}
ASKING: dict[str, Any] = {
    "snacks": {"order": "items", "where": SNACKS},
    "sugared": {"order": "items", "where": SUGARED},
    "snack_orders": {"order": 1, "where": SNACKS | APP},
    "night_items": {"order": "items", "refund": "-items", "void": "-items", "where": NIGHT},
    "night_cents": {"order": "total_cents", "refund": "-amount_cents", "void": "-amount_cents", "where": NIGHT},
    "most_items": {"order": "items", "aggregate": "max", "where": APP | NIGHT},
    "mean_snacks": {"order": "items", "aggregate": "mean", "where": SNACKS},
    "least_cents": {"order": "total_cents", "aggregate": "min", "where": {"weekday": [6, 7]}},
    "teas": {"view": 1, "cart_add": 1, "where": {"sku": ["tea", "cake"]}},
    "worst_night": {"rating": "star_tenths", "aggregate": "min", "where": NIGHT},
    "app_stores": {"order": "store", "aggregate": "distinct", "windows": ["30d"], "where": APP},
    "app_drinks": {"order": "sku", "aggregate": "distinct", "windows": ["30d"], "where": APP | {"category": "drink"}},
    "top_snack": {"order": "sku", "aggregate": "top", "half_life": "3d", "where": SNACKS | {"hour": [6, 20]}},
    "top_hour": {"order": "hour", "aggregate": "top", "half_life": "3d", "where": APP},
    "last_sugar": {"order": "options.sugar", "aggregate": "last", "where": SUGARED},
    "last_snacks": {"order": "items", "aggregate": "last", "where": SNACKS},
    "last_stars": {"rating": "star_tenths", "aggregate": "last", "where": NIGHT},
    "snacks_decayed": {"order": "items", "aggregate": "decay", "half_life": "2d", "where": SNACKS},
}
ALL = {**DECLARED, "measures": {**DECLARED["measures"], **ASKING}}
CATALOG = build_catalog(ALL)


@settings(max_examples=80, deadline=None)
@given(logs(("c",), longest=40), st.sampled_from((0, HOUR_MS, DAY_MS, 8 * DAY_MS)), st.booleans())
def test_what_a_measure_asks_of_events_and_lines_decides_what_counts(
    log: list[e.Event], later_ms: int, at_once: bool
) -> None:
    known, twin = Known(CATALOG), Customer(ALL)
    for events in [log] if at_once else [[event] for event in log]:
        assert known.take(*events) == [twin.take(event) for event in events]
    if twin.events:
        at_ms = twin.newest_ms + later_ms
        assert differences(known.row(at_ms), twin.features(at_ms)) == {}


IN_ANY_ORDER = {**ALL, "windows": ["2d", *reversed(ALL["windows"]), "1d"]}
ANYHOW = build_catalog(IN_ANY_ORDER)


@settings(max_examples=25, deadline=None)
@given(logs(("c",), longest=40), st.sampled_from((0, HOUR_MS, DAY_MS, 8 * DAY_MS)))
def test_windows_may_be_declared_in_any_order_and_a_day_is_another_one_than_24_hours(
    log: list[e.Event], later_ms: int
) -> None:
    known, twin = Known(ANYHOW), Customer(IN_ANY_ORDER)
    for event in log:
        known.take(event)
        twin.take(event)
    if twin.events:
        at_ms = twin.newest_ms + later_ms
        assert differences(known.row(at_ms), twin.features(at_ms)) == {}
