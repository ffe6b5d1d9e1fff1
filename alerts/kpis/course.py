"""The course of each series: quiet, pending until it has stayed unusual, firing until it has been calm for a while.

`start` is when it began to be unusual; of a quiet series, when its last incident was resolved.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from alerts.kpis.panel import FIRING, PENDING, QUIET, Arrays
from alerts.kpis.verdict import Flags, Verdicts

RESOLVE_P = 1e-3  # while firing, this rare is still unusual


class Steps(NamedTuple):
    """What changed in a minute, [SERIES, dims]."""

    fired: Flags
    resolved: Flags


def step(course: Arrays, minute: int, found: Verdicts, unusual: Flags, pending: NDArray[np.int64], hold: int) -> Steps:
    """Takes a minute; `pending`: minutes for which each dimension must stay unusual before it fires."""
    if not unusual.any() and not course["state"].any():
        return Steps(unusual, unusual)
    state, side, start, calm = (course[name] for name in ("state", "side", "start", "calm"))
    same = found.side == side
    firing = state == FIRING
    still = firing & (found.p <= RESOLVE_P) & same & ~found.recovers
    calm[...] = np.where(firing & ~still, calm + 1, 0)
    resolved = firing & (calm >= hold)
    goes_on = (state == PENDING) & unusual & same
    begins = ~firing & unusual & ~goes_on
    fired = (goes_on | begins) & (minute - np.where(begins, minute, start) >= pending)
    start[...] = np.select([begins | resolved, firing | goes_on], [minute, start], np.where(state == QUIET, start, 0))
    side[...] = np.where(begins, found.side, side)
    state[...] = np.select([fired, resolved, firing, goes_on | begins], [FIRING, QUIET, FIRING, PENDING], QUIET)
    return Steps(fired, resolved)
