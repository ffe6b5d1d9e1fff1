"""A customer's record, from bytes to the state array and back; features/record.py documents the bytes."""

from __future__ import annotations

import numpy as np

from features.kernel.arrays import (
    AFTERWARDS,
    AT_LAYOUT,
    AT_TABLE,
    BEFORE_FLOATS,
    BEFORE_LATER,
    BEFORE_PACKED,
    CASE,
    CASES,
    CELLS,
    CORRUPT,
    DEALS,
    DECAYED,
    DONE,
    FIRST,
    HOME,
    INPUTS,
    KINDS,
    LAST,
    LATER,
    LATER_FROM,
    LATER_KEPT,
    LAYOUTS,
    LIFE,
    N_CASES,
    N_DEALS,
    N_PANES,
    N_PURPOSES,
    N_SEEN,
    N_TIMERS,
    NEEDS_ZONE,
    NEWEST,
    OF_LAYOUT,
    PAIRS,
    PANE,
    PANES,
    PURPOSE_OF,
    PURPOSES,
    RING,
    ROOM_OF,
    ROW_AT,
    ROW_DUE,
    ROW_GAP,
    ROW_RHYTHM,
    ROW_TOLD,
    SEEN,
    SPEND_AT,
    SPEND_CENTS,
    SPEND_DUE,
    SPEND_END,
    SPENDING,
    STATE,
    TABLE,
    TABLE_AT,
    TABLES,
    TIMER,
    TIMERS,
    VERSION,
    WAIT,
    WAITING,
    WAKE,
    WEIGHTS,
    WIDTH,
    WRONG_LAYOUT,
    Bytes,
    Ints,
)
from features.kernel.compiled import compiled, making_arrays
from features.kernel.former import skip_row_of_before, unpack_tables_of_before
from features.kernel.intrinsics import copy_bytes
from features.kernel.packing import (
    read_cells,
    read_eights,
    read_floats,
    read_signed,
    read_triples,
    read_varint,
    read_word,
    write_cells,
    write_eights,
    write_floats,
    write_signed,
    write_triples,
    write_varint,
    write_word,
)

TIMED, WEIGHED = 1, 2  # bits of a table's head


@making_arrays
def new_state(g: Ints) -> Ints:
    return np.zeros(g[STATE], np.int64)


@compiled
def unpack(blob: Bytes, at: int, end: int, s: Ints, g: Ints, z: Ints) -> tuple[int, int, int]:
    """(status, detail, where the ledger starts)."""
    s[:DEALS] = 0
    s[HOME] = -1
    s[LAST : g[TABLE_AT]] = 0
    s[g[LIFE] : g[WAITING]] = 0
    for t in range(g[TABLES]):
        s[g[TABLE_AT] + TABLE * t] = 0
    if at == end:
        return DONE, 0, end
    version = blob[at]
    if version not in (VERSION, BEFORE_PACKED, BEFORE_LATER, BEFORE_FLOATS):
        return WRONG_LAYOUT, 0, end
    found, at = read_word(blob, at + 1, end, 4)
    layout = g[AT_LAYOUT]
    while g[layout] != found:
        layout += OF_LAYOUT
        if layout == g[AT_LAYOUT] + OF_LAYOUT * g[LAYOUTS]:
            return WRONG_LAYOUT, 0, end
    crc, at = read_word(blob, at, end, 4)
    for zone in range(z[0]):
        if z[1 + 2 * zone] == crc:
            s[HOME] = zone
    if s[HOME] < 0:
        return NEEDS_ZONE, crc, end
    at = _unpack_past(blob, at, end, s, g)
    packed, same_inputs = version == VERSION, g[layout + 4]
    if version == BEFORE_FLOATS:
        at = skip_row_of_before(blob, at, end)
    else:
        at = _unpack_waiting(blob, at, end, s, g, WAIT, g[WAITING], same_inputs, packed)
        at = _unpack_spending(blob, at, end, s, g, same_inputs, packed)
        if version != BEFORE_LATER:
            at = _unpack_later(blob, at, end, s, g, same_inputs, packed)
    width, places = g[layout + 1], g[layout + 3]
    if packed:
        at = _unpack_tables(blob, at, end, s, g, places + width, g[layout + 2])
    else:
        at = unpack_tables_of_before(blob, at, end, s, g, places + width, g[layout + 2])
    at = read_cells(blob, at, end, s, g[LIFE], g, places, width)
    count, at = read_varint(blob, at, end)
    if not 0 <= count <= PANES:
        return CORRUPT, 0, end
    s[N_PANES] = count
    for p in range(count):
        pane = PANE + 3 * p
        s[pane], at = read_varint(blob, at, end)
        s[pane + 1], at = read_varint(blob, at, end)
        s[pane + 2], at = read_varint(blob, at, end)
        at = read_cells(blob, at, end, s, g[CELLS] + p * g[WIDTH], g, places, width)
    if at > end:
        return CORRUPT, 0, end
    return DONE, 0, at


