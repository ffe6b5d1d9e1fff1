"""What is no probability is learned and scored in its own unit: days, cents."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from alerts.triggers.gifts import Then
from alerts.triggers.rule import Rule
from features import events as e
from features.course import Publishing, Subject
from features.labels import Examples
from features.learning import LearningJob
from features.loop import Store, batches, run
from features.models import Curve, LinearModel, decode_model, encode_model, score, score_rows
from features.times import DAY_MS
from features.versions import champion
from features.watch import decode_watch
from tests.alerts.triggers.jobs import CATALOG, customers_job, data_of, encoded

NAMES = ["orders_90d", "noise"]
JOB = LearningJob({"m": Subject("m", NAMES, "l", "log1p")}, Publishing(1000, 1000, 2), "alerts", "dead-letters")


def examples(rows: np.ndarray, labels: np.ndarray) -> bytes:
    times = [*range(1, len(rows) + 1)]
    return msgspec.json.encode(
        Examples("m", "l", [*map(str, rows.tolist())], times, times, labels.tolist(), rows.tolist())
    )


def test_a_number_is_learned_and_foretold_in_its_own_unit() -> None:
    rng = np.random.default_rng(3)
    rows = np.column_stack([rng.integers(1, 30, 40_000), rng.normal(0, 1, 40_000)]).astype(np.float64)
    days = 90 / rows[:, 0] * rng.lognormal(0, 0.3, 40_000)
    told = [examples(rows[i : i + 200], days[i : i + 200]) for i in range(0, 40_000, 200)]
    store = run(JOB, batches("examples", 0, told, range(1, 200)), {0: Store()})[0]
    model = champion("m", "l", store.records)
    assert model is not None
    often, seldom = score(model, np.array([[25.0, 0.0], [2.0, 0.0]]))
    assert 2 < often < 7
    assert 25 < seldom < 75
    assert store.position.counts["dead_lettered"] == 0


def test_one_absurd_amount_spoils_neither_the_model_nor_its_baselines() -> None:
    rng = np.random.default_rng(3)
    rows = np.column_stack([rng.integers(1, 30, 1500), rng.normal(0, 1, 1500)]).astype(np.float64)
    cents = rng.gamma(2.0, 50.0 * rows[:, 0])
    cents[[250, 251]] = 1e12, -1e12
    publishing = Publishing(500, 500, 4)
    job = LearningJob({"m": Subject("m", NAMES, "l", "log1p")}, publishing, "alerts", "dead-letters")
    store = run(job, batches("examples", 0, [examples(rows, cents)]), {0: Store()})[0]
    model = champion("m", "l", store.records)
    assert model is not None
    assert score(model, rows).mean() == pytest.approx(100 * rows[:, 0].mean(), rel=0.2)
    watch = decode_watch(store.records["watch|m"])
    assert watch.baselines.all.total / watch.baselines.all.rows == pytest.approx(100 * rows[:, 0].mean(), rel=0.1)


def test_no_number_is_foretold_below_nothing_or_beyond_sense() -> None:
    model = LinearModel("m", 1, "l", 0, NAMES, [Curve([-5.0, 0.0, 1e9], [-9.0, 0.0, 200.0]), Curve()], 0.0, "log1p")
    low, none, high = score(model, np.array([[-5.0, 0.0], [np.nan, np.nan], [1e9, 0.0]]))
    assert (low, none) == (0.0, 0.0)
    assert np.isfinite(high)
    features = np.array([[7.0, -5.0, 0.0], [7.0, 3.0, 0.0]])
    assert score_rows(model, features, np.array([1, 0]), [1, 2]) == pytest.approx(score(model, features[[1, 0], 1:]))


def test_a_model_of_before_is_read_as_a_probability() -> None:
    stored = msgspec.json.decode(encode_model(LinearModel("m", 1, "l", 0, [], [], 0.0)))
    del stored["link"]
    assert score(decode_model(msgspec.json.encode(stored)), np.empty((1, 0)))[0] == 0.5


def test_a_rule_names_a_score_in_its_own_unit() -> None:
    rule = Rule(id="late", on=["app_open"], when="next_order_days > 20", then=Then("c"), cooldown="1d")
    job, inputs = customers_job([rule]), CATALOG.tasks["next_order_days"].features
    opened = [e.AppOpen(id=f"a{n}", customer="c", at_ms=DAY_MS * (700 + 2 * n), tz="UTC") for n in range(2)]
    for days, fired in ((19.9, 0), (20.1, 2)):
        bias = float(np.log1p(days))
        model = LinearModel("next_order_days", 1, "l", 0, inputs, [Curve()] * len(inputs), bias, "log1p")
        job.decider.models = {"next_order_days": model}
        assert len(data_of(run(job, batches("events", 0, encoded(opened)))[0], "coupons")) == fired
