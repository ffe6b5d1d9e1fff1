"""Panes: what happened within five minutes, an hour or a day, coarser the older it is."""

from __future__ import annotations

import numpy as np

from features.kernel.arrays import (
    CELLS,
    FIVE_MS,
    GREATEST,
    HOME,
    KEPT_DAYS,
    LATE_MS,
    LEAST,
    N_PANES,
    PANE,
    PANES,
    SUMS,
    WIDTH,
    Ints,
)
from features.kernel.clocks import day_of
from features.kernel.compiled import compiled, inlined
from features.times import DAY_MS, HOUR_MS

KEPT_FIVES = (HOUR_MS + LATE_MS) // FIVE_MS + 1
KEPT_HOURS = (DAY_MS + LATE_MS) // HOUR_MS + 1


@compiled
def pane_at(s: Ints, g: Ints, z: Ints, moment_ms: int, newest_ms: int, newest_day: int) -> int:
    """Where the cells of a moment's pane start; -1 when it lies further back than any window."""
    day, five = day_of(z, s[HOME], moment_ms), moment_ms // FIVE_MS
    level = _level(five, day, newest_ms, newest_day, g[KEPT_DAYS])
    if level == 3:
        return -1
    number = five if level == 0 else five // 12 if level == 1 else 0
    return pane_cells(s, g[CELLS], g[WIDTH], level, number, day)


@compiled
def pane_cells(s: Ints, cells: int, width: int, level: int, number: int, day: int) -> int:
    """Where the cells of the pane with this key start; a new one if there is none."""
    count = s[N_PANES]
    p, oldest = count, 0
    for q in range(count):
        pane = PANE + 3 * q
        if s[pane + 1] == number and s[pane] == level and s[pane + 2] == day:
            return cells + q * width
        if s[pane + 2] < s[PANE + 3 * oldest + 2]:
            oldest = q
    if count == PANES:  # more than retention holds of anybody but a robot: a pane of the oldest day falls out
        p = oldest
    else:
        s[N_PANES] += 1
    s[PANE + 3 * p], s[PANE + 3 * p + 1], s[PANE + 3 * p + 2] = level, number, day
    for m in range(width):
        s[cells + p * width + m] = 0
    return cells + p * width


@inlined
def _level(five: int, day: int, newest_ms: int, newest_day: int, kept_days: int) -> int:
    """How finely a moment is kept: in a pane of 5 minutes (0), of an hour, of a day, or (3) not at all."""
    if five >= newest_ms // FIVE_MS - KEPT_FIVES:
        return 0
    if five // 12 >= newest_ms // HOUR_MS - KEPT_HOURS:
        return 1
    return 2 if day >= newest_day - kept_days else 3


@compiled
def coarsen(s: Ints, g: Ints, newest_ms: int, newest_day: int) -> None:
    """Merges panes that have aged into coarser ones, and drops what no window reaches any more."""
    cells, width, count, kept, changed = g[CELLS], g[WIDTH], s[N_PANES], 0, False
    for p in range(count):
        pane = PANE + 3 * p
        level, number, day = s[pane], s[pane + 1], s[pane + 2]
        five = number if level == 0 else number * 12 + 11 if level == 1 else -1
        now = max(level, _level(five, day, newest_ms, newest_day, g[KEPT_DAYS]))
        if now == 3:
            changed = True
            continue
        if now != level:
            changed = True
            number = 0 if now == 2 else number // 12
        into = kept
        if changed:
            for q in range(kept):
                other = PANE + 3 * q
                if s[other + 1] == number and s[other] == now and s[other + 2] == day:
                    into = q
        if into < kept:
            add_cells(s, g, cells + into * width, s, cells + p * width)
            continue
        if changed:
            pane = PANE + 3 * kept
            s[pane], s[pane + 1], s[pane + 2] = now, number, day
            for m in range(width):
                s[cells + kept * width + m] = s[cells + p * width + m]
        kept += 1
    s[N_PANES] = kept


@compiled
def add_cells(s: Ints, g: Ints, into: int, t: Ints, more: int) -> None:
    """Sums are added, of the greatest the greater and of the least the lesser is kept, sets are united.

    By numbers without a sign, several at once: of one with a sign Numba asks whether it counts from the end.
    """
    a, b = np.uint64(into), np.uint64(more)
    for m in range(np.uint64(g[SUMS])):
        s[a + m] += t[b + m]
    for m in range(np.uint64(g[SUMS]), np.uint64(g[GREATEST])):
        s[a + m] = max(s[a + m], t[b + m])
    for m in range(np.uint64(g[GREATEST]), np.uint64(g[LEAST])):
        s[a + m] = _lesser(s[a + m], t[b + m])
    for m in range(np.uint64(g[LEAST]), np.uint64(g[WIDTH])):
        s[a + m] |= t[b + m]


@inlined
def add_cell(s: Ints, g: Ints, into: int, cell: int, amount: int) -> None:
    if cell < g[SUMS]:
        s[into + cell] += amount
    elif cell < g[GREATEST]:
        s[into + cell] = max(s[into + cell], amount)
    elif cell < g[LEAST]:
        s[into + cell] = _lesser(s[into + cell], amount)
    else:
        s[into + cell] |= amount


@inlined
def _lesser(one: int, other: int) -> int:
    return other if one == 0 or 0 < other < one else one
