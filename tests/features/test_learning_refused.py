"""What learning cannot learn from is a dead letter, and leaves what was known."""

from __future__ import annotations

import pytest

from features.job import Batch
from features.loop import Store, run
from features.models import Learner, Matrix, decode_learned
from features.versions import Appointment, encode_appointment
from tests.features.test_learning import FEATURES, Subject, example, job, learn, versions


def test_a_row_that_is_too_short_is_a_dead_letter_and_spoils_no_other() -> None:
    store = learn([example(1, rows=[[1.0, 2.0]]), *(example(n) for n in range(2, 12))], job())
    assert [message.headers["reason"] for message in store.sent] == ["malformed"]
    assert store.position.counts["labels"] == 10
    assert versions(store).champion == 1


def test_an_amount_beyond_sense_is_a_dead_letter_and_a_large_one_is_not() -> None:
    amounts = job(subject=Subject("m", FEATURES, "l", "log1p"))
    store = learn([example(1, labels=[1e200]), example(2, labels=[-1e16]), example(3, labels=[1e13])], amounts)
    assert [m.headers["reason"] for m in store.sent] == ["out_of_range"] * 2
    assert store.position.counts["labels"] == 1


def test_what_cannot_be_learned_leaves_what_was_known(monkeypatch: pytest.MonkeyPatch) -> None:
    store = learn([example(n) for n in range(200)], job(every=100, window=100))
    before = decode_learned(store.records["learner|m"])
    learn_rows = Learner.learn

    def learn_badly(self: Learner, values: Matrix, labels: Matrix) -> None:
        learn_rows(self, values, labels)
        self.learned.spread = float("inf")

    monkeypatch.setattr(Learner, "learn", learn_badly)
    learn([example(n) for n in range(200, 300)], job(every=100, window=100), store)
    assert store.position.counts["labels_not_learned"] == 100
    after = decode_learned(store.records["learner|m"])
    after.version = before.version
    assert after == before


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", "malformed"),
        (b"\xff", "malformed"),
        (example(1, labels=["yes"]), "malformed"),
        (example(1, labels=[0.5]), "out_of_range"),
        (example(1, labels=[1e200]), "out_of_range"),
        (example(1, known_ms=[10**17]), "absurd_time"),
        (example(1, known_ms=[-1]), "absurd_time"),
        (example(1, layout="older"), "layout"),
        (example(1, model="unheard-of"), "layout"),
        (b'{"type":"champion","model":"m"}', "malformed"),
        (b'{"type":"tick","id":"h","of":"x"}', "malformed"),
        (encode_appointment(Appointment("unheard-of", 1, "promoted", "anna", 0)), "unknown_version"),
    ],
)
def test_an_example_it_cannot_learn_from_is_a_dead_letter(value: bytes, reason: str) -> None:
    store = run(job(), [Batch("examples", 0, -1, [0, 1], [value, example(2)], [0, 0])], {0: Store()})[0]
    assert [(m.topic, m.value, m.headers["reason"]) for m in store.sent] == [("dead-letters", value, reason)]
    assert store.position.counts == {"labels": 1, "dead_lettered": 1, f"dead_lettered:{reason}": 1}
