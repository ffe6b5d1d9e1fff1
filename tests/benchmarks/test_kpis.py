"""What the benchmark of KPIs says of state comes out of the code that keeps it."""

from __future__ import annotations

import pytest

from alerts.kpis.hour import decode_hour
from alerts.kpis.rollup import HOURS, Rollup
from benchmarks.kpis import CATEGORIES, OPEN_HOURS, by_category, full_retention
from tests.oracle_kpis import SHIPPED


def test_the_series_of_forty_thousand_stores_fit_into_one_redis() -> None:
    sizes = full_retention(SHIPPED)
    assert sizes.keys() == {"minute", "five", "hour"}
    assert sum(sizes.values()) * 40_000 < 6 * 2**30
    assert sizes["hour"] < 400 * 14 * 16, "bytes for each hour in which a store is open"


def test_a_stores_categories_are_kept_by_the_hour_and_hold_its_orders() -> None:
    records = by_category(SHIPPED)
    hours = [Rollup(60, one.raw).slots() for one in records if one.name.startswith("hours|")]
    orders = SHIPPED.names.index("orders")
    days = [sum(counts[orders] for counts in slots.values()) / (HOURS.hours / 24) for slots in hours]
    assert len(hours) == len(CATEGORIES)
    assert sum(days) == pytest.approx(500 * (1 - 0.5 ** len(CATEGORIES)), rel=0.05)
    assert max(len(slots) for slots in hours) == HOURS.hours * OPEN_HOURS / 24
    running = [decode_hour(one.raw) for one in records if not one.name.startswith("hours|")]
    assert all(len(hour.minutes) == 1 for hour in running)
    kept = sum(len(one.raw) * one.alike for one in records)
    assert kept * 40_000 < 8 * 2**30, "as much as one Redis holds beside the stores' own"
