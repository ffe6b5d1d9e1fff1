"""benchmarks.silence learns from rows with true labels, and from none of those who are scored."""

from __future__ import annotations

import numpy as np

from benchmarks.people import HORIZON_DAYS, Task
from benchmarks.silence import _joined, kept_rows
from features import events as e
from features.times import DAY_MS, local_day
from tests.alerts.triggers.jobs import CATALOG

NOON_MS = 1_777_867_200_000


def order(customer: str, day: int) -> e.Order:
    at_ms = NOON_MS + day * DAY_MS
    lines = [e.Line("tea")]
    id = f"{customer}{day}"
    return e.Order(
        id=id, customer=customer, at_ms=at_ms, day=local_day(at_ms, "UTC"), tz="UTC", lines=lines, total_cents=500
    )


DAYS = {"1": range(0, 300, 7), "2": (0, 20, 90, 200), "3": (3,), "4": range(5, 300, 31)}
EVENTS = sorted((order(who, day) for who, days in DAYS.items() for day in days), key=lambda event: event.at_ms)


def test_rows_that_are_kept_have_the_labels_that_a_count_over_all_orders_gives() -> None:
    kept = kept_rows(CATALOG, EVENTS)
    times = {who: [NOON_MS + day * DAY_MS for day in days] for who, days in DAYS.items()}
    for who, at_ms, known_ms, label, of_order in zip(
        kept.customers, kept.at_ms, kept.known_ms, kept.labels, kept.of_order, strict=True
    ):
        came = [time_ms for time_ms in times[who] if at_ms < time_ms < at_ms + HORIZON_DAYS * DAY_MS]
        assert label == (not came)
        assert known_ms == at_ms + (HORIZON_DAYS + 1) * DAY_MS
        assert of_order == (at_ms in times[who])
    assert 0 < kept.of_order.sum() < len(kept.customers)
    assert 0 < kept.labels.sum() < len(kept.customers)


def test_rows_that_are_scored_stand_behind_those_that_are_learned_from_and_are_never_known() -> None:
    kept = kept_rows(CATALOG, EVENTS)
    ones = np.ones(3)
    task = Task("t", ["a"], ["1", "2", "3"], np.arange(3), np.arange(3), np.ones((3, kept.rows.shape[1])), ones, [], [])
    joined, learned, scored = _joined(task, kept, kept.of_order, np.array([True, False, True]))
    assert learned.sum() == kept.of_order.sum()
    assert joined.moments_ms[scored].tolist() == [0, 2]
    assert joined.known_ms[scored].min() > joined.known_ms[learned].max()
    assert not (learned & scored).any()
