"""A partition knows so many texts, and no more."""

from __future__ import annotations

import pytest

from alerts.triggers.merging import Merging
from features import amounts
from features import events as e
from features.loop import Store, batches, run
from tests.alerts.triggers.jobs import customers_job

NOON_MS = 1_777_867_200_000
MOST = 5


def toppings(count: int, customer: str) -> list[bytes]:
    return [
        e.encode(
            e.Order(
                id=f"{customer}{n}",
                customer=customer,
                at_ms=NOON_MS + n,
                tz="UTC",
                lines=[e.Line("tea", options={"toppings": f"note {customer}{n}"})],
                total_cents=100,
            )
        )
        for n in range(count)
    ]


def words(store: Store) -> set[str]:
    return set(store.words.values())


@pytest.mark.parametrize("cuts", [(), (2, 4), range(1, 9)])
def test_texts_without_end_are_not_kept(monkeypatch: pytest.MonkeyPatch, cuts: tuple[int, ...]) -> None:
    monkeypatch.setattr(amounts, "MOST_WORDS", MOST)
    store = run(customers_job([]), batches("events", 0, toppings(9, "ca"), cuts))[0]
    assert (len(store.words), words(store) - {f"note ca{n}" for n in range(4)}) == (MOST, {"tea"})
    assert store.position.counts["words_left_out"] == 5


def test_neither_are_those_of_a_history(monkeypatch: pytest.MonkeyPatch) -> None:
    job = Merging(customers_job([]), "events")
    merge = e.encode(e.Merge(id="m", customer="cb", at_ms=NOON_MS + 9, into="ca"))
    there = run(job, batches("events", 0, [*toppings(9, "cb"), merge]))[0]
    monkeypatch.setattr(amounts, "MOST_WORDS", MOST)
    told = [message.value for message in there.sent if message.topic == "events"]
    here = run(job, batches("events", 1, [*toppings(3, "ca"), *told, *told]))[1]
    assert (len(here.words), here.position.counts["words_left_out"]) == (MOST, 8)
