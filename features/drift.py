"""Whether what a model sees, or how often it errs, is no longer what it was.

Inputs: Page-Hinkley over steps of rows (E. S. Page, Continuous Inspection Schemes, 1954; as in River, but for many
series at once and with a state that can be stored). Losses: River's ADWIN over those of a window.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec import Struct

from features.models import Matrix
from features.models.curves import squash
from features.quality import LOGIT, Floats, losses

REFERENCE = 20  # steps that say what is usual
ALLOWED = 1.0  # deviations, of a step's mean, that are no drift
LIMIT = 30.0  # of such deviations, summed beyond what is allowed
WILDEST = 10.0  # a single step counts for no more, so that it takes several
LEAST_MOVE = 0.05  # of a squashed value: about 5 % of a count or of cents
LEAST_SHARE = 0.02  # of missing values
SUREST = 0.002  # ADWIN: the odds of a false alarm


class Series(Struct, array_like=True):
    """Of each series: steps so far, their mean and squared deviations while they are the reference, and two sums."""

    steps: list[int] = []
    mean: list[float] = []
    squares: list[float] = []
    up: list[float] = []
    down: list[float] = []

    def take(self, values: Floats, least: Floats) -> list[int]:
        """Takes one step's value of each series, NaN for none; those that have drifted start anew. Their places."""
        if len(self.steps) != len(values):
            self.steps = [0] * len(values)
            self.mean, self.squares, self.up, self.down = ([0.0] * len(values) for _ in range(4))
        steps = np.array(self.steps)
        mean, squares, up, down = (np.array(part) for part in (self.mean, self.squares, self.up, self.down))
        known = ~np.isnan(values)
        learning, judged = known & (steps < REFERENCE), known & (steps >= REFERENCE)
        away = np.where(known, values - mean, 0.0)
        steps = steps + learning
        mean = mean + np.where(learning, away / np.maximum(steps, 1), 0.0)
        squares = squares + np.where(learning, away * (np.nan_to_num(values) - mean), 0.0)
        usual = np.maximum(np.sqrt(squares / max(1, REFERENCE - 1)), least)
        deviation = np.clip(away / usual, -WILDEST, WILDEST)
        up = np.where(judged, np.maximum(0.0, up + deviation - ALLOWED), up)
        down = np.where(judged, np.maximum(0.0, down - deviation - ALLOWED), down)
        drifted = np.maximum(up, down) > LIMIT
        anew = [np.where(drifted, 0, part).tolist() for part in (steps, mean, squares, up, down)]
        self.steps, self.mean, self.squares, self.up, self.down = anew
        return np.flatnonzero(drifted).tolist()


def take_rows(series: Series, rows: Matrix) -> list[tuple[int, str]]:
    """Takes one step of rows; (input, "value of" or "missing") of what has drifted. Two series an input."""
    missing = np.isnan(rows)
    counts = (~missing).sum(axis=0)
    sums = np.where(missing, 0.0, squash(np.where(missing, 0.0, rows))).sum(axis=0)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    width = rows.shape[1]
    least = np.repeat([LEAST_MOVE, LEAST_SHARE], width)
    drifted = series.take(np.concatenate([means, missing.mean(axis=0)]), least)
    return [(place % width, "value of" if place < width else "missing") for place in drifted]


def adwin() -> Any:
    """River's. It is loaded here and not above, for SciPy comes with it, which takes seconds: who only reads what
    learning has found out need not wait for that."""
    from river import drift

    return drift.ADWIN(SUREST)  # type: ignore[no-untyped-call]


def has_risen(scores: Floats, labels: Floats, link: str) -> bool:
    """Whether the errors of these rows, the oldest first, became larger somewhere among them."""
    scored = ~np.isnan(scores)
    scores, labels = scores[scored], labels[scored]
    if link == LOGIT:
        errors = (scores - labels) ** 2
    else:  # ADWIN wants 0 to 1
        errors = losses(scores, labels, link)
        errors = errors / (errors + (errors.mean() or 1.0)) if len(errors) else errors
    window = adwin()
    taken, total = 0, 0.0
    for error in errors.tolist():
        window.update(error)
        taken, total = taken + 1, total + error
        if window.drift_detected:
            dropped, rest = taken - window.width, total - window.total
            if dropped > 0 and window.estimation > rest / dropped:
                return True
            taken, total = window.width, window.total
    return False
