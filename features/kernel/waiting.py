"""A row that waits for the customer's next order: it is told a day after each horizon, whoever has come before.

Until then what comes late still counts. Were those who come back told at once, models would hear of them before they
hear of who stays away. All is looked at by the clock alone, so a label depends on nothing that came later. `w`: WAIT or
LATER, where its numbers stand in a state.
"""

from __future__ import annotations

import numpy as np

from features.kernel.arrays import (
    ABOVE,
    AFTERWARDS,
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
    ROW,
    ROW_AT,
    ROW_DUE,
    ROW_GAP,
    ROW_RHYTHM,
    ROW_TOLD,
    SCORED,
    TABLE_AT,
    TOLD,
    UP_TO,
    WAIT,
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
def begin(s: Ints, g: Ints, w: int, at_ms: int, clock_ms: int) -> None:
    """No row waits from then on, if none of the horizons is one for this customer."""
    s[w + ROW_AT], s[w + ROW_DUE], s[w + ROW_TOLD], s[w + ROW_GAP] = at_ms, 0, 0, 0
    set_rhythm(s, g, w)
    if _next_horizon(s, g, w) == 0:
        s[w + ROW_AT] = 0
    else:
        settle(s, g, w, clock_ms)


@compiled
def set_rhythm(s: Ints, g: Ints, w: int) -> None:
    """The customer's, as it is now."""
    gaps = s[g[LIFE] + g[ORDERS]] - 1
    s[w + ROW_RHYTHM] = (s[LAST + g[ORDER]] - s[FIRST]) // gaps if gaps > 0 else 0


@compiled
def place_of(g: Ints, w: int) -> int:
    """Where its features stand in a state."""
    return g[WAITING] if w == WAIT else g[AFTERWARDS]


@compiled
def keep(s: Ints, g: Ints, place: int, rows: Floats, r: int) -> None:
    """As float32: what is learned from is what was kept."""
    kept = s.view(np.float32)
    for k in range(g[INPUTS]):
        kept[2 * place + k] = rows[r, g[g[AT_INPUT] + k]]


@compiled
def _horizon(s: Ints, g: Ints, w: int, j: int) -> int:
    """How long one of the horizons is for the row that waits; 0: of a customer without a rhythm."""
    length, how = g[g[AT_HORIZON] + 2 * j], g[g[AT_HORIZON] + 2 * j + 1]
    if how != RHYTHM:
        return length
    if s[w + ROW_RHYTHM] == 0:
        return 0
    return min(max(length * s[w + ROW_RHYTHM] // 1000, LEAST_RHYTHM_MS), MOST_RHYTHM_MS)


@compiled
def _next_horizon(s: Ints, g: Ints, w: int) -> int:
    """The shortest that has not been told; 0: none is left."""
    found = 0
    for j in range(g[HORIZONS]):
        length = _horizon(s, g, w, j)
        if length > s[w + ROW_TOLD] and (found == 0 or length < found):
            found = length
    return found


@compiled
def longest_horizon(s: Ints, g: Ints, w: int) -> int:
    found = 0
    for j in range(g[HORIZONS]):
        found = max(found, _horizon(s, g, w, j))
    return found


@compiled
def _settled_ms(s: Ints, g: Ints, w: int) -> int:
    """A day after the horizon that is told next."""
    return s[w + ROW_AT] + _next_horizon(s, g, w) + LATE_MS


@compiled
def settle(s: Ints, g: Ints, w: int, clock_ms: int) -> None:
    """When the row that waits is told; if the clock is there already, when it moves next."""
    s[w + ROW_DUE] = max(_settled_ms(s, g, w), clock_ms + 1)


@compiled
def hear_next(s: Ints, w: int, gap_ms: int) -> None:
    """An order so long after the row that waits; of several the first counts."""
    if gap_ms > 0 and (s[w + ROW_GAP] == 0 or gap_ms < s[w + ROW_GAP]):
        s[w + ROW_GAP] = gap_ms


@compiled
def reopen(s: Ints, g: Ints, w: int, ordered_ms: int) -> None:
    """The order of that time is gone: a row that it had ended waits on."""
    if ordered_ms == s[w + ROW_AT] + s[w + ROW_GAP]:
        s[w + ROW_GAP] = gap_after(s, g, w)


@compiled
def is_gone(s: Ints, g: Ints, ordered_ms: int, from_ms: int) -> bool:
    """Whether the order that a row stands for is the one that was voided, and no other is of that moment."""
    return ordered_ms == from_ms and find_pair(s, g[TABLE_AT], from_ms) == g[TABLE_AT] + PAIRS + 2 * s[g[TABLE_AT]]


@compiled
def gap_after(s: Ints, g: Ints, w: int) -> int:
    """From the row that waits to the first of the latest orders after it; 0: there is none."""
    table = g[TABLE_AT]
    for pair in range(table + PAIRS, table + PAIRS + 2 * s[table], 2):
        if s[pair] > s[w + ROW_AT]:
            return s[pair] - s[w + ROW_AT]
    return 0


@compiled
def tell_gaps(s: Ints, g: Ints, w: int, who: int, clock_ms: int, out: Labels, n: int) -> int:
    """Tells the labels that the clock has reached; how many there are then. A row of which all was told is gone."""
    while s[w + ROW_AT] > 0 and s[w + ROW_DUE] <= clock_ms:
        horizon_ms = _next_horizon(s, g, w)
        settled_ms = _settled_ms(s, g, w)
        if horizon_ms == 0:  # all were told, before horizons changed
            s[w + ROW_AT] = 0
        elif settled_ms > clock_ms:
            s[w + ROW_DUE] = settled_ms
        else:
            gap_ms = s[w + ROW_GAP] if 0 < s[w + ROW_GAP] < horizon_ms else horizon_ms
            tell(s, g, who, place_of(g, w), s[w + ROW_AT], s[w + ROW_DUE], out, n)
            tell_label(out, n, GAP, gap_ms, s[w + ROW_TOLD], horizon_ms)
            for j in range(g[HORIZONS]):
                out[1][n, LABELLED + j] = _horizon(s, g, w, j)
            n += 1
            s[w + ROW_TOLD] = horizon_ms
            if _next_horizon(s, g, w) == 0:
                s[w + ROW_AT] = 0
            else:
                s[w + ROW_DUE] = max(s[w + ROW_DUE], _settled_ms(s, g, w))
    return n


@compiled
def tell(s: Ints, g: Ints, who: int, place: int, at_ms: int, known_ms: int, out: Labels, n: int) -> None:
    inputs, labelled = out
    kept = s.view(np.float32)
    for k in range(g[INPUTS]):
        inputs[n, k] = kept[2 * place + k]
    labelled[n, :] = 0
    labelled[n, WHO], labelled[n, SCORED], labelled[n, KNOWN] = who, at_ms, known_ms


@compiled
def tell_label(out: Labels, n: int, told: int, label: int, above_ms: int, up_to_ms: int) -> None:
    labelled = out[1]
    labelled[n, TOLD], labelled[n, LABEL], labelled[n, ABOVE], labelled[n, UP_TO] = told, label, above_ms, up_to_ms


@compiled
def take_row(s: Ints, t: Ints, g: Ints, w: int) -> None:
    """The other's row that waits, in the place of the own one."""
    take_inputs(s, t, g, place_of(g, w))
    for k in range(w, w + ROW):
        s[k] = t[k]


@compiled
def take_inputs(s: Ints, t: Ints, g: Ints, place: int) -> None:
    copy_bytes(s, 8 * place, t, 8 * place, 4 * g[INPUTS])
