"""A series fires when it stays unusual and resolves when it stays calm."""

from __future__ import annotations

import numpy as np

from alerts.kpis.course import QUIET, Steps, step
from alerts.kpis.panel import SERIES, Panel
from alerts.kpis.verdict import Verdicts

RARE, CALM = 1e-9, 0.5


class One:
    """One series of one dimension, minute after minute."""

    def __init__(self, pending: int, hold: int) -> None:
        panel = Panel("stores", 30, {})
        panel.add(["store:a"], [0], 0)
        self.course, self.pending, self.hold, self.minute = panel.course, np.array([pending]), hold, 0

    def __call__(self, p: float, side: int = -1, recovers: bool = False) -> str:
        shape = (SERIES, 1)
        found = Verdicts(
            np.full(shape, p),
            np.full(shape, side, np.int8),
            *(np.zeros(shape) for _ in range(4)),
            np.zeros(shape, np.int16),
            np.full(shape, recovers),
        )
        self.minute += 1
        done: Steps = step(self.course, self.minute, found, found.p < 1e-6, self.pending, self.hold)
        return "firing" if done.fired[0, 0] else "resolved" if done.resolved[0, 0] else ""


def test_it_fires_when_it_has_stayed_unusual_on_one_side_and_only_once() -> None:
    one = One(pending=2, hold=3)
    assert [one(RARE), one(RARE), one(CALM)] == ["", "", ""]
    assert [one(RARE), one(RARE, side=1), one(RARE, side=1), one(RARE, side=1), one(RARE, side=1)] == [
        "",
        "",
        "",
        "firing",
        "",
    ]


def test_it_resolves_when_it_has_been_calm_for_the_hold_time_without_a_break() -> None:
    one = One(pending=0, hold=3)
    assert one(RARE) == "firing"
    assert [one(CALM), one(CALM), one(1e-4), one(CALM), one(CALM)] == [""] * 5
    assert one(CALM) == "resolved"
    assert (one.course["state"][0, 0], one.course["start"][0, 0]) == (QUIET, one.minute)


def test_short_windows_that_are_usual_again_end_it_though_the_long_one_still_holds_it() -> None:
    one = One(pending=0, hold=2)
    assert [one(RARE), one(RARE, recovers=True), one(RARE, recovers=True)] == ["firing", "", "resolved"]


def test_the_other_side_does_not_keep_it_alive() -> None:
    one = One(pending=1, hold=2)
    assert [one(RARE), one(RARE), one(RARE, side=1), one(RARE, side=1)] == ["", "firing", "", "resolved"]
