"""What `brewline demand` prints: hours ahead, of what the KPI flow has kept."""

from __future__ import annotations

import io
from typing import Any

import orjson
import pytest
from rich.console import Console

from brewline.demand import Asked, show_demand
from config.settings import Settings
from features.times import rfc3339
from tests.brewline.test_kpis import HOUR_MS, NOON_MS, order, store, tick

DAY = 24 * 60  # minutes
TEA = "store+category:0012+milk_tea"


def shown(settings: Settings, dim: str, counter: str = "sold_items", hours: int = 24) -> dict[str, Any]:
    out = io.StringIO()
    show_demand(settings, Asked(dim, counter, hours), True, Console(file=out))
    found: dict[str, Any] = orjson.loads(out.getvalue())
    return found


def test_a_store_that_sells_ten_at_noon_every_day_is_foretold_to_sell_ten_at_noon(settings: Settings) -> None:
    sold = [order(f"{day}-{n}", day * DAY + n) for day in range(12) for n in range(5)]
    store(settings, [*sold, tick(11 * DAY + 30)])
    told = shown(settings, TEA, hours=48)
    noon = {hour["at"]: hour["expected"] for hour in told["hours"] if hour["expected"] > 1}
    assert list(noon) == [rfc3339(NOON_MS + day * 24 * HOUR_MS) for day in (11, 12)]
    assert list(noon.values()) == pytest.approx([10, 10], rel=0.05)
    assert (told["learned_days"], len(told["hours"]), told["error"] < 0.1) == (10, 48, True)


def test_the_day_that_runs_and_the_first_one_teach_nothing(settings: Settings) -> None:
    store(settings, [order("a", 0), order("b", DAY), order("c", 2 * DAY), order("d", 2 * DAY + 1), tick(2 * DAY + 30)])
    assert shown(settings, TEA)["learned_days"] == 1
    assert shown(settings, TEA)["error"] is None


def test_before_a_day_is_over_it_says_that_nothing_is_known(settings: Settings) -> None:
    store(settings, [order("a", 0), tick(3)])
    out = io.StringIO()
    show_demand(settings, Asked(TEA, "sold_items", 24), False, Console(file=out, width=200))
    assert "no whole day of it has been counted yet" in out.getvalue()


@pytest.mark.parametrize(
    ("dim", "counter", "message"),
    [
        ("shop:1", "orders", "found 'shop:1', expected store+category:0012+milk_tea or the like"),
        ("store:1", "order", "there is no 'order'; did you mean 'orders'?"),
    ],
)
def test_what_is_not_counted_is_refused(settings: Settings, dim: str, counter: str, message: str) -> None:
    with pytest.raises(ValueError, match="demand: ") as error:
        shown(settings, dim, counter)
    assert message in str(error.value)
