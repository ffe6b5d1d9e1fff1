"""The tails of the negative binomial, against SciPy's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import nbinom

from alerts.kpis.tail import at_least, at_most, two_sided

means = st.floats(-3, 6).map(lambda power: 10**power)
shapes = st.floats(-1, 4.5).map(lambda power: 10**power)
ratios = st.floats(-2, 1).map(lambda power: 10**power)


@given(means, shapes, ratios)
def test_tails_are_those_of_scipy(mean, shape, ratio):
    count, success = int(mean * ratio), shape / (shape + mean)
    assert at_most(count, mean, shape) == pytest.approx(nbinom.cdf(count, shape, success), rel=1e-6, abs=1e-290)
    assert at_least(count, mean, shape) == pytest.approx(nbinom.sf(count - 1, shape, success), rel=1e-6, abs=1e-290)


@given(means, shapes, st.integers(0, 1000))
def test_both_tails_cover_everything_and_share_one_count(mean, shape, count):
    both = at_most(count, mean, shape) + at_least(count + 1, mean, shape)
    assert both == pytest.approx(1, rel=1e-6)
    assert 0 <= two_sided(count, mean, shape) <= 1


def test_a_tiny_tail_keeps_its_digits():
    assert at_most(0, 1000, 50) == pytest.approx((50 / 1050) ** 50, rel=1e-9)
