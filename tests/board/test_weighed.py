"""Bars of a score add up to what gives the score."""

from __future__ import annotations

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.triggers.receipts.explain import Score
from board.weighed import weigh
from features.tasks import Task

TASKS = {
    "churn": Task("churn", ["a"]),
    "spend": Task("spend_ahead", ["a"]),
    "uplift": Task("uplift", ["a"]),
}
TERMS = st.dictionaries(st.sampled_from("abcde"), st.floats(-3, 3).map(lambda value: round(value, 4)), max_size=5)


@given(st.floats(0.001, 0.999), TERMS)
def test_the_terms_and_the_rest_give_the_score(value: float, terms: dict[str, float]) -> None:
    [found] = weigh({"churn": Score(value, terms, 3)}, TASKS)
    assert found.rest is not None
    logit = found.rest + sum(term.added for term in found.terms)
    assert 1 / (1 + exp(-logit)) == pytest.approx(value, abs=1e-4)
    assert (found.version, found.scale, found.sum) == (3, "logit", pytest.approx(logit, abs=1e-3))


def test_an_amount_is_weighed_by_its_logarithm_and_a_difference_has_no_sum() -> None:
    [spend] = weigh({"spend": Score(99.0, {"a": 1.0})}, TASKS)
    assert spend.sum == pytest.approx(4.6052)
    for score in (Score(0.1, {"a": 1.0}), Score(None, {})):
        [found] = weigh({"uplift": score}, TASKS)
        assert (found.sum, found.rest) == (None, None)
    [nothing] = weigh({"churn": Score(None, {})}, TASKS)
    assert nothing.sum is None
