"""Demand is foretold by the hour of the week, from whole days that are over, and better than the week before says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from alerts.kpis.demand import DAY_HOURS, Demand, Floats, learned

MONDAY = 4  # day 4 since the epoch


def shop(days: int, size: float = 6.0, seed: int = 1) -> tuple[Floats, Floats]:
    """What is expected of each hour, and what comes: closed at night, twice as busy at weekends, busiest at noon."""
    hours = np.arange(DAY_HOURS)
    usual = np.where((hours >= 8) & (hours < 22), 1 + np.exp(-(((hours - 12) / 3) ** 2)), 0.0)
    weekend = np.array([2.0 if (day - MONDAY) % 7 >= 5 else 1.0 for day in range(days)])
    expected = size * weekend[:, None] * usual
    return expected, np.random.default_rng(seed).poisson(expected).astype(np.float64)


def taught(came: Floats) -> Demand:
    demand = Demand()
    for day, hours in enumerate(came):
        demand.learn(day, hours)
    return demand


def off(found: Floats, expected: Floats) -> float:
    return float(np.abs(found - expected).sum() / expected.sum())


@pytest.mark.parametrize(("size", "days"), [(0.2, 56), (6.0, 28), (200.0, 21)])
def test_each_hour_of_the_week_is_foretold_nearer_than_the_mean_of_the_same_hours_before(
    size: float, days: int
) -> None:
    expected, came = shop(days + 7, size)
    demand = taught(came[:days])
    ours = np.array([demand.foretell(day) for day in range(days, days + 7)])
    same_hours = came[:days].reshape(-1, 7, DAY_HOURS).mean(axis=0)
    assert off(ours, expected[days:]) < off(same_hours, expected[days:])
    assert off(ours, expected[days:]) < 0.25
    closed = (np.arange(DAY_HOURS) < 8) | (np.arange(DAY_HOURS) >= 22)
    assert (ours[:, closed] == 0).all()


def test_after_two_days_the_hours_are_known_and_the_weekdays_are_not() -> None:
    expected, came = shop(9, 50.0)
    demand = taught(came[:2])
    assert off(demand.foretell(5), expected[:2].mean(axis=0)) < 0.2


def test_a_shop_that_doubles_is_followed_within_two_weeks() -> None:
    expected, came = shop(84, 20.0)
    more = np.random.default_rng(2).poisson(2 * expected[:14]).astype(np.float64)
    demand = taught(np.concatenate([came, more]))
    assert off(demand.foretell(98), 2 * expected[0]) < 0.25


@pytest.mark.parametrize("size", [3.0, 60.0])
def test_a_shop_that_opens_four_hours_later_is_foretold_so_within_eight_weeks(size: float) -> None:
    expected, came = shop(175, size)
    moved = taught(np.concatenate([came[:112], np.roll(came[112:168], 4, axis=1)]))
    assert off(moved.foretell(168), np.roll(expected[168], 4)) < 0.25
    assert off(taught(came[:168]).foretell(168), expected[168]) < 0.1


def test_one_customer_who_buys_a_hundred_moves_little() -> None:
    _, came = shop(56, 1.0)
    party = came.copy()
    party[-1, 12] += 100
    before, after = (taught(some).foretell(63)[8:22].sum() for some in (came, party))
    assert before < after < 1.5 * before


@pytest.mark.parametrize("absurd", [1e4, 1e9])
def test_an_absurd_hour_moves_what_is_foretold_by_little(absurd: float) -> None:
    expected, came = shop(84, 20.0)
    came[56, 12] = absurd
    for days in (57, 63, 64, 84):
        foretold = [taught(came[:days]).foretell(days + i).sum() for i in range(7)]
        assert sum(foretold) == pytest.approx(expected[:7].sum(), rel=0.25)


def test_a_shop_that_sells_a_hundred_times_as_much_is_followed_within_a_month() -> None:
    expected, came = shop(84, 20.0)
    more = np.random.default_rng(2).poisson(100 * expected[:28]).astype(np.float64)
    assert off(taught(np.concatenate([came, more])).foretell(112), 100 * expected[0]) < 0.25


def test_days_are_judged_by_what_was_foretold_as_they_began() -> None:
    _, came = shop(21)
    demand, found = Demand(), [0.0, 0.0, 0.0]
    for day, hours in enumerate(came):
        if day >= 7:
            known = taught(came[:day])
            fading = 0.5 ** (1 / 28)
            now = (hours.sum(), abs(hours - known.foretell(day)).sum(), abs(hours - came[day - 7]).sum())
            found = [fading * former + one for former, one in zip(found, now, strict=True)]
        demand.learn(day, hours)
    errors = demand.errors
    assert [errors.came, errors.foretold, errors.week_before] == pytest.approx(found)
    assert errors.foretold < errors.week_before


def test_hours_in_which_nothing_came_are_zeros() -> None:
    _, came = shop(20)
    hours = {i: n for i, n in enumerate(came.ravel().tolist()) if n}
    assert np.array_equal(learned(hours, 0, 20).foretell(20), taught(came).foretell(20))


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 30), st.just(24)), elements=st.integers(-3, 10**6).map(float)))
def test_whatever_was_counted_is_foretold_as_a_finite_number(came: Floats) -> None:
    """Voids may leave less than nothing in an hour."""
    assert np.isfinite(taught(came).foretell(len(came))).all()
