"""What the benchmark of incidents says a fault has waited for."""

from __future__ import annotations

import pytest

from benchmarks.incidents import Found, delay_of
from features.times import MINUTE_MS
from sim.outages import TILL, Outage

FAULT = Outage(TILL, 100 * MINUTE_MS, 190 * MINUTE_MS, "store:S001")


@pytest.mark.parametrize(
    ("began", "at", "parts"), [(100, 101, (0, 0, 1)), (107, 111, (7, 3, 1)), (95, 101, (0, 0, 1)), (99, 103, (0, 2, 1))]
)
def test_a_delay_is_evidence_hold_and_the_end_of_a_minute(began: int, at: int, parts: tuple[int, ...]) -> None:
    delay = delay_of(FAULT, Found("i", FAULT.dim, [], at * MINUTE_MS, "", began * MINUTE_MS, 10))
    assert tuple(delay) == parts
    assert delay.whole == at - 100
