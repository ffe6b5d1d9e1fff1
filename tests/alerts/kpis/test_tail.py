"""The tails that KPIs are judged by, against SciPy's own distributions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom, nbinom, poisson, t

from alerts.kpis.tail import T_DEGREES, count_p, mean_p, share_p

means = st.floats(-3, 5).map(lambda power: 10**power)
strays = st.floats(-4, 0.5).map(lambda power: 10**power)


def one(value: float) -> np.ndarray:
    return np.array([float(value)])


@given(means, strays, st.floats(0, 10))
def test_a_count_is_as_rare_as_scipy_says(mean: float, stray: float, ratio: float) -> None:
    count, shape = int(mean * ratio), 1 / stray
    success = shape / (shape + mean)
    tail = nbinom.cdf(count, shape, success) if count < mean else nbinom.sf(count - 1, shape, success)
    assert count_p(one(count), one(mean), one(stray)) == pytest.approx(min(1, 2 * tail), rel=1e-6, abs=1e-290)


@given(st.integers(0, 400), st.floats(0, 1), st.floats(0.001, 0.95), strays)
def test_a_share_is_as_rare_as_scipy_says(of: int, part: float, share: float, stray: float) -> None:
    seen = round(of * part)
    weight = (1 - share) / (share * stray) - 1
    a, b = max(share * weight, 1e-3), max((1 - share) * weight, 1e-3)
    tail = betabinom.cdf(seen, of, a, b) if seen < of * share else betabinom.sf(seen - 1, of, a, b)
    found = share_p(one(seen), one(of), one(share), one(stray))
    assert found == pytest.approx(min(1, 2 * tail), rel=1e-5, abs=1e-10)  # to where SciPy is exact


def test_a_share_far_out_keeps_its_digits() -> None:
    """SciPy's cdf loses them; the terms added one by one do not."""
    of, share, stray = 5_000.0, 0.15, 0.004
    weight = (1 - share) / (share * stray) - 1
    terms = betabinom.logpmf(np.arange(3_000, 5_001), of, share * weight, (1 - share) * weight)
    assert share_p(one(3_000), one(of), one(share), one(stray)) == pytest.approx(2 * np.exp(terms).sum(), rel=1e-6)
    assert count_p(one(0), one(1000), one(0.02)) == pytest.approx(2 * (50 / 1050) ** 50, rel=1e-9)


def test_without_straying_a_count_is_poisson() -> None:
    assert count_p(one(3), one(20), one(0)) == pytest.approx(2 * poisson.cdf(3, 20), rel=1e-3)


@pytest.mark.parametrize("orders", [20, 1_500])
def test_a_mean_has_the_tails_of_student_which_many_orders_make_less_heavy(orders: int) -> None:
    found = [mean_p(one(z), one(orders)) for z in (-6, 6)]
    assert found[0] == found[1] == pytest.approx(2 * t.sf(6, T_DEGREES + orders / 15))
