"""Which rows of a customer wait for a label: an order's, a later moment's, and one for what is spent.

One of each waits at a time. A later moment is chosen at an order, and anew at the next one that comes before it; its
row is what would be known then: it is made before the first event is applied that comes after the moment.
"""

from __future__ import annotations

import numpy as np

from features.kernel.arrays import (
    AFTERWARDS,
    ALL_HORIZONS,
    HOME,
    HORIZONS,
    LATE_MS,
    LATER,
    LATER_FROM,
    LATER_KEPT,
    NEWEST,
    ROW_DUE,
    SPEND_AT,
    SPEND_CENTS,
    SPEND_DUE,
    SPEND_END,
    SPEND_MS,
    SPENDING,
    SPENT,
    WAIT,
    WAITING,
    Floats,
    Ints,
    Labels,
)
from features.kernel.clocks import day_of
from features.kernel.compiled import compiled
from features.kernel.rows import fill_row
from features.kernel.waiting import (
    begin,
    gap_after,
    hear_next,
    is_gone,
    keep,
    longest_horizon,
    reopen,
    set_rhythm,
    settle,
    take_inputs,
    take_row,
    tell,
    tell_gaps,
    tell_label,
)


@compiled
def keep_rows(s: Ints, g: Ints, at_ms: int, id_hash: int, clock_ms: int, rows: Floats, r: int) -> None:
    """The row of the newest order begins to wait, where none does; a later moment is chosen, where no row of one is."""
    if g[HORIZONS] > 0:
        if s[WAIT] == 0:
            begin(s, g, WAIT, at_ms, clock_ms)
            if s[WAIT] > 0:
                keep(s, g, g[WAITING], rows, r)
        if not _has_later(s):
            _choose_later(s, g, at_ms, id_hash, clock_ms)
    if s[SPEND_AT] == 0 and g[SPEND_MS] > 0:
        end_ms = at_ms + g[SPEND_MS]
        s[SPEND_AT], s[SPEND_END], s[SPEND_CENTS] = at_ms, end_ms, 0
        s[SPEND_DUE] = max(end_ms + LATE_MS, clock_ms + 1)
        keep(s, g, g[SPENDING], rows, r)


@compiled
def _has_later(s: Ints) -> bool:
    return s[LATER] > 0 and s[LATER_KEPT] > 0


@compiled
def _awaits_later(s: Ints) -> bool:
    return s[LATER] > 0 and s[LATER_KEPT] == 0


