"""Rows of orders that wait for a label: until the customer's next order, and for what is spent after them.

One row of a customer waits for each at a time; it is told a day after it is decided, or after a horizon, and until
then what comes late still counts. All is looked at by the clock alone, so a label depends on nothing that came later.
"""

from __future__ import annotations

import numpy as np

from features.kernel.arrays import (
    ABOVE,
    ALL_HORIZONS,
    AT_HORIZON,
    AT_INPUT,
    FIRST,
    GAP,
    HORIZONS,
    INPUTS,
    KNOWN,
    LABEL,
    LABELLED,
    LAST,
    LATE_MS,
    LEAST_RHYTHM_MS,
    LIFE,
    MOST_RHYTHM_MS,
    ORDER,
    ORDERS,
    PAIRS,
    RHYTHM,
    SCORED,
    SPEND_AT,
    SPEND_CENTS,
    SPEND_DUE,
    SPEND_END,
    SPEND_MS,
    SPENDING,
    SPENT,
    TABLE_AT,
    TOLD,
    UP_TO,
    WAIT_AT,
    WAIT_DUE,
    WAIT_GAP,
    WAIT_RHYTHM,
    WAIT_TOLD,
    WAITING,
    WHO,
    Floats,
    Ints,
    Labels,
)
from features.kernel.compiled import compiled
from features.kernel.intrinsics import copy_bytes
from features.kernel.tables import find_pair


@compiled
def keep_rows(s: Ints, g: Ints, at_ms: int, clock_ms: int, rows: Floats, r: int) -> None:
    """The row of the newest order begins to wait, where none does."""
    if s[WAIT_AT] == 0 and g[HORIZONS] > 0:
        gaps = s[g[LIFE] + g[ORDERS]] - 1
        s[WAIT_RHYTHM] = (s[LAST + g[ORDER]] - s[FIRST]) // gaps if gaps > 0 else 0
        s[WAIT_AT], s[WAIT_DUE], s[WAIT_TOLD], s[WAIT_GAP] = at_ms, 0, 0, 0
        if _next_horizon(s, g) == 0:
            s[WAIT_AT] = 0
        else:
            _keep(s, g, g[WAITING], rows, r)
            settle(s, g, clock_ms)
    if s[SPEND_AT] == 0 and g[SPEND_MS] > 0:
        end_ms = at_ms + g[SPEND_MS]
        s[SPEND_AT], s[SPEND_END], s[SPEND_CENTS] = at_ms, end_ms, 0
        s[SPEND_DUE] = max(end_ms + LATE_MS, clock_ms + 1)
        _keep(s, g, g[SPENDING], rows, r)


@compiled
def _keep(s: Ints, g: Ints, place: int, rows: Floats, r: int) -> None:
    """As float32: what is learned from is what was kept."""
    kept = s.view(np.float32)
    for k in range(g[INPUTS]):
        kept[2 * place + k] = rows[r, g[g[AT_INPUT] + k]]


