"""Every promise that the simulated chain breaks is found, and no other."""

from __future__ import annotations

from benchmarks.service import judged
from config.settings import load
from sim import Chain


def test_all_broken_promises_are_found_and_only_these() -> None:
    chain = Chain(seed=1, stores=8, customers=1_500, days=5)
    verdicts = judged(chain, load(environ={}))
    assert {shares for verdict in verdicts.values() if verdict.there for shares in verdict.shares} == {1.0}
    assert sum(verdict.found for verdict in verdicts.values()) == sum(verdict.there for verdict in verdicts.values())
    assert [name for name, verdict in verdicts.items() if not verdict.there] == []
