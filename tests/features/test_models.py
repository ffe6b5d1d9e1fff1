"""The linear form scores as River does, explains itself, and learning can be put down and taken up again."""

from __future__ import annotations

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from features.job import Batch
from features.labels import Examples
from features.learning import LearningJob
from features.loop import Store, batches, run
from features.models import (
    Learned,
    Learner,
    LinearModel,
    Matrix,
    decode_learned,
    decode_model,
    encode_learned,
    encode_model,
    score,
    score_rows,
    squash,
    terms,
)

FEATURES = ["spend_cents", "orders", "days"]
values = st.floats(-1e9, 1e9) | st.integers(0, 5).map(float)
matrices = st.integers(1, 20).flatmap(lambda rows: hnp.arrays(np.float64, (rows, len(FEATURES)), elements=values))
lessons = st.lists(matrices, min_size=1, max_size=4)


def new_learner() -> Learner:
    return Learner("m", FEATURES, "l", Learned())


def labels_of(rows: Matrix) -> np.ndarray:
    return rows[:, 1] > 2


def taught(lessons: list[Matrix], learner: Learner | None = None) -> Learner:
    learner = learner or new_learner()
    for rows in lessons:
        learner.learn(rows, labels_of(rows))
    return learner


def holes(rows: Matrix) -> Matrix:
    """The same rows with every third value missing."""
    holed = rows.copy()
    holed.flat[::3] = np.nan
    return holed


@settings(max_examples=25, deadline=None)
@given(lessons, matrices)
def test_score_is_rivers_predict_proba(lessons: list[Matrix], rows: Matrix) -> None:
    learner = taught(lessons)
    model = decode_model(encode_model(learner.publish()))
    scaled = learner.scaler.transform_many(pd.DataFrame(squash(rows), columns=FEATURES))
    river = learner.regression.predict_proba_many(scaled)[True].to_numpy()
    np.testing.assert_allclose(score(model, rows), river, rtol=1e-9, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(lessons, matrices)
def test_terms_and_bias_sum_to_the_logit_and_a_missing_value_adds_nothing(lessons: list[Matrix], rows: Matrix) -> None:
    model = taught(lessons).publish()
    for seen in (rows, holes(rows)):
        logit = terms(model, seen).sum(axis=1) + model.bias
        np.testing.assert_allclose(score(model, seen), 1 / (1 + np.exp(-np.clip(logit, -30, 30))), rtol=1e-12)
    assert (terms(model, holes(rows)).flat[::3] == 0).all()


@settings(max_examples=25, deadline=None)
@given(lessons, lessons)
def test_a_learner_taken_up_again_learns_on_as_if_it_had_never_stopped(first: list[Matrix], then: list[Matrix]) -> None:
    first, then = [holes(rows) for rows in first], [holes(rows) for rows in then]
    going = taught(first)
    stored = decode_learned(encode_learned(going.learned))
    resumed = taught(then, Learner("m", FEATURES, "l", stored))
    assert encode_learned(taught(then, going).learned) == encode_learned(resumed.learned)
    assert going.publish() == resumed.publish()


def test_it_learns_what_there_is_to_learn() -> None:
    rng = np.random.default_rng(7)
    rows = np.column_stack([rng.lognormal(8, 2, 4000), rng.poisson(3, 4000), rng.exponential(20, 4000)])
    churned = rows[:, 2] - 5 * rows[:, 1] + rng.normal(0, 5, 4000) > 0
    learner = new_learner()
    for start in range(0, 3000, 100):
        learner.learn(rows[start : start + 100], churned[start : start + 100])
    found = score(learner.publish(), rows[3000:])
    better = np.subtract.outer(found[churned[3000:]], found[~churned[3000:]]) > 0
    assert better.mean() > 0.9, "area under the ROC curve"
    assert abs(found.mean() - churned[3000:].mean()) < 0.1


@pytest.mark.parametrize("constant", [0.1, 3.0, 1800.0])
def test_a_feature_that_is_the_same_for_everybody_says_nothing(constant: float) -> None:
    rows = np.array([[constant, n % 5, n] for n in range(60)], dtype=np.float64)
    model = taught([rows[:7], rows[7:20], rows[20:]]).publish()
    one, other = score(model, np.array([[constant, 1, 1], [constant * 50, 1, 1]], dtype=np.float64))
    assert abs(one - other) < 1e-12


def test_wild_values_stay_probabilities() -> None:
    model = LinearModel("m", 1, "l", 0, FEATURES, [0.0] * 3, [1.0] * 3, [1e6, -1e6, 1.0], 0.0)
    found = score(model, np.array([[1e300, 0, 0], [0, 1e300, 0], [np.nan] * 3]))
    assert ((found >= 0) & (found <= 1)).all()
    assert found[2] == 0.5


def example(number: int, **changed: object) -> bytes:
    row = [float(number), None if number % 4 == 0 else float(number % 5), 3.0]
    times = {"at_ms": [number], "known_ms": [number + 1]}
    known = {"model": "m", "layout": "l", **times, "labels": [float(number % 5 > 2)], "rows": [row]}
    return msgspec.json.encode(Examples(**(known | changed)))


JOB = LearningJob({"m": FEATURES}, {"m": "l"}, 10, "dead-letters")


def test_the_job_publishes_a_version_for_every_so_many_labels() -> None:
    store, versions = Store(), []
    for batch in batches("examples", 0, [example(n) for n in range(35)], [4, 9, 12, 31]):
        run(JOB, [batch], {0: store})
        versions.append(decode_model(store.records["model|m"]).version if "model|m" in store.records else 0)
    assert versions == [0, 0, 1, 2, 2], "after 4, 9, 12, 31 and 35 labels"
    model = decode_model(store.records["model|m"])
    assert (model.labels, model.layout, model.features) == (31, "l", FEATURES)
    assert store.position.counts == {"labels": 35, "dead_lettered": 0}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", "malformed"),
        (b"\xff", "malformed"),
        (example(1, labels=["yes"]), "malformed"),
        (example(1, layout="older"), "layout"),
        (example(1, model="unheard-of"), "layout"),
    ],
)
def test_an_example_it_cannot_learn_from_is_a_dead_letter(value: bytes, reason: str) -> None:
    store = run(JOB, [Batch("examples", 0, -1, [0, 1], [value, example(2)], [0, 0])], {0: Store()})[0]
    assert [(m.topic, m.value, m.headers["reason"]) for m in store.sent] == [("dead-letters", value, reason)]
    assert store.position.counts == {"labels": 1, "dead_lettered": 1, f"dead_lettered:{reason}": 1}


def test_rows_are_scored_in_place_as_if_they_had_been_cut_out() -> None:
    random = np.random.default_rng(5)
    features = random.normal(0, 1e4, (50, 9))
    features[random.random((50, 9)) < 0.2] = np.nan
    rows, columns = np.array([3, 3, 49, 0]), [8, 1, 4]
    model = LinearModel("m", 1, "l", 0, FEATURES, [3.0, -1.0, 0.5], [2.0, 0.3, 1.0], [0.7, -0.2, 0.1], -0.4)
    assert score_rows(model, features, rows, columns) == pytest.approx(score(model, features[np.ix_(rows, columns)]))
