"""Figures of scores equal what counting by hand gives; baselines say what was usual before."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.quality import (
    BINS,
    LEAST,
    PRIOR,
    Baselines,
    calibration_error,
    figures,
    loss_of,
    losses,
    pr_auc,
    reliability,
    roc_auc,
)

probabilities = st.floats(0, 1) | st.sampled_from([0.0, 0.25, 0.5, 1.0])
pairs = st.lists(st.tuples(probabilities, st.booleans()), min_size=1, max_size=40)
numbers = st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), min_size=1, max_size=20)


def arrays(pairs: list[tuple[float, float | bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([score for score, _ in pairs]), np.array([float(label) for _, label in pairs])


@settings(max_examples=100, deadline=None)
@given(pairs)
def test_roc_auc_is_how_often_a_yes_is_scored_above_a_no(pairs: list[tuple[float, bool]]) -> None:
    duels = [(a > b) + (a == b) / 2 for a, yes in pairs if yes for b, other in pairs if not other]
    expected = sum(duels) / len(duels) if duels else None
    assert roc_auc(*arrays(pairs)) == (None if expected is None else pytest.approx(expected))


@settings(max_examples=100, deadline=None)
@given(pairs)
def test_pr_auc_is_the_mean_precision_at_each_yes(pairs: list[tuple[float, bool]]) -> None:
    precisions = []
    for score, yes in pairs:
        above = [other for s, other in pairs if s >= score]
        if yes:
            precisions.append(sum(above) / len(above))
    expected = sum(precisions) / len(precisions) if precisions else None
    assert pr_auc(*arrays(pairs)) == (None if expected is None else pytest.approx(expected))


@settings(max_examples=100, deadline=None)
@given(pairs)
def test_losses_are_those_of_the_textbook(pairs: list[tuple[float, bool]]) -> None:
    expected = [-log(max(p if yes else 1 - p, LEAST)) for p, yes in pairs]
    assert losses(*arrays(pairs), "logit").tolist() == pytest.approx(expected)


@settings(max_examples=50, deadline=None)
@given(numbers)
def test_numbers_are_held_against_by_their_mean_poisson_deviance(pairs: list[tuple[float, float]]) -> None:
    deviances = [2 * ((y + 1) * log((y + 1) / (m + 1)) - (y - m)) for m, y in pairs]
    assert figures(*arrays(pairs), "log1p") == {
        "mean_poisson_deviance": pytest.approx(sum(deviances) / len(pairs), rel=1e-6, abs=1e-6),
        "mean_absolute_error": pytest.approx(sum(abs(score - label) for score, label in pairs) / len(pairs)),
    }


def test_who_says_the_mean_of_numbers_has_the_least_loss() -> None:
    """By absolute error, who always says half of it would."""
    rng = np.random.default_rng(1)
    mean = np.exp(rng.normal(8, 0.6, 20_000))
    came = np.where(rng.random(20_000) < 0.5, 0.0, rng.lognormal(np.log(2 * mean) - 0.5, 1.0))
    found = {times: figures(times * mean, came, "log1p")[loss_of("log1p")] for times in (0.0, 0.5, 0.8, 1.0, 1.25, 2.0)}
    assert min(found, key=lambda times: found[times] or 0.0) == 1.0


@settings(max_examples=100, deadline=None)
@given(pairs)
def test_reliability_cuts_the_ordered_rows_into_bins_of_as_many_each(pairs: list[tuple[float, bool]]) -> None:
    bins = reliability(*arrays(pairs))
    assert sum(bin.rows for bin in bins) == len(pairs)
    assert len(bins) == min(BINS, len(pairs))
    assert max(bin.rows for bin in bins) - min(bin.rows for bin in bins) <= 1
    assert [bin.score for bin in bins] == sorted(bin.score for bin in bins)
    assert sum(bin.rows * bin.rate for bin in bins) == pytest.approx(sum(yes for _, yes in pairs))


def test_a_score_that_is_the_share_of_yes_is_calibrated_and_one_that_is_double_is_not() -> None:
    rng = np.random.default_rng(3)
    truth = rng.uniform(0, 0.5, 20_000)
    labels = (rng.random(20_000) < truth).astype(np.float64)
    assert calibration_error(truth, labels) < 0.02
    assert calibration_error(2 * truth, labels) > 0.2


def test_rows_without_a_score_do_not_count() -> None:
    scores, labels = np.array([0.5, np.nan, 0.9]), np.array([1.0, 1.0, 0.0])
    assert figures(scores, labels, "logit") == figures(scores[[0, 2]], labels[[0, 2]], "logit")
    assert figures(np.array([np.nan]), np.array([1.0]), "logit") == {}


def test_baselines_score_by_what_was_known_before() -> None:
    """Each row by hand: the mean so far; and among rows as recent, drawn to that mean."""
    rng = np.random.default_rng(4)
    days = rng.integers(0, 60, 80).astype(np.float64)
    days[::9] = np.nan
    labels = (np.nan_to_num(days) > 20).astype(np.float64)
    baselines, seen = Baselines(), list[tuple[float, float]]()
    for start in range(0, 80, 10):
        part = slice(start, start + 10)
        told = baselines.score(days[part, None])
        for (mean, grouped), day in zip(told.tolist(), days[part].tolist(), strict=True):
            total, rows = sum(label for _, label in seen), len(seen)
            assert mean == pytest.approx((total + 0.5) / (rows + 1))
            same = [label for other, label in seen if group(other) == group(day)]
            assert grouped == pytest.approx((sum(same) + PRIOR * mean) / (len(same) + PRIOR))
        baselines.learn(days[part, None], labels[part])
        seen += zip(days[part].tolist(), labels[part].tolist(), strict=True)
    low, high = baselines.score(np.array([[10.0], [59.0]]))[:, 1]
    assert low < baselines.all.total / baselines.all.rows < high


def group(days: float) -> int:
    """Steps of the square root of two, from one day on."""
    step, edge = 0, 1.0
    if np.isnan(days):
        return -1
    while edge * 2**0.5 <= (1 + days) * (1 + 1e-9):
        step, edge = step + 1, edge * 2**0.5
    return step
