"""The benchmark of learning finds the best arm of each segment, and would see if nothing were learned."""

from __future__ import annotations

import pytest

from benchmarks import bandit
from benchmarks.bandit import TRUTH, Chain, play


def test_the_best_arm_of_each_segment_is_found_at_less_regret_than_any_fixed_choice() -> None:
    found = play(12_000, 120, seed=3)
    for segment, truth in TRUTH.items():
        mine = {name: n for name, n in found.late.items() if name.startswith(segment)}
        assert max(mine, key=lambda name: mine[name]) == f"{segment}: {truth.best}*", mine
    figures = found.figures()
    assert 0 < figures["regret_cents"] < figures["regret_best_fixed_cents"] < figures["regret_uniform_cents"]
    assert figures["decisions"] == 12_000


def test_without_learning_the_regret_is_that_of_an_even_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Chain, "learn", lambda self: None)
    figures = play(3_000, 30, seed=3).figures()
    assert figures["regret_cents"] == pytest.approx(figures["regret_uniform_cents"], rel=0.1)
    assert figures["best_arm_share"] == pytest.approx(1 / 3, abs=0.05)


def test_the_truth_has_another_best_arm_for_each_segment() -> None:
    assert {truth.best for truth in TRUTH.values()} == set(bandit.FACES)


def test_the_same_seed_plays_the_same() -> None:
    assert play(800, 20, seed=5) == play(800, 20, seed=5)
