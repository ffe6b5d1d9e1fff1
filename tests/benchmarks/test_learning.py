"""The learning benchmark: nobody learns from what could not be known yet, and figures are what they are called."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.foretold import (
    calibration_error,
    calibration_error_by_width,
    figures,
    log_loss,
    paired,
    pr_auc,
    roc_auc,
)
from benchmarks.learning import foretold
from benchmarks.people import FEATURES, Asked, Task, churn, part_of, rows_as_of
from benchmarks.references import Ours
from config.settings import load
from features import events as e
from features.times import DAY_MS, local_day
from flows.files import load_catalog

CATALOG = load_catalog(load(environ={}))
NEW_YEAR_MS, ZONE = 1_483_246_800_000, "America/New_York"  # 2017-01-01, midnight there


def shop(seed: int = 7, people: int = 60, days: int = 240) -> list[e.Event]:
    """Orders of customers with rhythms of their own, some of whom stay away for good."""
    rng, found = np.random.default_rng(seed), []
    for customer in range(people):
        rhythm, left = rng.uniform(3, 40), rng.uniform(60, 500)
        day = rng.uniform(0, rhythm)
        while day < min(days, left):
            found.append((int(NEW_YEAR_MS + day * DAY_MS), str(customer), int(rng.integers(100, 9000))))
            day += rng.exponential(rhythm) + 0.1
    return [
        e.Order(
            id=f"{number}",
            customer=customer,
            at_ms=at_ms,
            day=local_day(at_ms, ZONE),
            tz=ZONE,
            lines=[e.Line("tea")],
            total_cents=cents,
        )
        for number, (at_ms, customer, cents) in enumerate(sorted(found))
    ]


def shuffled_after(task: Task, moment_ms: int) -> Task:
    """The same task with the labels that become known after a moment dealt anew."""
    labels, later = task.labels.copy(), task.known_ms > moment_ms
    labels[later] = np.random.default_rng(1).permutation(labels[later])
    return Task(**{name: getattr(task, name) for name in task.__struct_fields__} | {"labels": labels})


def test_shuffled_futures_change_nothing() -> None:
    task = churn("shop", CATALOG, shop())
    everybody = np.ones(len(task.labels), dtype=np.bool_)
    scored = np.isin(task.groups, task.tested[-1])
    moment_ms = int(task.moments_ms[scored][0])
    other = shuffled_after(task, moment_ms)
    assert (other.labels != task.labels).any()
    before, after = (foretold(one, everybody, scored, Ours(one.features), 50) for one in (task, other))
    assert before.tolist() == after.tolist()
    sooner = shuffled_after(task, moment_ms - 90 * DAY_MS)
    assert foretold(sooner, everybody, scored, Ours(task.features), 50).tolist() != before.tolist()


def test_a_row_knows_nothing_of_its_own_moment_or_later() -> None:
    events = shop()
    task = churn("shop", CATALOG, events)
    moment_ms = int(task.moments_ms[-1])
    now = task.moments_ms == moment_ms
    before = churn("shop", CATALOG, [event for event in events if event.at_ms < moment_ms or event is events[-1]])
    kept = before.moments_ms == moment_ms
    np.testing.assert_array_equal(task.rows[now], before.rows[kept])


def test_churn_labels_are_those_of_a_count_by_hand() -> None:
    events = shop()
    task = churn("shop", CATALOG, events)
    assert task.tested == ["2017-05-01", "2017-06-01", "2017-07-01"]
    for i in range(0, len(task.labels), 7):
        mine = [event.at_ms for event in events if event.customer == task.customers[i]]
        moment_ms, ends_ms = int(task.moments_ms[i]), int(task.known_ms[i])
        assert any(moment_ms - 91 * DAY_MS < at_ms < moment_ms for at_ms in mine)
        assert task.labels[i] == (not any(moment_ms <= at_ms < ends_ms for at_ms in mine))
        orders = sum(at_ms < moment_ms for at_ms in mine)
        assert task.rows[i, FEATURES.index("orders_lifetime")] == orders


def test_customers_are_split_by_a_hash_of_their_id() -> None:
    parts = [part_of(str(customer)) for customer in range(5000)]
    assert part_of("1") == part_of("00001") == 19
    assert abs(np.mean(np.array(parts) < 60) - 0.6) < 0.03


people = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=40).filter(
    lambda some: 0 < sum(label for label, _ in some) < len(some)
)


@settings(max_examples=100, deadline=None)
@given(people)
def test_areas_are_those_of_a_count_of_pairs(some: list[tuple[bool, int]]) -> None:
    labels, scores = np.array([[float(label), float(score)] for label, score in some]).T
    ones, zeros = scores[labels > 0], scores[labels == 0]
    wins = [(one > zero) + 0.5 * (one == zero) for one in ones for zero in zeros]
    assert roc_auc(labels, scores) == pytest.approx(np.mean(wins))
    area, recall = 0.0, 0.0
    for cut in sorted(set(scores), reverse=True):
        found = labels[scores >= cut]
        area += (found.sum() / labels.sum() - recall) * found.mean()
        recall = found.sum() / labels.sum()
    assert pr_auc(labels, scores) == pytest.approx(area)


def test_pairs_of_the_same_differ_by_nothing_and_a_better_one_is_told_so() -> None:
    rng = np.random.default_rng(3)
    chances = rng.random(600)
    labels = (rng.random(600) < chances).astype(np.float64)
    customers = [str(i // 3) for i in range(600)]
    same = paired(customers, labels, chances, chances, 20)
    assert all(each == [0.0, 0.0, 0.0] for each in same.values())
    worse = paired(customers, labels, chances, rng.permutation(chances), 50)
    assert worse["roc_auc"][1] > 0 > worse["log_loss"][2]
    assert calibration_error(labels, chances) < 0.06 < calibration_error(labels, chances**3)
    assert calibration_error_by_width(labels, chances) < 0.06 < calibration_error_by_width(labels, chances**3)
    assert calibration_error_by_width(np.array([1.0, 0.0, 1.0]), np.array([0.92, 0.95, 1.0])) == pytest.approx(0.29)
    assert log_loss(np.array([1.0, 0.0]), np.array([0.5, 0.5])) == pytest.approx(np.log(2))


def test_right_chances_are_off_as_chance_says_and_what_is_asked_for_is_out_of_reach_of_few_people() -> None:
    rng = np.random.default_rng(5)
    chances = rng.beta(1, 6, 4000)
    few, many = (figures((rng.random(n) < chances[:n]).astype(np.float64), chances[:n]) for n in (400, 4000))
    assert min(few["as_much_by_chance"], many["as_much_by_chance"]) > 0.02
    assert few["asked_by_chance"] < 0.2 < 0.9 < many["asked_by_chance"]
    too_high = figures((rng.random(4000) < chances * 0.8).astype(np.float64), chances)
    assert too_high["as_much_by_chance"] == 0.0


def test_rows_are_those_of_the_core_at_each_moment_asked_for() -> None:
    events = shop(people=3)
    asked = [Asked(NEW_YEAR_MS + days * DAY_MS, ["0", "1", "nobody"]) for days in (30, 90)]
    rows = rows_as_of(CATALOG, events, asked)
    alone = rows_as_of(CATALOG, events, asked[1:])
    np.testing.assert_array_equal(rows[3:], alone)
