"""What learning makes of examples: versions, who of them scores, and dead letters; however batches are cut."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.course import STEP, Publishing, Subject
from features.job import encode_messages
from features.labels import Examples
from features.learning import LearningJob
from features.loop import Store, batches, run
from features.models import LinearModel, score
from features.quality import BASELINES, Baselines
from features.versions import (
    Appointment,
    Versions,
    champion,
    decode_versions,
    encode_appointment,
    unseal,
    version_key,
    versions_key,
)
from features.watch import decode_watch
from tests.features.streams import cuts

FEATURES = ["spend_cents", "orders", "days_since_order"]
SUBJECT = Subject("m", FEATURES, "l")


def job(
    every: int = 10, window: int = 10, kept: int = 4, automatic: bool = True, subject: Subject = SUBJECT
) -> LearningJob:
    return LearningJob({"m": subject}, Publishing(every, window, kept, automatic), "alerts", "dead-letters")


def label(yes: bool) -> float:
    """As a message has it."""
    return float(yes)


def example(number: int, **changed: object) -> bytes:
    row = [float(number), None if number % 4 == 0 else float(number % 5), 3.0]
    named = {"ids": [str(number)], "at_ms": [number], "known_ms": [number + 1]}
    known = {"model": "m", "layout": "l", **named, "labels": [label(number % 5 > 2)], "rows": [row]}
    return msgspec.json.encode(Examples(**(known | changed)))


def appointment(version: int, why: str = "promoted", at_ms: int = 0) -> bytes:
    return encode_appointment(Appointment("m", version, why, "anna", at_ms))


def versions(store: Store) -> Versions:
    return decode_versions(store.records[versions_key("m")])


def told(store: Store) -> list[tuple[int, int, str]]:
    return [(turn.version, turn.before, turn.why) for turn in versions(store).turns]


def learn(
    values: list[bytes], learning: LearningJob, store: Store | None = None, cut: list[int] | None = None
) -> Store:
    """`values` behind those that the store has taken."""
    store = store or Store()
    first = store.position.offset + 1
    return run(learning, batches("examples", 0, values, cut or [], first), {0: store})[0]


def test_the_first_version_scores_and_each_further_one_is_compared_before_it_does() -> None:
    store, seen = Store(), []
    for start, stop in pairwise([0, 4, 9, 12, 19, 20, 29, 35]):
        learn([example(n) for n in range(start, stop)], job(), store)
        found = versions(store)
        seen.append((found.champion, found.challenger, [version.number for version in found.kept]))
    assert seen[:-1] == [
        (0, 0, []),  # after 4 labels
        (0, 0, []),
        (1, 0, [1]),  # 12: published at the tenth
        (1, 0, [1]),
        (1, 2, [1, 2]),  # 20
        (1, 2, [1, 2]),
    ]
    assert seen[-1][1:] == (3, [1, 2, 3]), "the comparison of the second ended with the thirtieth label"
    assert store.position.counts["labels"] == 35
    assert store.position.counts["models_published"] == 3
    model = champion("m", "l", store.records)
    assert model is not None
    assert (model.labels, model.layout, model.features) == (model.version * 10, "l", FEATURES)


history = st.lists(
    st.one_of(
        st.integers(1, 30),
        st.builds(appointment, st.integers(0, 5)),
        st.just(b"{"),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(history, st.data())
def test_versions_are_the_same_byte_by_byte_however_batches_are_cut(
    parts: list[int | bytes], data: st.DataObject
) -> None:
    values, number = [], 0
    for part in parts:
        if isinstance(part, bytes):
            values.append(part)
        else:
            values += [example(n) for n in range(number, number + part)]
            number += part
    whole, cut = learn(values, job()), learn(values, job(), cut=data.draw(cuts))
    assert cut.records == whole.records
    assert sorted(m.key for m in cut.sent) == sorted(m.key for m in whole.sent)
    assert {encode_messages([m]) for m in cut.sent} == {encode_messages([m]) for m in whole.sent}
    assert cut.position.counts == whole.position.counts


def together(numbers: range) -> bytes:
    """Several examples in one message."""
    told = [msgspec.json.decode(example(n), type=Examples) for n in numbers]
    names = ("ids", "at_ms", "known_ms", "labels", "rows")
    lists = {name: [value for one in told for value in getattr(one, name)] for name in names}
    return msgspec.json.encode(Examples("m", "l", **lists))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 120), cuts)
def test_it_does_not_matter_how_many_labels_come_in_one_message(count: int, cut: list[int]) -> None:
    edges = sorted({0, count, *(edge for edge in cut if edge < count)})
    single = learn([example(n) for n in range(count)], job())
    several = learn([together(range(start, stop)) for start, stop in pairwise(edges)], job())
    assert several.records == single.records


@pytest.mark.parametrize("turned", [False, True], ids=["better", "worse"])
def test_a_challenger_that_is_worse_never_scores_and_one_that_is_as_good_does(turned: bool) -> None:
    """Who has learned more is surer: better, unless labels are turned around from then on."""
    learning = job(every=50, window=50)
    right = [example(n) for n in range(100)]
    then = [example(n, labels=[label((n % 5 > 2) != turned)]) for n in range(100, 150)]
    store = learn([*right, *then], learning)
    first = versions(store)
    found = first.find(2)
    assert found is not None
    assert found.compared is not None
    assert (found.compared.champion, found.compared.labels) == (1, 50)
    assert (first.champion, found.compared.won) == ((1, False) if turned else (2, True))
    model = {n: unseal(store.records[version_key("m", n)], "m", n, "l") for n in (1, 2)}
    rows = np.array([[float(n), np.nan if n % 4 == 0 else float(n % 5), 3.0] for n in range(100, 150)])
    labels = np.array([(n % 5 > 2) != turned for n in range(100, 150)])
    loss = {n: slow_loss(model[n], rows, labels) for n in (1, 2)}
    assert (found.compared.champion_loss, found.compared.loss) == pytest.approx((loss[1], loss[2]), rel=1e-5)
    assert (loss[2] <= loss[1]) == found.compared.won


def test_every_comparison_is_of_the_rows_that_came_after_its_version_and_of_no_others() -> None:
    random = np.random.default_rng(1)
    labels = random.random(300) < 0.5
    values = [example(n, labels=[label(labels[n])]) for n in range(300)]
    store = learn(values, job(every=20, window=30, kept=100), cut=[7, 20, 31])
    rows = np.array([[float(n), np.nan if n % 4 == 0 else float(n % 5), 3.0] for n in range(300)])
    compared = [version for version in versions(store).kept if version.compared]
    assert len(compared) > 5
    for version in compared:
        then, part = version.compared, slice(version.labels, version.labels + 40)
        assert then is not None
        assert then.labels == 40, "the step in which the window is full counts whole"
        numbers = (version.number, then.champion)
        models = [unseal(store.records[version_key("m", n)], "m", n, "l") for n in numbers]
        losses = [slow_loss(model, rows[part], labels[part]) for model in models]
        assert (then.loss, then.champion_loss) == pytest.approx(losses)
    assert {True, False} == {version.compared.won for version in compared if version.compared}
    _assert_window(store, rows, labels)


def _assert_window(store: Store, rows: np.ndarray, labels: np.ndarray) -> None:
    """The latest 30 of 300 rows in steps of 20, by who scored when their step began, before it was learned from."""
    baselines, expected = Baselines(), []
    for start in range(0, 300, 20):
        part = slice(start, start + 20)
        number = [turn.version for turn in versions(store).turns if turn.at_ms <= start]
        model = unseal(store.records[version_key("m", number[-1])], "m", number[-1], "l") if number else None
        champions = score(model, rows[part]) if model else np.full(20, np.nan)
        expected.append(np.column_stack([labels[part], champions, baselines.score(rows[part, 2:])]))
        baselines.learn(rows[part, 2:], labels[part].astype(np.float64))
    seen = decode_watch(store.records["watch|m"]).seen
    np.testing.assert_allclose(seen[:, [0, 1, 3, 4]], np.vstack(expected)[-30:], rtol=1e-6)


def slow_loss(model: LinearModel, rows: np.ndarray, labels: np.ndarray) -> float:
    total = 0.0
    for row, label in zip(rows, labels, strict=True):
        p = float(score(model, row[None])[0])
        total -= np.log(p if label else 1 - p)
    return total / len(rows)


def turned_round(store: Store, start: int, stop: int, right: bool) -> None:
    """Labels that follow the orders, or the opposite."""
    values = []
    for number in range(start, stop):
        follows = (number % 5 > 2) == right
        values.append(example(number, labels=[label(follows)]))
    learn(values, job(every=200, window=100), store)


def test_while_the_champion_is_worse_than_a_baseline_its_scores_have_no_value() -> None:
    """A pinned one is what a human wants."""
    store = Store()
    turned_round(store, 0, 400, True)
    assert (versions(store).held, champion("m", "l", store.records) is None) == (False, False)
    turned_round(store, 400, 600, False)
    assert decode_watch(store.records["watch|m"]).incidents.keys() >= {"worse"}
    assert (versions(store).held, champion("m", "l", store.records)) == (True, None)
    learn([appointment(1)], job(every=200, window=100), store)
    assert (versions(store).held, versions(store).pinned) == (False, True)
    turned_round(store, 600, 800, False)
    assert champion("m", "l", store.records) is not None


def test_a_champion_that_is_no_longer_worse_scores_again() -> None:
    store = Store()
    turned_round(store, 0, 400, True)
    turned_round(store, 400, 500, False)
    assert versions(store).held
    turned_round(store, 500, 900, True)
    assert not versions(store).held


def test_a_version_that_takes_the_place_of_a_held_one_is_judged_by_its_own_scores_alone() -> None:
    store, took_over = Store(), 0
    turned_round(store, 0, 400, True)
    for start in range(400, 2000, 100):
        before = versions(store)
        turned_round(store, start, start + 100, False)
        now, watch = versions(store), decode_watch(store.records["watch|m"])
        kept = now.find(now.champion)
        if before.held and now.champion != before.champion and kept and kept.compared:
            took_over += 1
            assert watch.mean_losses("logit")["champion"] == pytest.approx(kept.compared.loss, rel=1e-6)
            assert now.held == (kept.compared.loss > min(watch.mean_losses("logit")[name] for name in BASELINES))
    assert took_over
    assert not versions(store).held
    learn([appointment(versions(store).former)], job(every=200, window=100), store)
    assert np.isnan(decode_watch(store.records["watch|m"]).seen[:, 1]).all(), "it has scored none of these"


def test_a_version_that_a_human_chose_stays_until_it_is_set_free() -> None:
    learning = job(kept=40)
    store = learn([example(n) for n in range(60)], learning)
    before = versions(store)
    assert before.champion > 1
    learn([appointment(1, "rolled back")], learning, store)
    learn([example(n) for n in range(60, 160)], learning, store)
    pinned = versions(store)
    assert (pinned.champion, pinned.pinned) == (1, True)
    assert pinned.kept[-1].number > before.kept[-1].number, "comparisons go on"
    assert (1, before.champion, "rolled back") in told(store)
    learn([appointment(0, "unpinned"), *(example(n) for n in range(160, 300))], learning, store)
    assert not versions(store).pinned
    assert versions(store).champion > 1
    assert pinned.turns[-1].by == "anna"


def test_by_hand_nothing_is_promoted_unless_a_human_says_so() -> None:
    by_hand = job(automatic=False)
    store = learn([example(n) for n in range(100)], by_hand)
    assert told(store) == [(1, 0, "first")]
    newest = versions(store).kept[-2]
    assert newest.compared is not None, "who decides by hand sees how it compared"
    learn([appointment(newest.number)], by_hand, store)
    assert versions(store).champion == newest.number


def test_a_word_on_a_version_that_is_not_kept_is_a_dead_letter() -> None:
    store = learn([appointment(1), *(example(n) for n in range(10)), appointment(7)], job())
    assert [(m.headers["reason"], m.value) for m in store.sent] == [
        ("unknown_version", appointment(1)),
        ("unknown_version", appointment(7)),
    ]
    assert versions(store).champion == 1


def test_the_latest_versions_are_kept_and_never_less_than_what_is_needed() -> None:
    store = learn([example(n) for n in range(400)], job(kept=2))
    found = versions(store)
    needed = {found.champion, found.challenger, found.former} - {0}
    numbers = {version.number for version in found.kept}
    assert needed <= numbers
    assert len(numbers) <= max(2, len(needed)) + 1
    stored = {name for name in store.records if name.startswith("model|m|")}
    assert stored == {version_key("m", number) for number in numbers}


def test_a_pinned_version_outlives_many_newer_ones() -> None:
    store = learn(
        [*(example(n) for n in range(20)), appointment(1), *(example(n) for n in range(20, 300))], job(kept=2)
    )
    assert versions(store).champion == 1
    assert champion("m", "l", store.records) is not None


def test_when_the_inputs_change_the_next_version_scores_at_once_even_over_a_pin() -> None:
    store = learn([*(example(n) for n in range(25)), appointment(1)], job())
    wider = job(subject=Subject("m", [*FEATURES, "more"], "l2"))
    learn([example(n, layout="l2", rows=[[1.0, 2.0, 3.0, 4.0]]) for n in range(25, 45)], wider, store)
    assert told(store)[-1] == (3, 1, "unusable")
    assert not versions(store).pinned
    assert champion("m", "l2", store.records) is not None
    assert store.position.counts["labels_of_former_inputs"] == 5


def test_of_another_horizon_nothing_is_kept_that_was_learned_for_the_former_one() -> None:
    store = learn([example(n, labels=[1.0]) for n in range(130)], job())
    learn(
        [example(n, layout="l2", labels=[0.0]) for n in range(130, 160)],
        job(subject=Subject("m", FEATURES, "l2")),
        store,
    )
    found = champion("m", "l2", store.records)
    assert found is not None
    assert found.labels <= 30
    assert float(score(found, np.array([[1.0, 2.0, 3.0]]))[0]) < 0.1


def test_a_champion_whose_bytes_are_spoilt_is_replaced_by_the_next_version() -> None:
    store = learn([example(n) for n in range(10)], job())
    store.records[version_key("m", 1)] = store.records[version_key("m", 1)][:-1]
    learn([example(n) for n in range(10, 20)], job(), store)
    assert told(store)[-1] == (2, 1, "unusable")


def test_a_champion_that_could_not_score_for_a_while_is_compared_anew() -> None:
    learning, key = job(every=200, window=400), version_key("m", 1)
    store = learn([example(n) for n in range(400)], learning)
    sealed = store.records[key]
    store.records[key] = b""
    learn([example(n) for n in range(400, 500)], learning, store)
    store.records[key] = sealed
    learn([example(n) for n in range(500, 800)], learning, store)
    assert (told(store), versions(store).challenger) == ([(1, 0, "first")], 2)
    learn([example(n) for n in range(800, 1200)], learning, store)
    found = versions(store).find(2)
    assert found is not None
    assert found.compared is not None
    assert found.compared.labels == 400


def test_spend_that_doubles_is_told_so_by_the_next_version_that_scores() -> None:
    """Half of the customers spend nothing: by absolute error, who says half of the mean would score for ever."""
    rng, learning = np.random.default_rng(0), job(every=500, window=1000, subject=Subject("m", FEATURES, "l", "log1p"))
    orders = rng.poisson(3, 6000)
    mean = np.exp(7 + 0.15 * orders) * np.where(np.arange(6000) < 1500, 0.4, 1.0)
    spent = np.where(rng.random(6000) < 0.5, 0.0, rng.lognormal(np.log(2 * mean) - 0.5, 1.0)).tolist()
    values = [example(n, labels=[spent[n]], rows=[[float(orders[n]), 1.0, 3.0]]) for n in range(6000)]
    model = champion("m", "l", learn(values, learning).records)
    assert model is not None
    rows = np.column_stack([orders[1500:], np.full(4500, 1.0), np.full(4500, 3.0)])
    assert score(model, rows).mean() == pytest.approx(mean[1500:].mean(), rel=0.25)


def test_labels_that_do_not_fill_a_step_wait_for_more_and_are_not_lost() -> None:
    learning = job(every=500, window=500)
    store = learn([example(n) for n in range(STEP - 1)], learning)
    assert decode_watch(store.records["watch|m"]).labels == 0
    learn([example(STEP)], learning, store)
    assert decode_watch(store.records["watch|m"]).labels == STEP
