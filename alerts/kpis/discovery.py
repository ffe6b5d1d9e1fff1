"""Which of very many p-values are discoveries: Benjamini and Hochberg in each minute, by kind of dimension.

With nothing wrong, a minute at level α makes a false discovery with probability α at most, whatever the number of
series; over a day that is at most the sum of its minutes' levels. So `FALSE_A_DAY` is shared out: to the minutes of a
day, and in each to the kinds, so that the chain's few series do not pay for those of its stores.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FALSE_A_DAY = 1.0  # series, at most, that are called unusual in some minute of a quiet day
MINUTES = 1440

Floats = NDArray[np.float64]


def level(kinds: int) -> float:
    """Of one kind's test in one minute."""
    return FALSE_A_DAY / MINUTES / kinds


def threshold(p: Floats, tests: float, alpha: float) -> float:
    """The p-value up to which all are discoveries at false discovery rate `alpha`; 0 for none of them.

    `p` may leave out values above `alpha`, for they are none; `tests` counts all, by the weights that p was divided by.
    """
    ordered = np.sort(p, axis=None)
    passed = np.flatnonzero(ordered <= alpha * np.arange(1, len(ordered) + 1) / max(1, tests))
    return float(ordered[passed[-1]]) if len(passed) else 0.0