@compiled
def _choose_later(s: Ints, g: Ints, at_ms: int, id_hash: int, clock_ms: int) -> None:
    """Up to one and a half of the longest horizon after the order: the square of an even share of that, by the hash of
    the order's id. Nothing where that moment has passed."""
    set_rhythm(s, g, LATER)
    even = np.int64(np.uint64(id_hash) >> np.uint64(43))  # of 2 ** 21
    moment_ms = at_ms + 1 + ((3 * longest_horizon(s, g, LATER) // 2 * (even * even >> 21)) >> 21)
    s[LATER], s[LATER_FROM], s[LATER_KEPT] = 0, at_ms, 0
    if moment_ms > max(clock_ms, s[NEWEST]):
        begin(s, g, LATER, moment_ms, clock_ms)


@compiled
def is_later(s: Ints, now_ms: int) -> bool:
    """Whether a moment that was chosen has come, and its row is to be made."""
    return _awaits_later(s) and s[LATER] <= now_ms


@compiled
def keep_later(s: Ints, g: Ints, z: Ints, rows: Floats, r: int) -> None:
    """The row of the moment that was chosen, of what is known; `rows[r]` is overwritten."""
    fill_row(s, g, s[LATER], day_of(z, max(0, s[HOME]), s[LATER]), rows, r)
    keep(s, g, g[AFTERWARDS], rows, r)
    s[LATER_KEPT] = 1


@compiled
def hear_order(s: Ints, g: Ints, at_ms: int, clock_ms: int) -> None:
    if s[WAIT] > 0:
        hear_next(s, WAIT, at_ms - s[WAIT])
    if _has_later(s):
        hear_next(s, LATER, at_ms - s[LATER])
    _follow_rhythm(s, g, clock_ms)


@compiled
def hear_void(s: Ints, g: Ints, ordered_ms: int, clock_ms: int) -> None:
    """After its time was dropped: a row whose order is gone waits no more; one that it had ended waits on."""
    if is_gone(s, g, ordered_ms, s[WAIT]):
        s[WAIT] = 0
    if is_gone(s, g, ordered_ms, s[LATER_FROM]):
        s[LATER] = 0
    if is_gone(s, g, ordered_ms, s[SPEND_AT]):
        s[SPEND_AT] = 0
    if s[WAIT] > 0:
        reopen(s, g, WAIT, ordered_ms)
    if _has_later(s):
        reopen(s, g, LATER, ordered_ms)
    _follow_rhythm(s, g, clock_ms)


@compiled
def _follow_rhythm(s: Ints, g: Ints, clock_ms: int) -> None:
    """Until its row is made, the horizons of a later moment are those of what is known now."""
    if _awaits_later(s):
        set_rhythm(s, g, LATER)
        settle(s, g, LATER, clock_ms)


@compiled
def hear_spend(s: Ints, moment_ms: int, cents: int) -> None:
    if s[SPEND_AT] < moment_ms < s[SPEND_END] and s[SPEND_AT] > 0:
        s[SPEND_CENTS] += cents


@compiled
def tell_rows(s: Ints, g: Ints, z: Ints, who: int, clock_ms: int, rows: Floats, r: int, out: Labels, n: int) -> int:
    """Tells the labels that the clock has reached; how many there are then. `rows[r]` is overwritten."""
    n = tell_gaps(s, g, WAIT, who, clock_ms, out, n)
    if _awaits_later(s) and s[LATER + ROW_DUE] <= clock_ms:
        keep_later(s, g, z, rows, r)
    n = tell_gaps(s, g, LATER, who, clock_ms, out, n)
    if s[SPEND_AT] > 0 and s[SPEND_DUE] <= clock_ms:
        if s[SPEND_END] - s[SPEND_AT] == g[SPEND_MS]:
            tell(s, g, who, g[SPENDING], s[SPEND_AT], s[SPEND_DUE], out, n)
            tell_label(out, n, SPENT, s[SPEND_CENTS], 0, ALL_HORIZONS)
            n += 1
        s[SPEND_AT] = 0
    return n


@compiled
def merge_rows(s: Ints, t: Ints, g: Ints, clock_ms: int, mine_ms: int, other_ms: int) -> None:
    """Of two rows that wait the earlier goes on, with the orders of both; one for spend, where none of the other's
    orders can be among what was spent: `mine_ms`, `other_ms`: the latest order of each, before they were one."""
    if t[WAIT] > 0 and (s[WAIT] == 0 or t[WAIT] < s[WAIT]):
        take_row(s, t, g, WAIT)
    if s[WAIT] > 0:
        hear_next(s, WAIT, gap_after(s, g, WAIT))
        settle(s, g, WAIT, clock_ms)
    _merge_later(s, t, g, clock_ms)
    if other_ms > s[SPEND_AT]:
        s[SPEND_AT] = 0
    if s[SPEND_AT] == 0 and t[SPEND_AT] >= mine_ms and t[SPEND_AT] > 0:
        take_inputs(s, t, g, g[SPENDING])
        for k in range(SPEND_AT, SPEND_CENTS + 1):
            s[k] = t[k]
    s[SPEND_DUE] = max(s[SPEND_DUE], clock_ms + 1)


@compiled
def _merge_later(s: Ints, t: Ints, g: Ints, clock_ms: int) -> None:
    """A row that is kept goes on before a moment that has not come, the earlier of two before the later one."""
    if t[LATER] > 0 and (s[LATER] == 0 or (t[LATER_KEPT], -t[LATER]) > (s[LATER_KEPT], -s[LATER])):
        take_row(s, t, g, LATER)
        s[LATER_FROM], s[LATER_KEPT] = t[LATER_FROM], t[LATER_KEPT]
    if _has_later(s):
        hear_next(s, LATER, gap_after(s, g, LATER))
        settle(s, g, LATER, clock_ms)
    _follow_rhythm(s, g, clock_ms)