@compiled
def _unpack_past(blob: Bytes, at: int, end: int, s: Ints, g: Ints) -> int:
    """What stands before the row that waits."""
    s[WAKE], at = read_varint(blob, at, end)
    s[FIRST], at = read_varint(blob, at, end)
    s[N_DEALS], at = read_eights(blob, at, end, s, DEALS, RING)
    s[N_SEEN], at = read_eights(blob, at, end, s, SEEN, RING)
    count, at = read_varint(blob, at, end)
    for _ in range(count):
        kind, at = read_varint(blob, at, end)
        moment, at = read_varint(blob, at, end)
        if at > end or not 0 <= kind < g[KINDS]:
            return end + 1
        s[LAST + kind] = moment
        s[NEWEST] = max(s[NEWEST], moment)
    s[N_CASES], at = read_eights(blob, at, end, s, CASE, CASES)
    s[N_PURPOSES], at = read_triples(blob, at, end, s, PURPOSE_OF, PURPOSES)
    s[N_TIMERS], at = read_triples(blob, at, end, s, TIMER, TIMERS)
    return at


@compiled
def _unpack_waiting(
    blob: Bytes, at: int, end: int, s: Ints, g: Ints, w: int, place: int, same_inputs: int, packed: bool
) -> int:
    s[w + ROW_AT], at = read_varint(blob, at, end)
    if s[w + ROW_AT] == 0:
        return at
    s[w + ROW_DUE], at = read_varint(blob, at, end)
    s[w + ROW_TOLD], at = read_varint(blob, at, end)
    s[w + ROW_GAP], at = read_varint(blob, at, end)
    s[w + ROW_RHYTHM], at = read_varint(blob, at, end)
    known, at = _unpack_row(blob, at, end, s, g, place, same_inputs, packed)
    if not known:
        s[w + ROW_AT] = 0
    return at


@compiled
def _unpack_row(
    blob: Bytes, at: int, end: int, s: Ints, g: Ints, place: int, same_inputs: int, packed: bool
) -> tuple[bool, int]:
    """What was scored on other features than now cannot be learned from."""
    count, at = read_varint(blob, at, end)
    if not 0 <= count <= end - at:
        return False, end + 1
    known = same_inputs != 0 and count == g[INPUTS]
    if not packed:
        if known and at + 4 * count <= end:
            copy_bytes(s, 8 * place, blob, at, 4 * count)
        return known, at + 4 * count
    if known:
        return True, read_floats(blob, at, end, s, place, count)
    for _ in range(count):
        _, at = read_varint(blob, at, end)
    return False, at


@compiled
def _unpack_later(blob: Bytes, at: int, end: int, s: Ints, g: Ints, same_inputs: int, packed: bool) -> int:
    """Its row, or the moment alone while no row of it is kept."""
    s[LATER_FROM], at = read_varint(blob, at, end)
    if s[LATER_FROM] == 0:
        return at
    s[LATER_KEPT], at = read_varint(blob, at, end)
    if s[LATER_KEPT] > 0:
        return _unpack_waiting(blob, at, end, s, g, LATER, g[AFTERWARDS], same_inputs, packed)
    s[LATER + ROW_AT], at = read_varint(blob, at, end)
    s[LATER + ROW_DUE], at = read_varint(blob, at, end)
    s[LATER + ROW_RHYTHM], at = read_varint(blob, at, end)
    return at


@compiled
def _unpack_spending(blob: Bytes, at: int, end: int, s: Ints, g: Ints, same_inputs: int, packed: bool) -> int:
    s[SPEND_AT], at = read_varint(blob, at, end)
    if s[SPEND_AT] == 0:
        return at
    s[SPEND_END], at = read_varint(blob, at, end)
    s[SPEND_DUE], at = read_varint(blob, at, end)
    s[SPEND_CENTS], at = read_signed(blob, at, end)
    known, at = _unpack_row(blob, at, end, s, g, g[SPENDING], same_inputs, packed)
    if not known:
        s[SPEND_AT] = 0
    return at


@compiled
def _unpack_tables(blob: Bytes, at: int, end: int, s: Ints, g: Ints, places: int, tables: int) -> int:
    known, at = read_varint(blob, at, end)
    for _ in range(known):
        head, at = read_varint(blob, at, end)
        weighed_ms = np.int64(0)
        if head & TIMED:
            before_ms, at = read_signed(blob, at, end)
            weighed_ms = s[NEWEST] - before_ms
        count, at = read_varint(blob, at, end)
        if not 0 <= head >> 2 < tables or not 0 <= count <= end - at:
            return end + 1
        t = g[places + (head >> 2)]
        table = g[TABLE_AT] + TABLE * t
        if t >= 0:
            if count > ROOM_OF[g[g[AT_TABLE] + 2 * t]]:
                return end + 1
            s[table], s[table + 1] = count, weighed_ms
        for pair in range(table + PAIRS, table + PAIRS + 2 * count, 2):
            code, at = read_varint(blob, at, end)
            if head & WEIGHED:
                value, at = read_word(blob, at, end, 8)
            else:
                value, at = read_signed(blob, at, end)
            if t >= 0:
                s[pair], s[pair + 1] = code, value
    return at


