"""Drift is noticed when it is there and not when it is not; each sum is Page's, each window River's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.drift import ALLOWED, LIMIT, REFERENCE, WILDEST, Series, has_risen, take_rows

ROWS = 50


def rows(rng: np.random.Generator, shift: float = 0.0, missing: float = 0.1) -> np.ndarray:
    """Two inputs: one is moved, of the other some is missing."""
    found = np.column_stack([rng.lognormal(3 + shift, 1, ROWS), rng.normal(0, 5, ROWS)])
    found[rng.random(ROWS) < missing, 1] = np.nan
    return found


def page(values: list[float], least: float) -> int | None:
    """After how many values one series is said to have drifted: sums written out from the beginning each time."""
    for count in range(1, len(values) + 1):
        usual, judged = values[: min(count, REFERENCE)], values[REFERENCE:count]
        scale = max(float(np.std(usual, ddof=1)) if len(usual) > 1 else 0.0, least)
        away = [min(max((value - float(np.mean(usual))) / scale, -WILDEST), WILDEST) for value in judged]
        for sign in (1, -1):
            sums = np.concatenate([[0.0], np.cumsum([sign * a - ALLOWED for a in away])])
            if sums[-1] - sums.min() > LIMIT:
                return count
    return None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=80), st.floats(-8, 8), st.integers(0, 80))
def test_the_sums_are_pages_written_out(values: list[float], move: float, at: int) -> None:
    moved = [value + move * (place >= at) for place, value in enumerate(values)]
    series, found = Series(), None
    for count, value in enumerate(moved, 1):
        if series.take(np.array([value]), np.array([0.05])):
            found = count
            break
    assert found == page(moved, 0.05)


@pytest.mark.parametrize("seed", range(5))
def test_nothing_drifts_where_nothing_changes(seed: int) -> None:
    rng, series = np.random.default_rng(seed), Series()
    assert [take_rows(series, rows(rng)) for _ in range(400)] == [[]] * 400


@pytest.mark.parametrize(
    ("changed", "found"),
    [({"shift": 0.7}, (0, "value of")), ({"shift": -0.7}, (0, "value of")), ({"missing": 0.6}, (1, "missing"))],
)
def test_what_changes_is_named_within_a_thousand_rows_and_then_is_usual(
    changed: dict[str, float], found: tuple[int, str]
) -> None:
    rng, series = np.random.default_rng(1), Series()
    for _ in range(60):
        assert take_rows(series, rows(rng)) == []
    told = [one for _ in range(20) for one in take_rows(series, rows(rng, **changed))]
    assert told == [found]
    assert [take_rows(series, rows(rng, **changed)) for _ in range(100)] == [[]] * 100


def test_an_input_that_nobody_has_any_more_is_missing_and_does_no_harm() -> None:
    rng, series, told = np.random.default_rng(2), Series(), []
    for step in range(60):
        now = rows(rng)
        if step >= 30:
            now[:, 0] = np.nan
        told += take_rows(series, now)
    assert told == [(0, "missing")]


def test_one_wild_step_is_no_drift() -> None:
    rng, series = np.random.default_rng(3), Series()
    told = []
    for step in range(80):
        told += take_rows(series, rows(rng) * (1e9 if step == 40 else 1))
    assert told == []


@pytest.mark.parametrize("link", ["logit", "log1p"])
def test_errors_that_grow_are_noticed_and_those_that_shrink_or_stay_are_not(link: str) -> None:
    rng = np.random.default_rng(5)
    truth = rng.uniform(0.02, 0.98, 1_000)
    labels = (rng.random(1_000) < truth).astype(np.float64)
    blind = np.where(np.arange(1_000) < 500, truth, 1 - truth)
    assert not has_risen(truth, labels, link)
    assert has_risen(blind, labels, link)
    assert not has_risen(1 - blind, labels, link)
    assert not has_risen(np.full(1_000, np.nan), labels, link)
