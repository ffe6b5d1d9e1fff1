"""Two records become one, a line for each field; both were unpacked under the same program."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from features.kernel.arrays import (
    AT_DATED,
    AT_KIND,
    AT_TABLE,
    CASE,
    CELLS,
    DATED,
    DEALS,
    DECAYED,
    DONE,
    FIRST,
    HOME,
    KINDS,
    LAST,
    LATEST,
    LIFE,
    MONTHS,
    N_CASES,
    N_DEALS,
    N_PANES,
    N_PURPOSES,
    N_SEEN,
    N_TIMERS,
    NEWEST,
    OF_KIND,
    OF_WAIT,
    ORDER,
    PAIRS,
    PANE,
    PLACES,
    PURPOSE_OF,
    RING,
    ROOM_OF,
    SEEN,
    TABLE,
    TABLE_AT,
    TABLES,
    TIMER,
    TIMERS,
    TIMES,
    WAKE,
    WEIGHTS,
    WIDTH,
    Bytes,
    Ints,
)
from features.kernel.clocks import day_of
from features.kernel.compiled import compiled, making_arrays
from features.kernel.consent import open_case, set_consent
from features.kernel.labelling import is_later, keep_later, merge_rows
from features.kernel.panes import add_cells, coarsen, pane_cells
from features.kernel.records import most_bytes, new_state, pack, unpack
from features.kernel.tables import add_month, add_time, placed, weigh
from features.kernel.timers import due_of, rest


class Merged(NamedTuple):
    status: int
    detail: int  # the zone's crc
    record: Bytes  # without a ledger
    ledger: int  # where the ledger starts in the first record
    other: int  # and in the second, both in `blob`
    wake_ms: int


@making_arrays
def merge(g: Ints, z: Ints, blob: Bytes, middle: int, end: int, clock_ms: int, features: int) -> Merged:
    """Two records that stand one behind the other, with `middle` between them, as one; either may be empty."""
    s, t = new_state(g), new_state(g)
    status, detail, ledger = unpack(blob, 0, middle, s, g, z)
    other, at = np.int64(end), 0
    if status == DONE:
        status, detail, other = unpack(blob, middle, end, t, g, z)
    if status != DONE:
        return Merged(status, detail, blob[:0].copy(), ledger, other, 0)
    if end > middle:
        row = np.empty((1, features), np.float64)
        for one, newest_ms in ((s, t[NEWEST]), (t, s[NEWEST])):
            if is_later(one, max(clock_ms, newest_ms)):
                keep_later(one, g, z, row, 0)
        _merge(s, t, g, z, clock_ms)
    out = np.empty(most_bytes(s, g), np.uint8)
    at = pack(out, 0, s, g, z)
    return Merged(status, detail, out[:at], ledger, other, s[WAKE])


@compiled
def _merge(s: Ints, t: Ints, g: Ints, z: Ints, clock_ms: int) -> None:
    """Takes the history in `t` into `s`, as if one customer had had it all."""
    mine_ms, other_ms = s[LAST + g[ORDER]], t[LAST + g[ORDER]]
    _merge_timers(s, t, g, clock_ms)  # these look at the latest times as they were
    if t[HOME] >= 0 and (s[HOME] < 0 or t[NEWEST] > s[NEWEST]):
        s[HOME] = t[HOME]
    s[FIRST] = min(s[FIRST], t[FIRST]) if s[FIRST] > 0 and t[FIRST] > 0 else max(s[FIRST], t[FIRST])
    _merge_ring(s, t, N_DEALS, DEALS)
    _merge_ring(s, t, N_SEEN, SEEN)
    _merge_cases(s, t)
    for p in range(PURPOSE_OF, PURPOSE_OF + 3 * t[N_PURPOSES], 3):
        set_consent(s, t[p], t[p + 1], t[p + 2])
    for k in range(LAST, LAST + g[KINDS]):
        s[k] = max(s[k], t[k])
    add_cells(s, g, g[LIFE], t, g[LIFE])
    _merge_panes(s, t, g, z)
    _merge_tables(s, t, g)
    merge_rows(s, t, g, clock_ms, mine_ms, other_ms)
    s[NEWEST] = max(s[NEWEST], t[NEWEST])
    rest(s)


@making_arrays
def _merge_ring(s: Ints, t: Ints, counter: int, ring: int) -> None:
    """Both rings' ids, each once; of more than a ring holds, the latest of either in turn."""
    mine, other = s[ring : ring + s[counter]].copy(), t[ring : ring + t[counter]]
    i, k, count = len(mine) - 1, len(other) - 1, 0
    latest = np.empty(RING, np.int64)
    while count < RING and (i >= 0 or k >= 0):
        for turn in range(2):
            id_hash, fresh = np.int64(0), False
            if turn == 0 and i >= 0:
                id_hash, fresh, i = mine[i], True, i - 1
            elif turn == 1 and k >= 0:
                id_hash, fresh, k = other[k], True, k - 1
            for known in latest[:count]:
                fresh = fresh and known != id_hash
            if fresh and count < RING:
                latest[count] = id_hash
                count += 1
    for j in range(count):
        s[ring + j] = latest[count - 1 - j]
    s[counter] = count


