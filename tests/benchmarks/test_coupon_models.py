"""What is learned of coupons is what the benchmark's law says, and nothing where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from benchmarks import coupon_models
from benchmarks.coupon_models import KINDS, Chain, auc, calibration_error, figures_of, lifts, log_loss, play


@pytest.fixture(scope="module")
def chain() -> Chain:
    return play(900, 40, seed=2)


def test_who_redeems_is_told_from_who_does_not_and_the_scores_mean_what_they_say(chain: Chain) -> None:
    figures = figures_of(chain)
    assert 0.56 < figures["propensity_auc"] < figures["propensity_auc_of_the_law"] + 0.02
    assert figures["propensity_log_loss"] < figures["propensity_log_loss_of_the_share"] + 0.01
    assert figures["propensity_calibration_error"] < 0.1


def test_the_lift_that_the_law_gives_each_rule_lies_in_its_interval(chain: Chain) -> None:
    for rule, (lift, (low, high), law) in lifts(chain).items():
        assert low < law < high, rule
        assert low < lift < high
    assert lifts(chain)["cake"][0] > 0


def test_uplift_is_on_the_mean_what_the_law_says(chain: Chain) -> None:
    figures = figures_of(chain)
    assert figures["uplift_mean"] == pytest.approx(figures["uplift_mean_of_the_law"], abs=0.05)


def test_coupons_that_move_nobody_have_no_lift_and_no_uplift(monkeypatch: pytest.MonkeyPatch) -> None:
    """One such chain alone tells uplift to 0.045, two to 0.032: of 700 decisions that are learned from, 140 give
    nothing."""
    idle = [replace(kind, raised=dict.fromkeys(kind.raised, 0.0)) for kind in KINDS]
    monkeypatch.setattr(coupon_models, "KINDS", idle)
    chains = [play(600, 30, seed) for seed in range(4, 6)]
    assert all(low < 0 < high for _, (low, high), _ in lifts(chains[0]).values())
    assert np.mean([figures_of(chain)["uplift_mean"] for chain in chains]) == pytest.approx(0, abs=0.05)


def test_the_same_seed_learns_the_same() -> None:
    first, second = (play(200, 12, seed=5) for _ in range(2))
    assert len(first.seen) > 50
    assert first.stores["learning"].records == second.stores["learning"].records


def test_the_figures_are_those_of_their_definitions() -> None:
    scores, labels = np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, False, True, True])
    pairs = [
        (a, b)
        for a, yes in zip(scores, labels, strict=True)
        for b, no in zip(scores, ~labels, strict=True)
        if yes and no
    ]
    assert auc(scores, labels) == np.mean([1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs])
    assert log_loss(scores, labels) == pytest.approx(-np.mean(np.log([0.9, 0.6, 0.4, 0.8])))
    assert calibration_error(scores, labels, 2) == pytest.approx(np.mean([0.25, 0.4]))
