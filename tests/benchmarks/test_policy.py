"""The benchmark of policy finds nothing in the code as it is, and something when the code is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from alerts.triggers import gates, lease
from alerts.triggers.lease import Request
from alerts.triggers.news import News
from alerts.triggers.policy import Policy
from benchmarks import policy, shared_pots
from benchmarks.policy import Found
from benchmarks.streams import Bench
from features.suppression import suppression


@pytest.fixture(scope="module", autouse=True)
def _bench() -> Iterator[None]:
    policy.bench.append(Bench())
    yield
    policy.bench.clear()


def judged(cases: int) -> Found:
    found = Found()
    for number in range(cases):
        found.add(policy.judge_case(Random(number), str(number)))
    return found


@pytest.mark.slow
def test_no_stream_under_fire_breaks_a_limit() -> None:
    found = judged(60)
    assert (found.violations, found.overspent_cents) == ([], 0)
    before = {"issued", "budget", "stock", "customer_limit", "capped", "cooldown", "holdout"}
    assert before | {"suppressed", "inside", "channel_capped"} <= found.outcomes.keys()


def test_a_request_that_does_not_see_what_others_have_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def blind(request: Request, reserved: int, granted: int, shares: int) -> int:
        return lease.settled(request, granted, granted, shares)

    monkeypatch.setattr(shared_pots, "settled", blind)
    found = judged(25)
    assert found.overspent_cents > 0
    assert any("reserved" in told for told in found.violations)


def test_a_cap_that_is_one_too_high_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    recent = Policy.recent
    monkeypatch.setattr(Policy, "recent", lambda *of: recent(*of)[1:])
    assert any("in one window" in told for told in judged(5).violations)


def test_a_channel_cap_that_is_one_too_high_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    recent = Policy.recent_on
    monkeypatch.setattr(Policy, "recent_on", lambda *of: recent(*of)[1:])
    assert any("above the cap of" in told for told in judged(15).violations)


def test_a_suppression_that_holds_a_millisecond_too_long_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "suppression", lambda ledger, at_ms: suppression(ledger, at_ms - 1))
    assert any("suppressed" in told for told in judged(40).violations)


def test_words_that_the_batch_hears_too_early_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    add = News.add
    monkeypatch.setattr(News, "add", lambda news, order, *of: add(news, (0, 0), *of))
    assert any("suppressed" in told for told in judged(15).violations)


def test_an_exit_that_is_passed_over_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(News, "leave", lambda *_: None)
    assert any("inside of somebody who is not" in told for told in judged(40).violations)
