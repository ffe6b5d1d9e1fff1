"""The benchmark of security measures rules that run, on events that meet some of them."""

from __future__ import annotations

import orjson

from alerts.sigma.engine import Engine
from alerts.sigma.reading import load
from benchmarks.security import SOURCE
from benchmarks.sigma_made import Made


def test_made_rules_all_run_and_made_events_meet_some_of_them() -> None:
    made = Made(1, 50)
    rules, refused = load(made.rules)
    assert refused == []
    met = Engine(rules).match(SOURCE, [orjson.loads(event) for event in made.events(600)])
    assert 5 <= sum(map(bool, met)) <= 120


def test_the_same_seed_makes_the_same() -> None:
    one, other = Made(3, 20), Made(3, 20)
    assert (one.rules, [*one.events(20)]) == (other.rules, [*other.events(20)])
    assert one.rules != Made(4, 20).rules
