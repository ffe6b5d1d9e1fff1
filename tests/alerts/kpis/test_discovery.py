"""Of very many p-values those are discoveries that Benjamini and Hochberg's rule says, and of quiet ones hardly any."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.kpis.discovery import FALSE_A_DAY, MINUTES, level, threshold
from alerts.kpis.series import KINDS

ps = st.lists(st.sampled_from([1e-9, 1e-6, 1e-4, 0.001, 0.01, 0.02, 0.03, 0.2, 0.9, 1.0]), max_size=30)


def plain(p: list[float], tests: int, alpha: float) -> set[int]:
    """The largest k whose k-th smallest is at most alpha·k/tests; then all up to it."""
    ordered = sorted(p)
    ks = [k for k in range(1, len(ordered) + 1) if ordered[k - 1] <= alpha * k / tests]
    return {i for i, value in enumerate(p) if ks and value <= ordered[max(ks) - 1]}


@given(ps, st.sampled_from([0.001, 0.05, 0.3]), st.integers(0, 5))
def test_discoveries_are_those_of_the_rule(p: list[float], alpha: float, more: int) -> None:
    limit = threshold(np.array(p), len(p) + more, alpha)
    assert {i for i, value in enumerate(p) if 0 < value <= limit} == plain(p, max(1, len(p) + more), alpha)


def test_leaving_out_what_is_not_rare_changes_nothing() -> None:
    p = np.random.default_rng(1).random(1_000) ** 3
    alpha = 0.05
    assert threshold(p[p <= alpha], len(p), alpha) == threshold(p, len(p), alpha) > 0


def test_a_quiet_day_of_a_hundred_thousand_series_has_fewer_false_ones_than_it_may() -> None:
    """Minutes drawn by their least p-value alone: of n uniform ones that is 1 − u^(1/n)."""
    random, series, days = np.random.default_rng(2), 100_000 // len(KINDS), 200
    least = 1 - random.random((days * MINUTES, len(KINDS))) ** (1 / series)
    alpha = level(len(KINDS))
    false = (least <= alpha / series).any(axis=1).sum()
    assert false / days == pytest.approx(FALSE_A_DAY, rel=0.5)


def test_a_fault_of_many_series_lowers_the_bar_for_all_of_them() -> None:
    alone, many = np.array([1e-6]), np.full(500, 1e-6)
    assert threshold(alone, 20_000, 1e-3) == 0
    assert threshold(many, 20_000, 1e-3) == 1e-6
