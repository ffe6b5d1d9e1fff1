"""Categories of which nothing is sold: what that does to counts, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest

from features.times import DAY_MS, HOUR_MS, MINUTE_MS, parse_time
from sim.minutes import COLUMN, Minutes, Town
from sim.outages import A_DAY, CATEGORIES, SHORTAGE, TAKES_ANOTHER, Outage, plan_outages, plan_shortages

START_MS = parse_time("2026-03-02T00:00:00Z")
ORDERS = COLUMN["orders"]
NAMES = [*CATEGORIES]
EAST = 0  # of the regions, by name
NOON_MS = START_MS + 4 * HOUR_MS


def town() -> Town:
    return Town(3, 200, 2_000, START_MS)


def lived(outages: list[Outage], hours: int = 5) -> list[Minutes]:
    return [*town().hours(hours, outages)]


@pytest.fixture(scope="module")
def usual() -> Minutes:
    return lived([])[-1]


def test_orders_of_a_category_are_its_share_of_all_orders_and_bear_the_rain_and_the_members_of_these(
    usual: Minutes,
) -> None:
    for name in ("orders", "wet_orders", "eligible_orders"):
        of_regions = usual.counts[..., COLUMN[name]].sum(axis=0) @ town().within.T
        shares = usual.categories[..., COLUMN[name]].sum(axis=1) / np.maximum(1, of_regions)
        assert np.allclose(shares[:, of_regions > 500], np.array([*CATEGORIES.values()])[:, None], atol=0.06)


def test_what_is_in_carts_is_drawn_apart_so_that_all_else_comes_as_without() -> None:
    one, other = town(), town()
    other.carts = np.random.default_rng(99)
    for mine, theirs in zip(one.hours(4, []), other.hours(4, []), strict=True):
        assert np.array_equal(mine.counts, theirs.counts)
        assert np.array_equal(mine.campaigns, theirs.campaigns)
    assert not np.array_equal(mine.categories, theirs.categories)


@pytest.mark.parametrize("dim", ["category:coffee", "region+category:east+coffee"])
def test_a_category_that_is_missing_is_not_sold_there_and_half_of_those_who_came_for_it_take_another(
    usual: Minutes, dim: str
) -> None:
    fault = Outage(SHORTAGE, NOON_MS, NOON_MS + 30 * MINUTE_MS, dim, category="coffee")
    hour, coffee = lived([fault])[-1], NAMES.index("coffee")
    there = hour.categories[..., ORDERS][:, :30]
    elsewhere = slice(EAST + 1, None)
    assert there[coffee, :, EAST].sum() == 0
    assert (there[coffee, :, elsewhere].sum() == 0) == (dim == "category:coffee")
    assert hour.categories[coffee, 30:, EAST, ORDERS].sum() > 0
    before, others = usual.categories[:, :30, EAST, ORDERS], np.arange(len(NAMES)) != coffee
    orders = [(each.counts[:30, :, ORDERS].sum(axis=0) @ town().within.T)[EAST] for each in (usual, hour)]
    assert 1 - orders[1] / orders[0] == pytest.approx(CATEGORIES["coffee"] * (1 - TAKES_ANOTHER), abs=0.04)
    assert there[others, :, EAST].sum() / orders[1] > 1.05 * before[others].sum() / orders[0]


def test_shortages_are_of_the_chain_and_of_a_region_in_turn_and_leave_the_other_faults_as_they_were() -> None:
    stores = town().stores
    before = plan_outages(7, stores, START_MS, 2)
    found = plan_shortages(7, stores, START_MS, 2)
    assert plan_outages(7, stores, START_MS, 2) == before
    assert SHORTAGE not in {outage.kind for outage in before}
    assert len(found) == 2 * A_DAY
    assert [outage.dim.partition(":")[0] for outage in found] == ["category", "region+category"] * A_DAY
    assert {outage.where.partition(":")[0] for outage in found} == {"chain", "region"}
    assert all(outage.dim.endswith(outage.category) and outage.category in CATEGORIES for outage in found)
    ends = [0, *(outage.to_ms for outage in found)]
    assert all(end < outage.from_ms for end, outage in zip(ends, found, strict=False))
    assert found[-1].to_ms < START_MS + 2 * DAY_MS
