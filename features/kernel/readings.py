"""Single values of the feature row: read from windows, from tables, from times."""

from __future__ import annotations

import numpy as np

from features.kernel.arrays import (
    AT_TABLE,
    AT_WINDOW,
    BALANCE,
    CELLS,
    EARNED,
    FIVE_MS,
    FIVES,
    HOURS,
    KEPT,
    LIFE,
    LIFETIME,
    MEAN_OF,
    MONTHS,
    MOST_OF,
    N_PANES,
    OF_WINDOW,
    PAIRS,
    PANE,
    POINT_CENTS,
    ROOM_OF,
    SHARE,
    SPREAD,
    SUM_OF,
    TABLE,
    TABLE_AT,
    TOTALS,
    VALUE,
    WEIGHT,
    WIDTH,
    WINDOWS,
    Ints,
)
from features.kernel.clocks import month_of
from features.kernel.compiled import compiled, making_arrays
from features.kernel.panes import add_cells
from features.kernel.tables import find_pair, halved
from features.times import DAY_MS, HOUR_MS

TIED = 1 - 1e-9  # weights that differ by less are the same: the sums were rounded


@compiled
def total_windows(s: Ints, g: Ints, at_ms: int, today: int) -> None:
    """As of `at_ms`, the cells of each window, from g[TOTALS] on. A pane is added to the shortest window of a kind that
    it lies in, and each window to the next longer one of its kind, for that reaches as far and further."""
    width, totals, first = g[WIDTH], g[TOTALS], g[AT_WINDOW]
    end = first + OF_WINDOW * g[WINDOWS]
    for spec in range(first, end, OF_WINDOW):
        into = totals + g[spec + 2]
        for m in range(width):
            s[into + m] = s[g[LIFE] + m] if g[spec] == LIFETIME else 0
    five, hour = at_ms // FIVE_MS, at_ms // HOUR_MS
    for p in range(s[N_PANES]):
        level, number = s[PANE + 3 * p], s[PANE + 3 * p + 1]
        fives = five - number if level == 0 else -1
        hours = hour - (number // 12 if level == 0 else number) if level < 2 else -1
        days = today - s[PANE + 3 * p + 2]
        added = LIFETIME
        for spec in range(first, end, OF_WINDOW):
            made_of = g[spec]
            ago = fives if made_of == FIVES else hours if made_of == HOURS else days
            if made_of != added and 0 <= ago <= g[spec + 1]:
                add_cells(s, g, totals + g[spec + 2], s, g[CELLS] + p * width)
                added = made_of
    for spec in range(first + OF_WINDOW, end, OF_WINDOW):
        if g[spec] == g[spec - OF_WINDOW]:
            add_cells(s, g, totals + g[spec + 2], s, totals + g[spec - OF_WINDOW + 2])


@compiled
def window_value(how: int, total: int, count: int) -> float:
    if how == SUM_OF:
        return float(total)
    if how == MOST_OF:
        return total - 1.0 if total > 0 else np.nan
    if how == MEAN_OF:
        return total / count if count != 0 else np.nan
    bits = 0
    while total > 0:
        total &= total - 1
        bits += 1
    return float(bits)


@compiled
def read_table(s: Ints, g: Ints, what: int, t: int, argument: int, at_ms: int, today: int) -> float:
    """A feature that is read from a table."""
    table = g[TABLE_AT] + TABLE * t
    if what == SPREAD:
        return _rhythm_spread(s, table)
    if what >= BALANCE:
        return _points(s, g, what, table, today, argument)
    weights = s.view(np.float64)
    if what == WEIGHT:
        if s[table] == 0:
            return 0.0
        return float(weights[table + PAIRS + 1] * halved(at_ms - s[table + 1], g[g[AT_TABLE] + 2 * t + 1]))
    if s[table] == 0:
        return np.nan
    if what == VALUE:
        return float(s[table + PAIRS + argument])
    best, sum_of = 0.0, 0.0
    for pair in range(table + PAIRS, table + PAIRS + 2 * s[table], 2):
        best = max(best, weights[pair + 1])
        sum_of += weights[pair + 1]
    if what == SHARE:
        return best / sum_of if sum_of > 0 else np.nan
    favourite = np.int64(-1)
    for pair in range(table + PAIRS, table + PAIRS + 2 * s[table], 2):
        if weights[pair + 1] >= best * TIED and (favourite < 0 or s[pair] < favourite):
            favourite = s[pair]
    return float(favourite)


@compiled
def _rhythm_spread(s: Ints, table: int) -> float:
    """Standard deviation of the gaps between the latest orders, in days; NaN with fewer than two gaps."""
    gaps, start = s[table] - 1, table + PAIRS
    if gaps < 2:
        return np.nan
    mean = (s[start + 2 * gaps] - s[start]) / gaps
    squares = 0.0
    for pair in range(start, start + 2 * gaps, 2):
        squares += (s[pair + 2] - s[pair] - mean) ** 2
    return float(np.sqrt(squares / gaps) / DAY_MS)


@making_arrays
def _points(s: Ints, g: Ints, what: int, earned: int, today: int, valid: int) -> float:
    """Points as of a day: what a month's net spend earned is good for `valid` months more, and is spent oldest first.

    What is spent beyond them is a debt, which later points pay first; a balance below 0 is what is left of it. The
    table of what was earned stands before that of what was spent.
    """
    now, spent = month_of(today), earned + TABLE
    if s[earned] == 0 and s[spent] == 0:
        return 0.0
    left = np.zeros(ROOM_OF[MONTHS], np.int64)
    total = np.int64(0)
    for k in range(s[earned]):
        month, cents = s[earned + PAIRS + 2 * k], s[earned + PAIRS + 2 * k + 1]
        left[k] = max(0, cents) // g[POINT_CENTS] if month <= now else 0
        total += left[k] if month > now - 12 else 0
    if what == EARNED:
        return float(total)
    if what == KEPT:
        return float(max(total, _kept(s, g, earned, left, now, valid)))
    done, debt = np.int64(-1), np.int64(0)
    while True:
        month = _next_month(s, spent, done, now)
        if month < 0:
            break
        debt += _spend(s, earned, left, month, valid, s[find_pair(s, spent, month) + 1], now)
        done = month
    balance = expiring = np.int64(0)
    for k in range(s[earned]):
        month = s[earned + PAIRS + 2 * k]
        balance += left[k] if now <= month + valid else 0
        expiring += left[k] if now == month + valid else 0
    return float(balance - debt if what == BALANCE else expiring)


@compiled
def _kept(s: Ints, g: Ints, earned: int, points: Ints, now: int, ladder: int) -> int:
    """The cut of the step that somebody has kept until the end of last month; 0: none.

    At the end of each month, by what its last twelve months have earned: whoever has come to a cut enters that step,
    and whoever is on a step stays there while it comes to what keeps it. `ladder`: steps, their cuts, what keeps each.
    """
    steps = g[ladder]
    first, last = now, np.int64(0)
    for k in range(s[earned]):
        if s[earned + PAIRS + 2 * k] < now:
            first, last = min(first, s[earned + PAIRS + 2 * k]), max(last, s[earned + PAIRS + 2 * k])
    if last + 12 < now:  # the year behind us has earned nothing
        return 0
    on = 0
    for month in range(first, now):
        total = np.int64(0)
        for k in range(s[earned]):
            total += points[k] if month - 12 < s[earned + PAIRS + 2 * k] <= month else 0
        entered = stays = 0
        for step in range(steps):
            entered += total >= g[ladder + 1 + step]
            stays += total >= g[ladder + 1 + steps + step]
        on = max(entered, min(on, stays))
    return int(g[ladder + on]) if on else 0


@compiled
def _spend(s: Ints, earned: int, left: Ints, month: int, valid: int, points: int, now: int) -> int:
    """Takes the points of one month from those good then, oldest first, then from later ones; what is owed."""
    source = np.int64(-1)
    while points > 0:
        source = _next_month(s, earned, source, now)
        if source < 0:
            break
        if month <= source + valid:
            k = (find_pair(s, earned, source) - earned - PAIRS) // 2
            taken = min(points, left[k])
            left[k] -= taken
            points -= taken
    return points


@compiled
def _next_month(s: Ints, table: int, after: int, until: int) -> int:
    """The first month of a table after one and not later than another; -1: none."""
    found = np.int64(-1)
    for pair in range(table + PAIRS, table + PAIRS + 2 * s[table], 2):
        if after < s[pair] <= until and (found < 0 or s[pair] < found):
            found = s[pair]
    return found


@compiled
def since(then_ms: int, at_ms: int, unit_ms: int) -> float:
    return max(0, at_ms - then_ms) / unit_ms if then_ms > 0 else np.nan
