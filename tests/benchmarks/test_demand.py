"""The benchmark of demand scores everybody on the same days, foretold from the days before alone."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.demand import FORETELLERS, LAWS, WARM_DAYS, Foreteller, judged, made, ours, some, week_before


def test_whoever_knows_the_day_before_it_is_never_off_and_the_week_before_is_off_by_what_changed() -> None:
    came = np.repeat(np.arange(42.0)[:, None], 24, axis=1)
    assert judged(0, [came], lambda _, real: real) == {"error": 0.0, "error_of_days": 0.0, "rmse": 0.0}
    mean = came[WARM_DAYS:].mean()
    assert judged(0, [came], week_before) == pytest.approx(
        {"error": 7 / mean, "error_of_days": 7 / mean, "rmse": 7}, abs=1e-4
    )


@pytest.mark.parametrize("foretell", FORETELLERS.values(), ids=FORETELLERS)
def test_what_comes_from_a_day_on_changes_nothing_that_was_foretold_until_then(foretell: Foreteller) -> None:
    rng = np.random.default_rng(1)
    came = rng.poisson(3.0, (48, 24)).astype(float)
    other = came.copy()
    other[33:] = rng.poisson(9.0, (15, 24))
    before, after = foretell(4, came), foretell(4, other)
    assert np.array_equal(before[:34], after[:34], equal_nan=True)
    assert not np.array_equal(before[34:], after[34:])


def test_series_are_taken_from_the_largest_to_the_smallest() -> None:
    series = {f"{size}": np.full((1, 24), float(size)) for size in range(1, 10)}
    assert [one[0, 0] for one in some(series, 3)] == [9, 5, 1]
    assert len(some(series, 99)) == 9


def test_ours_is_nearer_than_the_week_before_on_what_chance_alone_moves() -> None:
    came = np.random.default_rng(2).poisson(4.0, (70, 24)).astype(float)
    assert judged(0, [came], ours)["error"] < 0.8 * judged(0, [came], week_before)["error"]


@pytest.mark.parametrize("law", LAWS)
def test_made_series_change_as_their_law_says(law: str) -> None:
    came = made(law, 2000.0, np.random.default_rng(3), days=196)
    before, after = came[42:98], came[-56:]
    grew, hours = after.sum() / before.sum(), np.arange(24)
    noon = [(some.sum(axis=0) * hours).sum() / some.sum() for some in (before, after)]
    assert (abs(grew - 1) < 0.15) == (law in ("stays", "new hours"))
    assert (noon[1] - noon[0] > 1) == (law == "new hours")
