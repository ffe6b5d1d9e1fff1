"""An actor is measured against the actor's own past, and a thief does not teach it."""

from __future__ import annotations

from math import log1p
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.security import baseline
from alerts.security.baseline import FORGET_MS, LEARN, LEAST_ROWS, QUIET_MS, Past, observe
from alerts.security.moments import WEIGHT
from features.times import DAY_MS
from tests.oracle_security import weighted_mean


def taught(rows: list[int], hour: int = 10) -> Past:
    past = Past()
    for n, count in enumerate(rows):
        observe(past, count, hour, n * DAY_MS)
    return past


def ordinary(exports: int) -> list[int]:
    rng = Random(7)
    return [round(200 * 1.5 ** rng.uniform(-1, 1)) for _ in range(exports)]


def test_a_beginner_is_left_to_the_rules() -> None:
    assert observe(taught([200] * (LEARN - 1)), 10**6, 10, 0) is None
    assert observe(taught([200] * LEARN), 10**6, 10, 0) is not None


def test_ordinary_exports_are_never_unusual() -> None:
    past = Past()
    assert not any(observe(past, rows, 10, n * DAY_MS) for n, rows in enumerate(ordinary(500)))


def test_ten_times_the_usual_is_unusual() -> None:
    unusual = observe(taught(ordinary(50)), 2_500, 10, 10**12)
    assert unusual is not None
    assert not unusual.new_hour
    assert 300 < unusual.rows_limit < 2_500


def test_at_a_new_hour_less_is_enough() -> None:
    rows = next(rows for rows in range(200, 5_000) if observe(taught(ordinary(50)), rows, 3, 10**12))
    assert observe(taught(ordinary(50)), rows, 10, 10**12) is None


def test_few_rows_are_never_unusual() -> None:
    assert observe(taught([1] * 50), LEAST_ROWS - 1, 10, 10**12) is None
    assert observe(taught([1] * 50), LEAST_ROWS, 10, 10**12) is not None


def test_a_repeated_theft_stays_unusual() -> None:
    past = taught(ordinary(50))
    found = [observe(past, 20_000, 10, 10**12 + n * DAY_MS) is not None for n in range(20)]
    assert all(found)


def test_a_real_change_of_habit_is_learned_in_the_end() -> None:
    past = taught(ordinary(50))
    found = [observe(past, 900, 10, 10**12 + n * DAY_MS) is not None for n in range(200)]
    assert found[0]
    assert not any(found[-100:])


def test_an_hour_of_a_theft_does_not_become_usual() -> None:
    past = taught(ordinary(50))
    observe(past, 20_000, 3, 10**12)
    unusual = observe(past, 20_000, 3, 10**12 + DAY_MS)
    assert unusual is not None
    assert unusual.new_hour


def test_one_finding_an_hour_is_enough() -> None:
    past = taught(ordinary(50))
    times = [10**12, 10**12 + QUIET_MS - 1, 10**12 + QUIET_MS]
    assert [observe(past, 20_000, 10, at_ms) is not None for at_ms in times] == [True, False, True]


def test_a_late_export_does_not_shorten_the_memory() -> None:
    past = taught([200, 200])
    due_ms = past.due_ms
    observe(past, 200, 10, -DAY_MS)
    assert past.due_ms == due_ms == DAY_MS + FORGET_MS


def test_the_record_is_small() -> None:
    assert len(baseline.encode_past(taught(ordinary(500)))) < 50


@given(st.lists(st.integers(0, LEAST_ROWS - 1), min_size=1, max_size=100))
def test_the_mean_weighs_as_it_should(rows: list[int]) -> None:
    expected = weighted_mean([log1p(count) for count in rows], WEIGHT)
    assert taught(rows).mean == pytest.approx(expected)
