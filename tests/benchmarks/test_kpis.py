"""What the benchmark of KPIs says of state comes out of the code that keeps it."""

from __future__ import annotations

from benchmarks.kpis import full_retention
from tests.oracle_kpis import SHIPPED


def test_the_series_of_forty_thousand_stores_fit_into_one_redis() -> None:
    sizes = full_retention(SHIPPED)
    assert sizes.keys() == {"minute", "five", "hour"}
    assert sum(sizes.values()) * 40_000 < 6 * 2**30
    assert sizes["hour"] < 400 * 14 * 16, "bytes for each hour in which a store is open"