@compiled
def most_bytes(s: Ints, g: Ints) -> int:
    """No record takes more bytes than this, its ledger left out."""
    lists = 8 * (2 * RING + CASES) + 24 * (PURPOSES + TIMERS) + 20 * g[KINDS] + 3 * 5 * g[INPUTS]
    for t in range(g[TABLES]):
        lists += 30 + 20 * s[g[TABLE_AT] + TABLE * t]
    return 400 + lists + (24 + 10 * (g[WIDTH] + 1)) * (s[N_PANES] + 1)


@compiled
def pack(out: Bytes, at: int, s: Ints, g: Ints, z: Ints) -> int:
    width, kinds = g[WIDTH], g[KINDS]
    out[at] = VERSION
    at = write_word(out, at + 1, g[g[AT_LAYOUT]], 4)
    at = write_word(out, at, z[1 + 2 * max(0, s[HOME])], 4)
    at = write_varint(out, at, s[WAKE])
    at = write_varint(out, at, s[FIRST])
    at = write_eights(out, at, s, DEALS, s[N_DEALS])
    at = write_eights(out, at, s, SEEN, s[N_SEEN])
    known = newest_ms = np.int64(0)
    for kind in range(kinds):
        known += s[LAST + kind] > 0
        newest_ms = max(newest_ms, s[LAST + kind])
    at = write_varint(out, at, known)
    for kind in range(kinds):
        if s[LAST + kind] > 0:
            at = write_varint(out, at, kind)
            at = write_varint(out, at, s[LAST + kind])
    at = write_eights(out, at, s, CASE, s[N_CASES])
    at = write_triples(out, at, s, PURPOSE_OF, s[N_PURPOSES])
    at = write_triples(out, at, s, TIMER, s[N_TIMERS])
    at = _pack_waiting(out, at, s, g, WAIT, g[WAITING])
    at = write_varint(out, at, s[SPEND_AT])
    if s[SPEND_AT] > 0:
        at = write_varint(out, at, s[SPEND_END])
        at = write_varint(out, at, s[SPEND_DUE])
        at = write_signed(out, at, s[SPEND_CENTS])
        at = write_floats(out, at, s, g[SPENDING], g[INPUTS])
    at = _pack_later(out, at, s, g)
    at = _pack_tables(out, at, s, g, newest_ms)
    at = write_cells(out, at, s, g[LIFE], width)
    at = write_varint(out, at, s[N_PANES])
    for p in range(s[N_PANES]):
        pane = PANE + 3 * p
        at = write_varint(out, at, s[pane])
        at = write_varint(out, at, s[pane + 1])
        at = write_varint(out, at, s[pane + 2])
        at = write_cells(out, at, s, g[CELLS] + p * width, width)
    return at


@compiled
def _pack_waiting(out: Bytes, at: int, s: Ints, g: Ints, w: int, place: int) -> int:
    at = write_varint(out, at, s[w + ROW_AT])
    if s[w + ROW_AT] > 0:
        at = write_varint(out, at, s[w + ROW_DUE])
        at = write_varint(out, at, s[w + ROW_TOLD])
        at = write_varint(out, at, s[w + ROW_GAP])
        at = write_varint(out, at, s[w + ROW_RHYTHM])
        at = write_floats(out, at, s, place, g[INPUTS])
    return at


@compiled
def _pack_later(out: Bytes, at: int, s: Ints, g: Ints) -> int:
    if s[LATER + ROW_AT] == 0:
        return write_varint(out, at, 0)
    at = write_varint(out, at, s[LATER_FROM])
    at = write_varint(out, at, s[LATER_KEPT])
    if s[LATER_KEPT] > 0:
        return _pack_waiting(out, at, s, g, LATER, g[AFTERWARDS])
    at = write_varint(out, at, s[LATER + ROW_AT])
    at = write_varint(out, at, s[LATER + ROW_DUE])
    return write_varint(out, at, s[LATER + ROW_RHYTHM])


@compiled
def _pack_tables(out: Bytes, at: int, s: Ints, g: Ints, newest_ms: int) -> int:
    """Those that hold something."""
    known = 0
    for t in range(g[TABLES]):
        known += s[g[TABLE_AT] + TABLE * t] > 0
    at = write_varint(out, at, known)
    for t in range(g[TABLES]):
        table = g[TABLE_AT] + TABLE * t
        if s[table] > 0:
            how = g[g[AT_TABLE] + 2 * t]
            weighed, timed = how in (DECAYED, WEIGHTS), s[table + 1] != 0
            at = write_varint(out, at, (t << 2) | (TIMED if timed else 0) | (WEIGHED if weighed else 0))
            if timed:
                at = write_signed(out, at, newest_ms - s[table + 1])
            at = write_varint(out, at, s[table])
            for pair in range(table + PAIRS, table + PAIRS + 2 * s[table], 2):
                at = write_varint(out, at, s[pair])
                if weighed:
                    at = write_word(out, at, s[pair + 1], 8)
                else:
                    at = write_signed(out, at, s[pair + 1])
    return at
