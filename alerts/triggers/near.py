"""Who nearly qualified: moments at which all that a rule asks for held, but one number that was a little off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from alerts.triggers.condition import CLOCK, Condition, Conditions
from alerts.triggers.simple import Compare, Joined, Look, Rows


def nearly(conditions: Conditions, asks: npt.NDArray[np.bool_], look: Look) -> Iterator[Rows]:
    """By rule: the moments at which exactly one of the parts that its ANDs join failed, and that one only just.

    A part fails only just where it compares a feature with a number, and the feature is off by no more than `slack`.
    """
    for i, condition in enumerate(conditions.conditions):
        rows = np.flatnonzero(asks[:, i])
        yield rows[_near(conditions, condition, look, rows)]


def _near(conditions: Conditions, condition: Condition, look: Look, rows: Rows) -> npt.NDArray[np.bool_]:
    failed, close = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows), dtype=np.bool_)
    for part in condition.simple:
        missed = ~part.holds(look, rows)
        failed += missed
        close[missed] |= only_just(part, look, rows[missed])
    near: npt.NDArray[np.bool_] = (failed == 1) & close
    if condition.rest is not None and near.any():
        near[near] = conditions._holds(condition.rest, condition.columns, look, rows[near])
    return near


def only_just(part: Any, look: Look, rows: Rows) -> npt.NDArray[np.bool_]:
    """Of moments at which a part does not hold: where it nearly does; of several, one that is a little off will do."""
    if isinstance(part, Joined):
        close = [only_just(inner, look, rows) & ~inner.holds(look, rows) for inner in part.parts]
        return np.asarray(np.logical_or.reduce(close), dtype=np.bool_)
    if not isinstance(part, Compare) or isinstance(part.other, str) or part.name in CLOCK:
        return np.zeros(len(rows), dtype=np.bool_)
    off = np.abs(look(part.name, rows) - part.other)
    return np.asarray(off <= slack(part.other), dtype=np.bool_)


def slack(number: float) -> float:
    """One, or a tenth of more than ten; a tenth of a fraction, such as a share or a score."""
    return max(1.0, abs(number) / 10) if number == int(number) else abs(number) / 10