@compiled
def _merge_cases(s: Ints, t: Ints) -> None:
    """All open complaints, each once; of more than a record holds, the oldest fall out."""
    for c in range(t[N_CASES]):
        open_case(s, t[CASE + c])


@compiled
def _merge_panes(s: Ints, t: Ints, g: Ints, z: Ints) -> None:
    """Both are brought to the same age first, so that a moment is kept in one kind of pane."""
    newest_ms = max(s[NEWEST], t[NEWEST])
    newest_day = day_of(z, max(0, s[HOME]), newest_ms)
    coarsen(s, g, newest_ms, newest_day)
    coarsen(t, g, newest_ms, newest_day)
    _rename_places(s, t, g)
    for p in range(t[N_PANES]):
        pane = PANE + 3 * p
        into = pane_cells(s, g[CELLS], g[WIDTH], t[pane], t[pane + 1], t[pane + 2])
        add_cells(s, g, into, t, g[CELLS] + p * g[WIDTH])


@making_arrays
def _rename_places(s: Ints, t: Ints, g: Ints) -> None:
    """The other's sets, in the bits that stand for the same codes here; a code that finds no bit is left out."""
    bits = np.empty(ROOM_OF[PLACES], np.int64)
    for k in range(g[TABLES]):
        if g[g[AT_TABLE] + 2 * k] != PLACES:
            continue
        table, cell = g[TABLE_AT] + TABLE * k, g[g[AT_TABLE] + 2 * k + 1]
        held, given = np.int64(0), np.int64(0)
        for p in range(t[N_PANES]):
            held |= t[g[CELLS] + p * g[WIDTH] + cell]
        for i in range(t[table]):
            bits[i] = -1
            if (held >> i) & 1:
                bits[i] = placed(s, g, table, t[table + PAIRS + 2 * i], cell, given)
            if bits[i] >= 0:
                given |= np.int64(1) << bits[i]
        for p in range(t[N_PANES]):
            at = g[CELLS] + p * g[WIDTH] + cell
            before, t[at] = t[at], 0
            for i in range(t[table]):
                if (before >> i) & 1 and bits[i] >= 0:
                    t[at] |= np.int64(1) << bits[i]


@compiled
def _merge_tables(s: Ints, t: Ints, g: Ints) -> None:
    weights = t.view(np.float64)
    for k in range(g[TABLES]):
        how, argument, table = g[g[AT_TABLE] + 2 * k], g[g[AT_TABLE] + 2 * k + 1], g[TABLE_AT] + TABLE * k
        if how == LATEST and t[table] > 0 and t[table + 1] > s[table + 1]:
            for i in range(table, table + PAIRS + 2):
                s[i] = t[i]
        for pair in range(table + PAIRS, table + PAIRS + 2 * t[table], 2):
            if how == TIMES:
                add_time(s, table, t[pair])
            elif how == MONTHS:
                add_month(s, table, t[pair], t[pair + 1])
            elif how in (WEIGHTS, DECAYED):
                weigh(s, table, t[pair], weights[pair + 1], t[table + 1], argument, ROOM_OF[how])


@compiled
def _merge_timers(s: Ints, t: Ints, g: Ints, clock_ms: int) -> None:
    """A rule waits from the latest event of its kind on: the timer of whoever had that one counts, if it still runs.
    Of two that look at dates, the later one: the other has looked at the earlier date."""
    for kind in range(g[KINDS]):
        of_kind, mine_ms, other_ms = g[AT_KIND] + OF_KIND * kind, s[LAST + kind], t[LAST + kind]
        for k in range(g[of_kind + 4], g[of_kind + 4] + OF_WAIT * g[of_kind + 5], OF_WAIT):
            if other_ms > mine_ms:
                _drop_timer(s, g[k])
            else:
                _drop_timer(t, g[k])
    for k in range(g[AT_DATED], g[AT_DATED] + 3 * g[DATED], 3):
        if due_of(s, g[k]) >= due_of(t, g[k]):
            _drop_timer(t, g[k])
        else:
            _drop_timer(s, g[k])
    for i in range(TIMER, TIMER + 3 * t[N_TIMERS], 3):
        place, latest = TIMER + 3 * s[N_TIMERS], TIMER
        for k in range(TIMER, TIMER + 3 * s[N_TIMERS], 3):
            if s[k + 1] > s[latest + 1]:
                latest = k
            if s[k] == t[i]:  # of a rule that is gone
                place = k
        if place == TIMER + 3 * TIMERS:
            place = latest
        elif place == TIMER + 3 * s[N_TIMERS]:
            s[N_TIMERS] += 1
        s[place], s[place + 1], s[place + 2] = t[i], t[i + 1], _due_later(t[i + 1], t[i + 2], clock_ms)


@compiled
def _drop_timer(s: Ints, rule: int) -> None:
    for i in range(TIMER, TIMER + 3 * s[N_TIMERS], 3):
        if s[i] == rule:
            s[N_TIMERS] -= 1
            for k in range(i, TIMER + 3 * s[N_TIMERS]):
                s[k] = s[k + 3]
            break


@compiled
def _due_later(due_ms: int, grace_ms: int, clock_ms: int) -> int:
    """Grace for what another partition's clock may not have reached: it fires when the clock moves next, not before."""
    return max(grace_ms, clock_ms + 1 - due_ms)
