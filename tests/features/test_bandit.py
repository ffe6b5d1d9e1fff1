"""How likely an arm is the best: what the posterior says, by River's sampling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import proba
from scipy import stats

from features.arms import ArmTotals, Totals
from features.bandit import MeanReward, best_shares, publish
from features.trials import Pending


def totals(rewards: list[int], nothing: bool = False) -> ArmTotals:
    arm = ArmTotals(nothing, open=len(rewards))
    for reward in rewards:
        arm.learn(Pending("a", "", nothing, 0, 0, False, reward > 0, reward))
    return arm


rewards = st.lists(st.integers(-800, 3_000), min_size=2, max_size=60)


@settings(max_examples=50, deadline=None)
@given(rewards)
def test_totals_know_mean_and_variance_as_river_does_one_by_one(rewards: list[int]) -> None:
    gaussian, arm = proba.Gaussian(), totals(rewards)
    for reward in rewards:
        gaussian.update(reward)
    assert arm.mean_cents == pytest.approx(gaussian.mu)
    assert arm.variance == pytest.approx(gaussian.sigma**2, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.lists(rewards, min_size=2, max_size=5), st.data())
def test_the_order_in_which_rewards_come_does_not_matter(arms: list[list[int]], data: st.DataObject) -> None:
    known = [{f"a{n}": totals(data.draw(st.permutations(one))) for n, one in enumerate(arms)} for _ in range(2)]
    published = [publish("r", Totals(contexts={"": one})) for one in known]
    assert published[0] == published[1]


def test_what_is_drawn_is_a_mean_and_not_a_reward() -> None:
    """Against Student's t of the textbook: the more is known, the closer the draws."""
    rng = np.random.default_rng(1)
    for n in (0, 1, 5, 400):
        given_rewards = [int(x) for x in rng.choice([0, 0, 0, 900], n)]
        arm, everything = totals(given_rewards), totals([0, 0, 0, 900])
        drawn = [MeanReward.of(arm, everything, 7).sample() for _ in range(1)]
        posterior = MeanReward.of(arm, everything, 7)
        drawn = [posterior.sample() for _ in range(4_000)]
        weight, mean = 1.0 + n, (everything.mean_cents + sum(given_rewards)) / (1.0 + n)
        squares = sum((x - arm.mean_cents) ** 2 for x in given_rewards)
        squares += n / weight * (arm.mean_cents - everything.mean_cents) ** 2
        scale = ((everything.variance + squares / 2) / (1 + n / 2) / weight) ** 0.5
        assert stats.kstest(drawn, stats.t(2 + n, mean, scale).cdf).pvalue > 1e-3, n


def test_the_better_arm_is_found_and_what_is_not_known_stays_open() -> None:
    everything = totals([0, 500] * 100)
    clear = best_shares({"good": totals([0, 900] * 100), "bad": totals([0, 300] * 100)}, everything, 1)
    assert clear["good"] > 0.99
    even = best_shares({"a": totals([0, 500] * 100), "b": totals([0, 500] * 100)}, everything, 1)
    assert even["a"] == pytest.approx(0.5, abs=0.06)
    unknown = best_shares({"a": totals([0, 500] * 100), "new": totals([])}, everything, 1)
    assert 0.3 < unknown["new"] < 0.7


def test_an_arm_that_never_brought_anything_is_not_given_up_after_a_few_trials() -> None:
    everything = totals([0] * 9 + [500])
    assert best_shares({"a": totals([0] * 9 + [500]), "b": totals([0] * 9)}, everything, 3)["b"] > 0.02


def test_a_version_is_the_same_on_every_replay_and_leaves_the_control_out() -> None:
    def known() -> Totals:
        return Totals(
            contexts={"": {"a": totals([0, 5]), "b": totals([9, 7]), "control": totals([0, 0], nothing=True)}}
        )

    first, again = publish("r", known()), publish("r", known())
    assert first == again
    assert first.shares[""].keys() == {"a", "b"}
    assert sum(first.shares[""].values()) == pytest.approx(1)


def test_a_rule_that_had_no_arms_before_learns_from_those_it_has_now() -> None:
    plain, arms = totals([5] * 500), {"a": totals([0] * 60), "b": totals([9] * 60)}
    known = Totals(contexts={"": {"": plain, **arms}})
    assert known.ripe
    assert publish("r", known).shares[""].keys() == {"a", "b"}
    assert not Totals(contexts={"": {"": plain}}).ripe
