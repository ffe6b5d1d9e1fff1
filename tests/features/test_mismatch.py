"""Sample-ratio mismatch: a broken division is found, a right one hardly ever alarms, however often one looks."""

from __future__ import annotations

from math import exp, log
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.course import Publishing
from features.learning import LearningJob
from features.loop import Store, batches, run
from features.mismatch import ERRORS, SPREAD, Divided, is_mismatch, log_odds
from features.times import DAY_MS
from features.trials import Trial, encode_trial
from tests.features.streams import cuts

SHARES = {"a": 0.2, "b": 0.3, "c": 0.5}
START_MS = 1_777_900_000_000


def one_by_one(arms: list[str]) -> float:
    """The odds as bets: before each customer, what the mixture foretells of the arm, over what the file says."""
    seen, odds = dict.fromkeys(SHARES, 0), 1.0
    for number, arm in enumerate(arms):
        odds *= (SPREAD * SHARES[arm] + seen[arm]) / (SPREAD + number) / SHARES[arm]
        seen[arm] += 1
    return odds


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(sorted(SHARES)), max_size=200))
def test_the_odds_are_those_of_bets_one_after_the_other_also_where_an_arm_is_not_known(arms: list[str]) -> None:
    divided = Divided()
    for arm in arms:
        divided.count(arm, SHARES[arm])
    assert exp(log_odds(divided.customers, divided.shares)) == pytest.approx(one_by_one(arms), rel=1e-6)


def greatest(shares: list[float], truth: list[float], experiments: int, customers: int) -> Any:
    """float64[experiments]: log odds at their greatest, looked at after each customer."""
    rng = np.random.default_rng(7)
    odds, top = np.zeros(experiments), np.zeros(experiments)
    seen = np.zeros((experiments, len(shares)))
    edges, each = np.cumsum(truth)[:-1], np.arange(experiments)
    for number in range(customers):
        arm = np.searchsorted(edges, rng.random(experiments), side="right")
        share = np.array(shares)[arm]
        odds += np.log((SPREAD * share + seen[each, arm]) / (SPREAD + number) / share)
        seen[each, arm] += 1
        top = np.maximum(top, odds)
    return top


def test_whoever_looks_after_each_customer_is_not_misled_more_often_than_promised() -> None:
    top = greatest([0.1, 0.9], [0.1, 0.9], 4_000, 5_000)
    assert (top >= log(20)).mean() <= 0.05
    assert (top >= log(1 / ERRORS)).mean() <= ERRORS + 3 * (ERRORS / 4_000) ** 0.5


def test_an_arm_that_loses_every_tenth_customer_is_found_within_fifteen_thousand() -> None:
    assert (greatest([0.5, 0.5], [0.5 / 0.95, 0.45 / 0.95], 200, 15_000) >= log(1 / ERRORS)).mean() >= 0.95


def test_an_arm_that_nobody_gets_is_found_within_a_hundred_and_fifty_customers() -> None:
    divided = Divided()
    for _ in range(150):
        divided.count("a", 0.5)
    assert is_mismatch(divided)


def trial(number: int, arm: str, design: str = "d1", first: bool = True) -> Trial:
    at_ms = START_MS + number
    return Trial(
        f"t{number}",
        "r",
        arm,
        "",
        0.5,
        False,
        at_ms,
        at_ms + DAY_MS,
        at_ms,
        0,
        False,
        False,
        0,
        exposed_ms=at_ms,
        first=first,
        design=design,
    )


def learned(trials: list[Trial], cuts: list[int] | None = None) -> Store:
    job = LearningJob({}, Publishing(100, 1_000, 3, True), "alerts", "dead-letters")
    return run(job, batches("examples", 0, [encode_trial(one) for one in trials], cuts or []))[0]


def alerts(store: Store) -> list[dict[str, Any]]:
    return [orjson.loads(message.value)["data"] for message in store.sent if message.topic == "alerts"]


def test_a_mismatch_is_told_once_and_is_over_when_the_file_divides_customers_anew() -> None:
    lost = [trial(n, "a" if n % 4 else "b") for n in range(400)]
    anew = [trial(n, "ab"[n % 2], "d2") for n in range(400, 800)]
    told = alerts(learned([*lost, *anew, *lost, trial(900, "a")]))
    assert [(one["state"], one["started_ms"] == told[0]["started_ms"]) for one in told] == [
        ("firing", True),
        ("resolved", True),
    ]
    assert told[0]["incident"] == told[1]["incident"]
    assert told[0]["customers"]["a"] > 2 * told[0]["customers"]["b"]
    assert "a" in told[0]["why"]


def test_choices_that_are_not_a_customers_first_do_not_count() -> None:
    assert alerts(learned([trial(n, "a", first=n < 50) for n in range(1_000)])) == []


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("aab"), st.sampled_from(("d1", "d1", "d2"))), min_size=1, max_size=300), cuts)
def test_wherever_the_log_is_cut_the_same_alerts_are_told(plan: list[tuple[str, str]], cuts: list[int]) -> None:
    trials = [trial(n, arm, design) for n, (arm, design) in enumerate(plan)]
    whole, cut = learned(trials), learned(trials, cuts)
    assert alerts(whole) == alerts(cut)
    assert whole.records == cut.records
