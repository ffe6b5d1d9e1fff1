"""What a partition knows of time."""

from __future__ import annotations

from features.job import Clock


def test_the_clock_is_that_of_the_source_farthest_behind_once_all_have_ticked() -> None:
    clock = Clock().moved("pos/0", 2, 50)
    assert clock.now_ms == 0
    clock = clock.moved("app/0", 2, 30)
    assert clock.now_ms == 30
    assert clock.moved("app/0", 2, 20).now_ms == 30


def test_a_source_that_is_no_more_does_not_hold_the_clock() -> None:
    clock = Clock().moved("pos/0", 3, 10).moved("app/0", 3, 10).moved("audit/0", 3, 10)
    clock = clock.moved("pos/0", 2, 60).moved("app/0", 2, 50)
    assert (clock.now_ms, clock.ticks) == (50, {"pos/0": 60, "app/0": 50})
    clock = clock.moved("mail/0", 3, 40)
    assert (clock.now_ms, len(clock.ticks)) == (50, 3)
