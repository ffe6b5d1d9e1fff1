"""Labels tell what was known when they were given: never too early, never twice, never against the log."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from features.events import Event, Line, Order, Tick, encode
from features.labels import Examples, decode_examples
from features.loop import Store, batches, run
from features.times import local_day, parse_time
from tests.alerts.triggers.jobs import customers_job

HORIZON_MS = 30
START_MS = parse_time("2026-05-04T12:00:00Z")
JOB = customers_job([], horizon_ms=HORIZON_MS)


class Example(Struct):
    """One row of a message of examples."""

    at_ms: int
    known_ms: int
    label: bool
    row: list[float | None]


moves = st.lists(st.tuples(st.sampled_from(("order", "order", "clock")), st.integers(1, 150)), max_size=20)


def walk(moves: list[tuple[str, int]]) -> list[tuple[Example, list[int], int]]:
    """Orders and ticks through the customers job: each example, and the orders and the latest time known then."""
    store, orders, latest_ms, given = Store(), [], 0, []
    for number, (kind, at_ms) in enumerate(moves):
        orders += [at_ms] if kind == "order" else []
        latest_ms = max(latest_ms, at_ms)
        before = len(store.sent)
        run(JOB, batches("events", 0, [encode(event_of(number, kind, START_MS + at_ms))], first=number), {0: store})
        for message in store.sent[before:]:
            given += [(example, list(orders), latest_ms) for example in singly(decode_examples(message.value))]
    return given


def event_of(number: int, kind: str, at_ms: int) -> Event:
    if kind == "clock":
        return Tick(id="t", at_ms=at_ms, source="pos/0", of=1)
    lines = [Line("tea", qty=number + 1)]
    return Order(
        id=str(number), customer="c", at_ms=at_ms, day=local_day(at_ms, "UTC"), tz="UTC", lines=lines, total_cents=5
    )


def singly(told: Examples) -> list[Example]:
    """One by one, with times from the start."""
    times = zip(told.at_ms, told.known_ms, told.labels, told.rows, strict=True)
    return [Example(at_ms - START_MS, known_ms - START_MS, label, row) for at_ms, known_ms, label, row in times]


@settings(max_examples=40, deadline=None)
@given(moves)
def test_no_label_is_given_before_it_could_be_known(moves: list[tuple[str, int]]) -> None:
    for example, orders, latest_ms in walk(moves):
        assert example.at_ms < example.known_ms <= latest_ms
        if example.label:
            assert example.known_ms >= example.at_ms + HORIZON_MS
        else:
            assert example.known_ms in orders


@settings(max_examples=40, deadline=None)
@given(moves)
def test_a_label_agrees_with_every_order_known_by_then(moves: list[tuple[str, int]]) -> None:
    for example, orders, _ in walk(moves):
        returned = any(example.at_ms < order < example.at_ms + HORIZON_MS for order in orders)
        assert example.label is not returned


@settings(max_examples=40, deadline=None)
@given(moves)
def test_an_order_is_labelled_at_most_once_however_late_others_come(moves: list[tuple[str, int]]) -> None:
    labelled = [example.at_ms for example, _, _ in walk(moves)]
    assert len(labelled) == len(set(labelled))


@settings(max_examples=40, deadline=None)
@given(st.sets(st.integers(1, 400), min_size=1))
def test_in_order_every_order_gets_the_true_label(times: set[int]) -> None:
    orders = sorted(times)
    examples = [x for x, _, _ in walk([*(("order", at_ms) for at_ms in orders), ("clock", orders[-1] + HORIZON_MS)])]
    gaps = [*np.diff(orders).tolist(), HORIZON_MS]
    assert [(x.at_ms, x.label) for x in examples] == [
        (at_ms, gap >= HORIZON_MS) for at_ms, gap in zip(orders, gaps, strict=True)
    ]


def test_the_row_is_the_one_of_the_order_that_waited() -> None:
    (example,) = (x for x, _, _ in walk([("order", 5), ("order", 9)]))
    row = dict(zip(JOB.core.catalog.models["churn_risk"], example.row, strict=True))
    assert (example.at_ms, example.known_ms, example.label) == (5, 9, False)
    assert row[JOB.core.catalog.index("orders_lifetime")] == 1
    assert row[JOB.core.catalog.index("items_per_order_90d")] == 1
    assert row[JOB.core.catalog.index("rhythm_days")] is None, "one order has no rhythm"
    matrix = Examples("m", "l", [5], [9], [False], [example.row]).matrix()
    assert isnan(matrix[0, list(row).index(JOB.core.catalog.index("rhythm_days"))])


@pytest.mark.parametrize(("now_ms", "labelled"), [(34, False), (35, True)])
def test_silence_is_a_label_once_the_horizon_has_passed(now_ms: int, labelled: bool) -> None:
    examples = [x for x, _, _ in walk([("order", 5), ("clock", now_ms), ("clock", now_ms)])]
    assert [(x.label, x.known_ms) for x in examples] == [(True, 35)] * labelled


def test_an_order_that_comes_after_its_successor_was_labelled_is_no_example() -> None:
    """By then it is known that the customer did return, so silence after it must not count as churn."""
    examples = [x for x, _, _ in walk([("order", 100), ("clock", 130), ("order", 90), ("clock", 150)])]
    assert [(x.at_ms, x.label) for x in examples] == [(100, True)]


def test_a_second_order_of_the_same_instant_is_no_second_example() -> None:
    examples = [x for x, _, _ in walk([("order", 100), ("clock", 130), ("order", 100), ("clock", 150)])]
    assert [(x.at_ms, x.label) for x in examples] == [(100, True)]
