"""Intervals that hold however often one looks; what they are is computed anew here, by adding up and trying all."""

from __future__ import annotations

from math import comb, inf, log
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.intervals import difference_interval, mean_interval, share_interval

LOOKS = [10, 20, 40, 80, 160, 320, 640, 1280]
TRIED = 1_000


def against(found: int, of: int, share: float) -> float:
    """The odds of what was found under all shares alike, over those under this one; as a logarithm."""
    alike = -log((of + 1) * comb(of, found))
    return alike - sum(n * log(p) for n, p in ((found, share), (of - found, 1 - share)) if n)


def looked_at(rng: Random, share: float) -> list[tuple[int, int]]:
    hits = [rng.random() < share for _ in range(LOOKS[-1])]
    return [(sum(hits[:of]), of) for of in LOOKS]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.data())
def test_a_share_lies_where_what_was_found_is_no_wonder(of: int, data: st.DataObject) -> None:
    found = data.draw(st.integers(0, of))
    low, high = share_interval(found, of)
    assert low <= found / of <= high
    for share in np.linspace(0.0005, 0.9995, TRIED):
        assert (low <= share <= high) == (against(found, of, share) <= log(20)) or min(
            abs(share - low), abs(share - high)
        ) < 1e-6


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_a_difference_is_the_widest_of_all_pairs_that_are_no_wonder_together(of: int, there: int, data) -> None:
    found, found_there = data.draw(st.integers(0, of)), data.draw(st.integers(0, there))
    shares = np.linspace(0.0025, 0.9975, 200)
    one = np.array([against(found, of, share) for share in shares])
    other = np.array([against(found_there, there, share) for share in shares])
    possible = one[:, None] + other[None, :] <= log(20)
    differences = (shares[:, None] - shares[None, :])[possible]
    low, high = difference_interval(found, of, found_there, there)
    assert (low, high) == pytest.approx((differences.min(), differences.max()), abs=0.011)
    assert low <= found / of - found_there / there <= high


def test_who_looks_eight_times_is_misled_in_no_more_than_five_of_a_hundred_experiments() -> None:
    """Where an interval made for one look would mislead in some twenty."""
    rng, misled, once = Random(7), 0, 0
    for _ in range(300):
        looks = looked_at(rng, 0.2)
        misled += any(not low <= 0.2 <= high for low, high in (share_interval(*look) for look in looks))
        once += any(abs(found / of - 0.2) > 1.96 * (0.16 / of) ** 0.5 for found, of in looks)
    assert misled <= 15 < 40 < once


def test_a_difference_of_nothing_is_taken_for_something_in_no_more_than_five_of_a_hundred_experiments() -> None:
    rng, misled = Random(11), 0
    for _ in range(60):
        pairs = zip(looked_at(rng, 0.3), looked_at(rng, 0.3), strict=True)
        misled += any(not low <= 0 <= high for low, high in (difference_interval(*a, *b) for a, b in pairs))
    assert misled <= 3


def test_a_difference_that_is_there_is_found() -> None:
    low, high = difference_interval(560, 700, 480, 800)
    assert 0 < low < 0.2 < high


def test_a_mean_is_held_at_every_look_by_the_formula_of_the_paper_and_nothing_known_has_none() -> None:
    spread = (2 * log(20) + log(2 * log(20) + 1)) / 1_000
    half = 20 * (2 * (100 * spread + 1) / (100**2 * spread) * log((100 * spread + 1) ** 0.5 / 0.05)) ** 0.5
    assert mean_interval(10.0, 400.0, 100) == pytest.approx((10 - half, 10 + half))
    assert mean_interval(0.0, 0.0, 0) == (-inf, inf)
    rng, misled = np.random.default_rng(3), 0
    for _ in range(200):
        values = rng.exponential(5.0, 2_000)
        intervals = [mean_interval(values[:n].mean(), values[:n].var(ddof=1), n) for n in (50, 100, 200, 500, 2_000)]
        misled += any(not low <= 5.0 <= high for low, high in intervals)
    assert misled <= 10


def test_of_nothing_nothing_is_known() -> None:
    assert share_interval(0, 0) == (0.0, 1.0)
    assert difference_interval(0, 0, 0, 0) == (-1.0, 1.0)
