"""Models learn curves: as well as a slow batch fit, explained to the last bit, and the same after a restart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from features.models import (
    LINKS,
    Curve,
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
    terms,
)
from features.models import learner as learning
from features.models.curves import Shape, carried, columns_of, draw, looseness

FEATURES = ["spend_cents", "orders", "days"]
values = st.floats(-1e9, 1e9) | st.integers(0, 5).map(float) | st.just(np.nan)
matrices = st.integers(1, 200).flatmap(lambda rows: hnp.arrays(np.float64, (rows, len(FEATURES)), elements=values))
lessons = st.lists(matrices, min_size=1, max_size=4)


def new_learner(link: str = "logit") -> Learner:
    return Learner("m", FEATURES, "l", Learned(), link)


def people(count: int, seed: int = 7) -> tuple[Matrix, Matrix]:
    """Spend, orders, days since; the odds of staying away bend with the days and fall with the orders."""
    rng = np.random.default_rng(seed)
    rows = np.column_stack([rng.lognormal(8, 2, count), rng.poisson(3, count), rng.exponential(20, count)])
    logit = -1 + 0.15 * np.minimum(rows[:, 2], 20) - 0.5 * rows[:, 1]
    return rows, (rng.random(count) < 1 / (1 + np.exp(-logit))).astype(np.float64)


def taught(rows: Matrix, labels: Matrix, learner: Learner | None = None, batch: int = 100) -> Learner:
    learner = learner or new_learner()
    for start in range(0, len(labels), batch):
        learner.learn(rows[start : start + batch], labels[start : start + batch])
    return learner


def log_loss(labels: Matrix, chances: Matrix) -> float:
    return float(-np.mean(labels * np.log(chances) + (1 - labels) * np.log(1 - chances)))


def model_of(*curves: Curve, bias: float = 0.0) -> LinearModel:
    return LinearModel("m", 1, "l", 0, FEATURES[: len(curves)], list(curves), bias)


@settings(max_examples=10, deadline=None)
@given(lessons, matrices)
def test_terms_and_bias_sum_to_the_calibrated_logit(lessons: list[Matrix], rows: Matrix) -> None:
    learner = new_learner()
    for lesson in lessons:
        learner.learn(lesson, np.arange(len(lesson)) % 3 == 0)
    model = decode_model(encode_model(learner.publish()))
    logit = terms(model, rows).sum(axis=1) + model.bias
    np.testing.assert_allclose(score(model, rows), 1 / (1 + np.exp(-np.clip(logit, -30, 30))), rtol=1e-12)


@settings(max_examples=10, deadline=None)
@given(lessons, lessons, st.sampled_from(sorted(LINKS)))
def test_a_learner_taken_up_again_learns_on_as_if_it_had_never_stopped(
    first: list[Matrix], then: list[Matrix], link: str
) -> None:
    def labels_of(rows: Matrix) -> Matrix:
        return (np.arange(len(rows)) % 3 == 0).astype(np.float64) * (1 if link == "logit" else 700)

    going = new_learner(link)
    for rows in first:
        going.learn(rows, labels_of(rows))
    resumed = Learner("m", FEATURES, "l", decode_learned(encode_learned(going.learned)), link)
    for rows in then:
        going.learn(rows, labels_of(rows))
        resumed.learn(rows, labels_of(rows))
    assert encode_learned(going.learned) == encode_learned(resumed.learned)
    assert encode_model(going.publish()) == encode_model(resumed.publish())


def test_it_is_as_good_as_a_batch_fit_of_all_rows_at_once() -> None:
    """The twin: penalised Newton steps to the end over every row, on the curves that the learner drew."""
    rows, labels = people(6000)
    learner = taught(rows[:4000], labels[:4000])
    columns, left_out = (columns_of(learner.shapes, part) for part in (rows[:4000], rows[4000:]))
    losses = []
    for straight, bend in learning.MEMBERS:
        weights, ridge = np.zeros(columns.shape[1]), np.diag(1 / looseness(learner.shapes, straight, bend))
        for _ in range(30):
            chances = 1 / (1 + np.exp(-columns @ weights))
            curvature = (columns * (chances * (1 - chances))[:, None]).T @ columns + ridge
            weights += np.linalg.solve(curvature, columns.T @ (labels[:4000] - chances) - ridge @ weights)
        losses.append(log_loss(labels[4000:], 1 / (1 + np.exp(-left_out @ weights))))
    ours = log_loss(labels[4000:], score(learner.publish(), rows[4000:]))
    assert ours < min(losses) + 0.002
    base = labels[:4000].mean()
    assert ours < log_loss(labels[4000:], np.full(2000, base)) - 0.1, "better than the base rate"


def test_small_batches_and_one_of_all_end_where_the_others_do() -> None:
    rows, labels = people(700)
    scores = [score(taught(rows, labels, batch=batch).publish(), rows) for batch in (7, 64, 700)]
    assert np.abs(scores[0] - scores[1]).max() < 0.06
    assert np.abs(scores[2] - scores[1]).max() < 0.06


def test_what_is_foretold_comes_true_as_often_as_it_says() -> None:
    rows, labels = people(8000)
    chances = score(taught(rows[:4000], labels[:4000]).publish(), rows[4000:])
    tenths = np.array_split(np.argsort(chances), 10)
    assert (
        np.mean([abs(chances[part].mean() - labels[4000:][part].mean()) for part in tenths]) < 0.045
    )  # the true chances: 0.022


def test_when_the_world_changes_calibration_follows() -> None:
    rows, labels = people(4000)
    before = taught(rows, labels)
    fewer = labels * (np.random.default_rng(1).random(4000) < 0.3)
    after = taught(rows, fewer, Learner("m", FEATURES, "l", decode_learned(encode_learned(before.learned))))
    asked = people(4000, seed=8)[0]
    assert score(after.publish(), asked).mean() < 0.75 * score(before.publish(), asked).mean()


def test_when_what_moves_customers_turns_round_the_curves_follow() -> None:
    rows, labels = people(9000)
    turned = Learner("m", FEATURES, "l", decode_learned(encode_learned(taught(rows, labels).learned)))
    turned = taught(rows[:4000], 1 - labels[:4000], turned)
    asked, came = people(4000, seed=8)
    fresh = taught(rows[:4000], 1 - labels[:4000])
    assert log_loss(1 - came, score(turned.publish(), asked)) < log_loss(1 - came, score(fresh.publish(), asked)) + 0.05


def test_what_was_kept_with_one_half_life_goes_on_with_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, labels = people(3000)
    monkeypatch.setattr(learning, "HALF_LIVES", learning.HALF_LIVES[1:])
    former = taught(rows[:2000], labels[:2000])
    before, stored = former.publish(), encode_learned(former.learned)
    monkeypatch.undo()
    taken = Learner("m", FEATURES, "l", decode_learned(stored))
    assert np.allclose(score(taken.publish(), rows), score(before, rows))
    assert len(taught(rows[2000:], labels[2000:], taken).losses) == len(learning.HALF_LIVES) * len(learning.MEMBERS)


def test_an_expected_amount_is_learned_by_the_same_learner() -> None:
    rng = np.random.default_rng(3)
    rows, _ = people(6000)
    mean = 500 * (1 + rows[:, 1]) * np.exp(-rows[:, 2] / 40)
    amounts = rng.gamma(0.7, mean / 0.7) * (rng.random(6000) < 0.8)
    learner = taught(rows[:4000], amounts[:4000], new_learner("log1p"))
    foretold, came = score(learner.publish(), rows[4000:]), amounts[4000:]
    assert (foretold >= 0).all()
    assert abs(foretold.mean() / came.mean() - 1) < 0.1, "what is expected, not what is usual"
    assert np.corrcoef(foretold, 0.8 * mean[4000:])[0, 1] > 0.95
    known = [(came - guess).std() for guess in (foretold, np.full(2000, came.mean()), 0.8 * mean[4000:])]
    assert known[0] - known[2] < 0.1 * (known[1] - known[2])


def spenders(count: int) -> tuple[Matrix, Matrix, Matrix]:
    """Their rows, what is expected of each, and what came."""
    rows, _ = people(count)
    mean = 500 * (1 + rows[:, 1])
    return rows, mean, np.random.default_rng(3).gamma(2.0, mean / 2)


@pytest.mark.parametrize("most", [1e6, 1e9, 1e15])
@pytest.mark.parametrize("when", [50, 250, 1950])
def test_an_absurd_amount_moves_what_is_foretold_as_a_large_one_does(when: int, most: float) -> None:
    rows, mean, amounts = spenders(2000)
    amounts[when] = most
    found = score(taught(rows, amounts, new_learner("log1p")).publish(), rows)
    assert abs(found / mean - 1).mean() < 0.25
    assert found.max() < 2 * mean.max()


@pytest.mark.parametrize("times", [0.0, 30.0, 1000.0])
def test_when_amounts_become_much_larger_what_is_foretold_follows(times: float) -> None:
    """From nothing as well, as in a shop that has just begun."""
    rows, mean, amounts = spenders(6000)
    amounts[:2000] *= times and 1 / times
    found = score(taught(rows, amounts, new_learner("log1p")).publish(), rows)
    assert 0.7 < found.mean() / mean.mean() < 1.4


def test_amounts_that_seldom_come_are_foretold_by_their_mean() -> None:
    rng = np.random.default_rng(5)
    rows, _, amounts = spenders(6000)
    amounts *= rng.random(6000) < 0.005
    found = score(taught(rows, amounts, new_learner("log1p")).publish(), rows)
    assert 0.5 < found.mean() / amounts.mean() < 2


@pytest.mark.parametrize(
    "noise",
    [
        lambda rng, rows: np.full(len(rows), 7.0),
        lambda rng, rows: np.full(len(rows), np.nan),
        lambda rng, rows: np.where(rng.random(len(rows)) < 0.01, 1e300, 0.0),
        lambda rng, rows: rng.choice([-np.inf, np.inf, 0.0], len(rows)),
        lambda rng, rows: rng.standard_cauchy(len(rows)) * 1e6,
        lambda rng, rows: np.where(np.arange(len(rows)) < 2000, np.nan, rng.normal(size=len(rows))),
        lambda rng, rows: rows[:, 1],
    ],
    ids=["constant", "missing", "huge and rare", "endless", "wild", "new", "twice the same"],
)
def test_a_feature_that_says_nothing_does_no_harm(noise: object) -> None:
    rows, labels = people(6000)
    without = log_loss(labels[4000:], score(taught(rows[:4000], labels[:4000]).publish(), rows[4000:]))
    more = np.column_stack([rows, noise(np.random.default_rng(5), rows)])  # type: ignore[operator]
    learner = taught(more[:4000], labels[:4000], Learner("m", [*FEATURES, "noise"], "l", Learned()))
    assert log_loss(labels[4000:], score(learner.publish(), more[4000:])) < without + 0.004


def test_that_a_value_is_missing_can_say_something() -> None:
    rows, labels = people(3000)
    rows[:, 0] = np.where(labels + np.random.default_rng(5).random(3000) > 1.2, np.nan, rows[:, 0])
    model = taught(rows, labels).publish()
    assert model.curves[0].missing > 1


def test_a_feature_that_begins_to_vary_is_learned_from_then_on() -> None:
    rows, labels = people(4000)
    rows[:1500, 2] = 0.0
    learner = taught(rows[:1500], labels[:1500])
    assert learner.publish().curves[2].heights == [0.0]
    assert taught(rows[1500:], labels[1500:], learner).publish().curves[2].heights[-1] > 0.5


def test_before_there_are_labels_enough_everybody_has_the_base_rate() -> None:
    rows, labels = people(60)
    found = score(taught(rows, labels).publish(), rows)
    assert found == pytest.approx((labels.sum() + 1) / 62)
    assert score(new_learner().publish(), rows) == pytest.approx(0.5)


@pytest.mark.parametrize("count", [600, 1500])
def test_while_too_few_labels_are_of_a_kind_everybody_has_the_base_rate(count: int) -> None:
    rows, _ = people(count)
    labels = np.zeros(count)
    labels[: learning.OF_EACH - 1] = 1.0
    assert score(taught(rows, labels).publish(), rows) == pytest.approx(learning.OF_EACH / (count + 2))
    assert score(taught(rows, np.zeros(count)).publish(), rows) == pytest.approx(1 / (count + 2))


def test_curves_are_drawn_once_enough_labels_are_of_either_kind_however_seldom_they_come() -> None:
    rows, _ = people(2000)
    labels = np.zeros(2000)
    labels[::400] = 1.0
    learner = taught(rows, labels)
    assert learner.publish().curves[0].knots
    assert len(learner.targets) <= learning.LAG, "older rows are information now"


def test_other_features_or_another_task_begin_anew_and_keep_the_count_of_versions() -> None:
    learner = taught(*people(300))
    learner.publish()
    for anew in (
        Learner("m", [*FEATURES, "more"], "l2", decode_learned(encode_learned(learner.learned))),
        Learner("m", FEATURES, "l", decode_learned(encode_learned(learner.learned)), "log1p"),
        Learner("m", FEATURES, "another horizon", decode_learned(encode_learned(learner.learned))),
    ):
        assert (anew.learned.labels, anew.shapes, anew.publish().version) == (0, [], 2)


def test_what_an_earlier_release_stored_begins_anew() -> None:
    stored = b'{"labels":40,"version":3,"counts":{"days":40},"means":{"days":1.5},"weights":{"days":0.1},"bias":0.2}'
    assert Learner("m", FEATURES, "l", decode_learned(stored)).publish().version == 4


def test_wild_values_stay_probabilities() -> None:
    curve = Curve([-1e9, 0.0, 1e9], [-1e6, 0.0, 1e6], 0.0)
    found = score(model_of(curve, curve), np.array([[1e300, 0], [0, -1e300], [np.nan] * 2]))
    assert ((found >= 0) & (found <= 1)).all()
    assert found[2] == 0.5


columns = hnp.arrays(np.float64, st.integers(2, 60), elements=values)


@settings(max_examples=60, deadline=None)
@given(columns, columns)
def test_curves_that_are_drawn_anew_are_as_wide_as_before_and_say_the_same_where_they_were_drawn(
    first: Matrix, then: Matrix
) -> None:
    old = draw(first, Shape())
    new = draw(then, old)
    if old.knots:
        assert new.knots[0] <= old.knots[0]
        assert new.knots[-1] >= old.knots[-1]
    carry = carried([old], [old])
    points = np.array(old.knots or [np.nan])[:, None]
    np.testing.assert_allclose(columns_of([old], points) @ carry, columns_of([old], points), atol=1e-6)
    said = columns_of([old], points) @ carried([old], [new])
    assert np.isfinite(said).all()
    if old.parts and old.knots == [knot for knot in new.knots if old.knots[0] <= knot <= old.knots[-1]]:
        np.testing.assert_allclose(said[:, 1], columns_of([new], points)[:, 1], atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(matrices, st.lists(st.integers(0, 2), min_size=3, max_size=3))
def test_rows_are_scored_in_place_as_if_they_had_been_cut_out(rows: Matrix, places: list[int]) -> None:
    curves = [Curve([0.0, 1.0, 5.0, 1e6], [-1.0, 0.5, 0.4, 3.0], 0.7), Curve(), Curve([2.0], [0.3])]
    model = model_of(*curves, bias=-0.4)
    wide = np.column_stack([rows, rows * 2])
    taken, inputs = np.arange(len(rows))[::2], [place + 3 * (i % 2) for i, place in enumerate(places)]
    np.testing.assert_allclose(
        score_rows(model, wide, taken, inputs), score(model, wide[np.ix_(taken, inputs)]), rtol=1e-9
    )