@compiled
def _horizon(s: Ints, g: Ints, j: int) -> int:
    """How long one of the horizons is for the row that waits; 0: of a customer without a rhythm."""
    length, how = g[g[AT_HORIZON] + 2 * j], g[g[AT_HORIZON] + 2 * j + 1]
    if how != RHYTHM:
        return length
    if s[WAIT_RHYTHM] == 0:
        return 0
    return min(max(length * s[WAIT_RHYTHM] // 1000, LEAST_RHYTHM_MS), MOST_RHYTHM_MS)


@compiled
def _next_horizon(s: Ints, g: Ints) -> int:
    """The shortest that has not been told; 0: none is left."""
    found = 0
    for j in range(g[HORIZONS]):
        length = _horizon(s, g, j)
        if length > s[WAIT_TOLD] and (found == 0 or length < found):
            found = length
    return found


@compiled
def _settled_ms(s: Ints, g: Ints) -> int:
    """A day after what decides the label next: the order that has come, or a horizon."""
    wait_ms = _next_horizon(s, g)
    if 0 < s[WAIT_GAP] < wait_ms:
        wait_ms = s[WAIT_GAP]
    return s[WAIT_AT] + wait_ms + LATE_MS


@compiled
def settle(s: Ints, g: Ints, clock_ms: int) -> None:
    """When the row that waits is told; if the clock is there already, when it moves next."""
    s[WAIT_DUE] = max(_settled_ms(s, g), clock_ms + 1)


@compiled
def hear_order(s: Ints, g: Ints, at_ms: int, clock_ms: int) -> None:
    gap_ms = at_ms - s[WAIT_AT]
    if s[WAIT_AT] > 0 and gap_ms > 0 and (s[WAIT_GAP] == 0 or gap_ms < s[WAIT_GAP]):
        s[WAIT_GAP] = gap_ms
        settle(s, g, clock_ms)


@compiled
def hear_void(s: Ints, g: Ints, ordered_ms: int, clock_ms: int) -> None:
    """After its time was dropped: a row whose order is gone waits no more; one that it had ended waits on."""
    if s[WAIT_AT] > 0 and ordered_ms == s[WAIT_AT] and not _ordered(s, g, ordered_ms):
        s[WAIT_AT] = 0
    elif s[WAIT_AT] > 0 and ordered_ms == s[WAIT_AT] + s[WAIT_GAP]:
        s[WAIT_GAP] = gap_after(s, g)
        settle(s, g, clock_ms)
    if s[SPEND_AT] > 0 and ordered_ms == s[SPEND_AT] and not _ordered(s, g, ordered_ms):
        s[SPEND_AT] = 0


@compiled
def _ordered(s: Ints, g: Ints, at_ms: int) -> bool:
    """Whether there is another order of that moment."""
    return find_pair(s, g[TABLE_AT], at_ms) < g[TABLE_AT] + PAIRS + 2 * s[g[TABLE_AT]]


@compiled
def gap_after(s: Ints, g: Ints) -> int:
    """From the row that waits to the first of the latest orders after it; 0: there is none."""
    table = g[TABLE_AT]
    for pair in range(table + PAIRS, table + PAIRS + 2 * s[table], 2):
        if s[pair] > s[WAIT_AT]:
            return s[pair] - s[WAIT_AT]
    return 0


@compiled
def hear_spend(s: Ints, moment_ms: int, cents: int) -> None:
    if s[SPEND_AT] < moment_ms < s[SPEND_END] and s[SPEND_AT] > 0:
        s[SPEND_CENTS] += cents


@compiled
def tell_rows(s: Ints, g: Ints, who: int, clock_ms: int, out: Labels, n: int) -> int:
    """Tells the labels that the clock has reached; how many there are then."""
    while s[WAIT_AT] > 0 and s[WAIT_DUE] <= clock_ms:
        horizon_ms = _next_horizon(s, g)
        settled_ms = _settled_ms(s, g)
        if horizon_ms == 0:  # all were told, before horizons changed
            s[WAIT_AT] = 0
        elif settled_ms > clock_ms:
            s[WAIT_DUE] = settled_ms
        else:
            came = 0 < s[WAIT_GAP] <= horizon_ms
            gap_ms, up_to_ms = (s[WAIT_GAP], ALL_HORIZONS) if came else (horizon_ms, horizon_ms)
            _tell(s, g, who, g[WAITING], s[WAIT_AT], s[WAIT_DUE], out, n)
            _tell_label(out, n, GAP, gap_ms, s[WAIT_TOLD], up_to_ms)
            for j in range(g[HORIZONS]):
                out[1][n, LABELLED + j] = _horizon(s, g, j)
            n += 1
            s[WAIT_TOLD] = up_to_ms
            if _next_horizon(s, g) == 0:
                s[WAIT_AT] = 0
            else:
                s[WAIT_DUE] = max(s[WAIT_DUE], _settled_ms(s, g))
    if s[SPEND_AT] > 0 and s[SPEND_DUE] <= clock_ms:
        if s[SPEND_END] - s[SPEND_AT] == g[SPEND_MS]:
            _tell(s, g, who, g[SPENDING], s[SPEND_AT], s[SPEND_DUE], out, n)
            _tell_label(out, n, SPENT, s[SPEND_CENTS], 0, ALL_HORIZONS)
            n += 1
        s[SPEND_AT] = 0
    return n


@compiled
def _tell(s: Ints, g: Ints, who: int, place: int, at_ms: int, known_ms: int, out: Labels, n: int) -> None:
    inputs, labelled = out
    kept = s.view(np.float32)
    for k in range(g[INPUTS]):
        inputs[n, k] = kept[2 * place + k]
    labelled[n, :] = 0
    labelled[n, WHO], labelled[n, SCORED], labelled[n, KNOWN] = who, at_ms, known_ms


@compiled
def _tell_label(out: Labels, n: int, told: int, label: int, above_ms: int, up_to_ms: int) -> None:
    labelled = out[1]
    labelled[n, TOLD], labelled[n, LABEL], labelled[n, ABOVE], labelled[n, UP_TO] = told, label, above_ms, up_to_ms


@compiled
def merge_rows(s: Ints, t: Ints, g: Ints, clock_ms: int, mine_ms: int, other_ms: int) -> None:
    """Of two rows that wait the earlier goes on, with the orders of both; one for spend, where none of the other's
    orders can be among what was spent: `mine_ms`, `other_ms`: the latest order of each, before they were one."""
    if t[WAIT_AT] > 0 and (s[WAIT_AT] == 0 or t[WAIT_AT] < s[WAIT_AT]):
        _take(s, t, g, g[WAITING], WAIT_AT, WAIT_RHYTHM)
    if s[WAIT_AT] > 0:
        gap_ms = gap_after(s, g)
        if gap_ms > 0 and (s[WAIT_GAP] == 0 or gap_ms < s[WAIT_GAP]):
            s[WAIT_GAP] = gap_ms
        settle(s, g, clock_ms)
    if other_ms > s[SPEND_AT]:
        s[SPEND_AT] = 0
    if s[SPEND_AT] == 0 and t[SPEND_AT] >= mine_ms and t[SPEND_AT] > 0:
        _take(s, t, g, g[SPENDING], SPEND_AT, SPEND_CENTS)
    s[SPEND_DUE] = max(s[SPEND_DUE], clock_ms + 1)


@compiled
def _take(s: Ints, t: Ints, g: Ints, place: int, first: int, last: int) -> None:
    copy_bytes(s, 8 * place, t, 8 * place, 4 * g[INPUTS])
    for k in range(first, last + 1):
        s[k] = t[k]
