"""The compiled heart of the customer core: packed records and a batch of events in, new records and feature rows out.

One pass per customer, in log order: unpack the record, apply its events, fire the timers that the
clock has reached in between, write a feature row for every event and timer that somebody asks about,
pack the record again. It reads no clock and changes nothing it was given, so a call can be repeated.

All that is known of something is one array of int64, because a compiled function pays for every array
it is handed; the constants below name the columns: of a customer's state `s`, the program `g` (what
catalog, rules and label ask for), the events `e`, the time zones `z`. `features/record.py` documents the
bytes of a record and holds the plain twin of unpacking.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from features.times import DAY_MS, EPOCH_DAY, HOUR_MS, MINUTE_MS

# Numba's cache notices a change of this file only: what a compiled function calls, and every number that
# may change and is compiled into it, stands here.
VERSION = 3  # of a record
FIVE_MS = 5 * MINUTE_MS
LATE_MS = DAY_MS  # an event that is later than others by no more than this still finds the short panes of its own time
KEPT_FIVES = (HOUR_MS + LATE_MS) // FIVE_MS + 1
KEPT_HOURS = (DAY_MS + LATE_MS) // HOUR_MS + 1
# what a record holds at the most
RING, CASES, PURPOSES, TIMERS, PANES, CELLS_OF_PANE, TABLES_OF_RECORD = 64, 64, 32, 64, 512, 62, 64

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

LIFETIME, FIVES, HOURS, DAYS = 0, 1, 2, 3  # what a window is made of
SUM_OF, MOST_OF, MEAN_OF, DISTINCT_OF = 0, 1, 2, 3  # how a window's cells become a feature
# what a table keeps of (code, value) pairs, and how many
LATEST, DECAYED, WEIGHTS, PLACES, TIMES, MONTHS = 0, 1, 2, 3, 4, 5
ROOM_OF = (1, 1, 16, 62, 16, 26)
VALUE, WEIGHT, FAVOURITE, SHARE, SPREAD, BALANCE, EXPIRING, EARNED = 0, 1, 2, 3, 4, 5, 6, 7  # what is read from one
LN2 = 0.6931471805599453
TIED = 1 - 1e-9  # weights that differ by less are the same: the sums were rounded
DONE, NEEDS_ZONE, NEEDS_ROOM, CORRUPT, WRONG_LAYOUT = 0, 1, 2, 3, 4  # how a call ends

# the program: numbers, then where its lists start
(
    WIDTH,  # cells of a pane: sums, then the greatest, then the least (both plus 1; 0 is none), then sets of places
    SUMS,  # where the sums end
    GREATEST,
    LEAST,
    TABLES,
    KINDS,
    INPUTS,  # of the model that is learned
    WINDOWS,
    LAYOUTS,
    COLUMNS,  # that are read from windows
    READS,  # those read from tables
    RECENCIES,
    RATIOS,
    BANDS,
    SEGMENTS,
    KEPT_DAYS,
    HORIZON_MS,  # 0: nothing is labelled
    PURPOSE,  # whose consent is told with each row
    ORDERS,  # the measure
    POINT_CENTS,  # that earn a point
    ORDER,  # kinds that mean more than their measures
    VOID,
    COMPLAINT,
    ANSWERED,
    CONSENT,
    TABLE_AT,  # where in a state its tables start; then the lifetime, the row that waits, the panes' cells, the sums
    LIFE,
    WAITING,
    CELLS,
    TOTALS,
    STATE,
    AT_LAYOUT,  # the own one, then earlier ones: id, cells, tables, where their new places start, same inputs
    AT_TABLE,  # pairs: what it keeps, half-life in ms or cell
    AT_WINDOW,  # pairs: what it is made of, how many of that
    AT_COLUMN,  # triples: how, total, total it is divided by
    AT_READ,  # triples: what, table, argument
    AT_RECENCY,  # pairs: kind, unit in ms
    AT_RATIO,  # pairs: columns
    AT_BAND,  # column, cuts, 1 where less is better, where the cuts start
    AT_SEGMENT,  # by feature: segments, where their conditions start
    AT_INPUT,  # columns
    AT_KIND,  # by kind: deal, wanted, where its effects start, how many, where its waits start, how many
    PROGRAM,
) = range(43)
OF_LAYOUT, OF_KIND = 5, 6

# an event; its amounts by cell follow
KIND, AT, ZONE, ID, ORDERED, WORD, FLAG, CLOCK, TOUCHED, TOUCHES, AMOUNTS = range(11)
# what an event does to a table; an event's stand from TOUCHED on, TOUCHES of them
TABLE_OF, CODE, AMOUNT, MOMENT, TOUCH = range(5)

# a customer's state: numbers, then lists of fixed length, then those whose length the program gives
(
    N_DEALS,
    N_SEEN,
    N_CASES,
    N_PURPOSES,
    N_TIMERS,
    N_PANES,
    HOME,  # time zone
    WAKE,
    FIRST,
    WAIT_AT,
    WAIT_DUE,
    WAIT_GRACE,
    NEWEST,
) = range(13)
DEALS = 16
SEEN = DEALS + RING
CASE = SEEN + RING
PURPOSE_OF = CASE + CASES  # triples: purpose, at, granted
TIMER = PURPOSE_OF + 3 * PURPOSES  # triples: rule, due, grace
PANE = TIMER + 3 * TIMERS  # triples: level, number, day
LAST = PANE + 3 * PANES  # by kind; then what the program says
# a table: how many pairs, as of when they are weighed, the pairs (code, value)
PAIRS = 2
TABLE = PAIRS + 2 * max(ROOM_OF)

# an asked row: whose, which event (-1: a timer), which rule, as of, fires at, local time, consent
WHO, EVENT, RULE, AS_OF, FIRES, LOCAL, CONSENTED, ASKED = range(8)
# a labelled row: whose, scored at, known at, label
SCORED, KNOWN, LABEL, LABELLED = range(1, 5)


Labels = Any  # (inputs, labelled), to be filled


class Outcome(NamedTuple):
    status: int
    detail: int  # customer at which it ended, or the zone's crc
    blob: Bytes
    ends: Ints  # by customer
    ledgers: Ints  # by customer: where the ledger starts
    wakes: Ints  # [customers, 2]: before, after
    repeated: Bytes  # by event
    rows: Floats  # [asked, features]
    asked: Ints  # [asked, ASKED]
    inputs: Ints  # [labelled, inputs]: the bits of float64
    labelled: Ints  # [labelled, LABELLED]


@njit(cache=True, nogil=True)
def _new_state(g: Ints) -> Ints:
    return np.zeros(g[STATE], np.int64)


# --- what Numba has no word for


@intrinsic
def _copy(typing: Any, into: Any, to: Any, source: Any, start: Any, count: Any) -> Any:
    """Copies `count` bytes between arrays of any type; both places are told in bytes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def place(array: int, at: int) -> Any:
            data = context.make_array(signature.args[array])(context, builder, args[array]).data
            offset = context.cast(builder, args[at], signature.args[at], types.intp)
            return builder.gep(builder.bitcast(data, cgutils.voidptr_t), [offset])

        length = context.cast(builder, args[4], signature.args[4], types.intp)
        cgutils.raw_memcpy(builder, place(0, 1), place(2, 3), length, 1)
        return context.get_dummy_value()

    return types.void(into, to, source, start, count), generate


@intrinsic
def _lowest(typing: Any, mask: Any) -> Any:
    """The place of the lowest bit that is set, of a number that is not 0."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], cgutils.true_bit)

    return types.int64(types.int64), generate


# --- bytes: reads past the end leave the position behind the end, which the caller checks once


@njit(cache=True, nogil=True)
def _read_varint(blob: Bytes, at: int, end: int) -> tuple[int, int]:
    if at < end and blob[at] < 128:
        return np.int64(blob[at]), at + 1
    value, shift = np.uint64(0), np.uint64(0)
    while at < end and shift < np.uint64(64):
        byte = np.uint64(blob[at])
        at += 1
        value |= (byte & np.uint64(127)) << shift
        if byte < np.uint64(128):
            return np.int64(value), at
        shift += np.uint64(7)
    return np.int64(0), end + 1


@njit(cache=True, nogil=True)
def _read_word(blob: Bytes, at: int, end: int, size: int) -> tuple[int, int]:
    if at + size > end:
        return np.int64(0), end + 1
    value = np.uint64(0)
    for i in range(size):
        value |= np.uint64(blob[at + i]) << np.uint64(8 * i)
    return np.int64(value), at + size


@njit(cache=True, nogil=True)
def _write_varint(out: Bytes, at: int, value: int) -> int:
    left = np.uint64(value)
    while left >= np.uint64(128):
        out[at] = np.uint8((left & np.uint64(127)) | np.uint64(128))
        left >>= np.uint64(7)
        at += 1
    out[at] = np.uint8(left)
    return at + 1


@njit(cache=True, nogil=True)
def _write_word(out: Bytes, at: int, value: int, size: int) -> int:
    left = np.uint64(value)
    for i in range(size):
        out[at + i] = np.uint8((left >> np.uint64(8 * i)) & np.uint64(255))
    return at + size


@njit(cache=True, nogil=True)
def _read_eights(blob: Bytes, at: int, end: int, s: Ints, into: int, limit: int) -> tuple[int, int]:
    """A count, and so many times eight bytes."""
    count, at = _read_varint(blob, at, end)
    if not 0 <= count <= limit or at + 8 * count > end:
        return np.int64(0), end + 1
    _copy(s, 8 * into, blob, at, 8 * count)
    return count, at + 8 * count


@njit(cache=True, nogil=True)
def _write_eights(out: Bytes, at: int, s: Ints, start: int, count: int) -> int:
    at = _write_varint(out, at, count)
    _copy(out, at, s, 8 * start, 8 * count)
    return at + 8 * count


@njit(cache=True, nogil=True)
def _read_triples(blob: Bytes, at: int, end: int, s: Ints, into: int, limit: int) -> tuple[int, int]:
    """u32, varint, varint."""
    count, at = _read_varint(blob, at, end)
    if not 0 <= count <= limit:
        return np.int64(0), end + 1
    for i in range(into, into + 3 * count, 3):
        s[i], at = _read_word(blob, at, end, 4)
        s[i + 1], at = _read_varint(blob, at, end)
        s[i + 2], at = _read_varint(blob, at, end)
    return count, at


@njit(cache=True, nogil=True)
def _write_triples(out: Bytes, at: int, s: Ints, start: int, count: int) -> int:
    at = _write_varint(out, at, count)
    for i in range(start, start + 3 * count, 3):
        at = _write_word(out, at, s[i], 4)
        at = _write_varint(out, at, s[i + 1])
        at = _write_varint(out, at, s[i + 2])
    return at


@njit(cache=True, nogil=True)
def _read_cells(blob: Bytes, at: int, end: int, s: Ints, into: int, g: Ints, places: int, width: int) -> int:
    """A bit mask of the cells that are not 0, then their amounts, zigzag; each to its new place, if it has one."""
    for m in range(into, into + g[WIDTH]):
        s[m] = 0
    mask, at = _read_varint(blob, at, end)
    if mask >> width != 0:
        return end + 1
    while mask != 0:
        raw, at = _read_varint(blob, at, end)
        place = g[places + _lowest(mask)]
        if place >= 0:
            s[into + place] = ((raw >> 1) & 0x7FFFFFFFFFFFFFFF) ^ -(raw & 1)
        mask &= mask - 1
    return at


@njit(cache=True, nogil=True)
def _write_cells(out: Bytes, at: int, s: Ints, start: int, width: int) -> int:
    mask = np.int64(0)
    for m in range(width):
        if s[start + m] != 0:
            mask |= np.int64(1) << m
    at = _write_varint(out, at, mask)
    while mask != 0:
        value = s[start + _lowest(mask)]
        at = _write_varint(out, at, (value << 1) ^ (value >> 63))
        mask &= mask - 1
    return at


# --- a record, unpacked and packed


@njit(cache=True, nogil=True)
def _unpack(blob: Bytes, at: int, end: int, s: Ints, g: Ints, z: Ints) -> tuple[int, int, int]:
    """(status, detail, where the ledger starts)."""
    s[:DEALS] = 0
    s[HOME] = -1
    s[LAST : g[TABLE_AT]] = 0
    s[g[LIFE] : g[WAITING]] = 0
    for t in range(g[TABLES]):
        s[g[TABLE_AT] + TABLE * t] = 0
    if at == end:
        return DONE, 0, end
    if blob[at] != VERSION:
        return WRONG_LAYOUT, 0, end
    found, at = _read_word(blob, at + 1, end, 4)
    layout = g[AT_LAYOUT]
    while g[layout] != found:
        layout += OF_LAYOUT
        if layout == g[AT_LAYOUT] + OF_LAYOUT * g[LAYOUTS]:
            return WRONG_LAYOUT, 0, end
    crc, at = _read_word(blob, at, end, 4)
    for zone in range(z[0]):
        if z[1 + 2 * zone] == crc:
            s[HOME] = zone
    if s[HOME] < 0:
        return NEEDS_ZONE, crc, end
    at = _unpack_past(blob, at, end, s, g)
    at = _unpack_waiting(blob, at, end, s, g, g[layout + 4])
    width, places = g[layout + 1], g[layout + 3]
    at = _unpack_tables(blob, at, end, s, g, places + width, g[layout + 2])
    at = _read_cells(blob, at, end, s, g[LIFE], g, places, width)
    count, at = _read_varint(blob, at, end)
    if not 0 <= count <= PANES:
        return CORRUPT, 0, end
    s[N_PANES] = count
    for p in range(count):
        pane = PANE + 3 * p
        s[pane], at = _read_varint(blob, at, end)
        s[pane + 1], at = _read_varint(blob, at, end)
        s[pane + 2], at = _read_varint(blob, at, end)
        at = _read_cells(blob, at, end, s, g[CELLS] + p * g[WIDTH], g, places, width)
    if at > end:
        return CORRUPT, 0, end
    return DONE, 0, at


@njit(cache=True, nogil=True)
def _unpack_past(blob: Bytes, at: int, end: int, s: Ints, g: Ints) -> int:
    """What stands before the row that waits."""
    s[WAKE], at = _read_varint(blob, at, end)
    s[FIRST], at = _read_varint(blob, at, end)
    s[N_DEALS], at = _read_eights(blob, at, end, s, DEALS, RING)
    s[N_SEEN], at = _read_eights(blob, at, end, s, SEEN, RING)
    count, at = _read_varint(blob, at, end)
    for _ in range(count):
        kind, at = _read_varint(blob, at, end)
        moment, at = _read_varint(blob, at, end)
        if at > end or not 0 <= kind < g[KINDS]:
            return end + 1
        s[LAST + kind] = moment
        s[NEWEST] = max(s[NEWEST], moment)
    s[N_CASES], at = _read_eights(blob, at, end, s, CASE, CASES)
    s[N_PURPOSES], at = _read_triples(blob, at, end, s, PURPOSE_OF, PURPOSES)
    s[N_TIMERS], at = _read_triples(blob, at, end, s, TIMER, TIMERS)
    return at


@njit(cache=True, nogil=True)
def _unpack_waiting(blob: Bytes, at: int, end: int, s: Ints, g: Ints, same_inputs: int) -> int:
    """What was scored on other features than now cannot be learned from."""
    s[WAIT_AT], at = _read_varint(blob, at, end)
    if s[WAIT_AT] == 0:
        return at
    s[WAIT_DUE], at = _read_varint(blob, at, end)
    s[WAIT_GRACE], at = _read_varint(blob, at, end)
    count, after = _read_varint(blob, at, end)
    if not 0 <= count <= (end - after) // 8:
        return end + 1
    if same_inputs and count == g[INPUTS]:
        count, at = _read_eights(blob, at, end, s, g[WAITING], count)
        return at
    s[WAIT_AT] = 0
    return after + 8 * count


@njit(cache=True, nogil=True)
def _unpack_tables(blob: Bytes, at: int, end: int, s: Ints, g: Ints, places: int, tables: int) -> int:
    known, at = _read_varint(blob, at, end)
    for _ in range(known):
        old, at = _read_varint(blob, at, end)
        weighed_ms, at = _read_varint(blob, at, end)
        count, at = _read_varint(blob, at, end)
        if not 0 <= old < tables or not 0 <= count <= (end - at) // 16:
            return end + 1
        t = g[places + old]
        if t >= 0:
            if count > ROOM_OF[g[g[AT_TABLE] + 2 * t]]:
                return end + 1
            table = g[TABLE_AT] + TABLE * t
            s[table], s[table + 1] = count, weighed_ms
            _copy(s, 8 * (table + PAIRS), blob, at, 16 * count)
        at += 16 * count
    return at


@njit(cache=True, nogil=True)
def _room(s: Ints, g: Ints) -> int:
    """No record takes more bytes than this, its ledger left out."""
    lists = 8 * (2 * RING + CASES) + 24 * (PURPOSES + TIMERS) + 20 * g[KINDS] + 8 * g[INPUTS]
    for t in range(g[TABLES]):
        lists += 30 + 16 * s[g[TABLE_AT] + TABLE * t]
    return 256 + lists + (24 + 10 * (g[WIDTH] + 1)) * (s[N_PANES] + 1)


@njit(cache=True, nogil=True)
def _pack(out: Bytes, at: int, s: Ints, g: Ints, z: Ints) -> int:
    width, kinds = g[WIDTH], g[KINDS]
    out[at] = VERSION
    at = _write_word(out, at + 1, g[g[AT_LAYOUT]], 4)
    at = _write_word(out, at, z[1 + 2 * max(0, s[HOME])], 4)
    at = _write_varint(out, at, s[WAKE])
    at = _write_varint(out, at, s[FIRST])
    at = _write_eights(out, at, s, DEALS, s[N_DEALS])
    at = _write_eights(out, at, s, SEEN, s[N_SEEN])
    known = 0
    for kind in range(kinds):
        known += s[LAST + kind] > 0
    at = _write_varint(out, at, known)
    for kind in range(kinds):
        if s[LAST + kind] > 0:
            at = _write_varint(out, at, kind)
            at = _write_varint(out, at, s[LAST + kind])
    at = _write_eights(out, at, s, CASE, s[N_CASES])
    at = _write_triples(out, at, s, PURPOSE_OF, s[N_PURPOSES])
    at = _write_triples(out, at, s, TIMER, s[N_TIMERS])
    at = _write_varint(out, at, s[WAIT_AT])
    if s[WAIT_AT] > 0:
        at = _write_varint(out, at, s[WAIT_DUE])
        at = _write_varint(out, at, s[WAIT_GRACE])
        at = _write_eights(out, at, s, g[WAITING], g[INPUTS])
    at = _pack_tables(out, at, s, g)
    at = _write_cells(out, at, s, g[LIFE], width)
    at = _write_varint(out, at, s[N_PANES])
    for p in range(s[N_PANES]):
        pane = PANE + 3 * p
        at = _write_varint(out, at, s[pane])
        at = _write_varint(out, at, s[pane + 1])
        at = _write_varint(out, at, s[pane + 2])
        at = _write_cells(out, at, s, g[CELLS] + p * width, width)
    return at


@njit(cache=True, nogil=True)
def _pack_tables(out: Bytes, at: int, s: Ints, g: Ints) -> int:
    """Those that hold something."""
    known = 0
    for t in range(g[TABLES]):
        known += s[g[TABLE_AT] + TABLE * t] > 0
    at = _write_varint(out, at, known)
    for t in range(g[TABLES]):
        table = g[TABLE_AT] + TABLE * t
        if s[table] > 0:
            at = _write_varint(out, at, t)
            at = _write_varint(out, at, s[table + 1])
            at = _write_varint(out, at, s[table])
            _copy(out, at, s, 8 * (table + PAIRS), 16 * s[table])
            at += 16 * s[table]
    return at


# --- time zones: their number, then pairs (crc, where its steps start), the end, and steps (from, offset)


@njit(cache=True, nogil=True)
def _offset_ms(z: Ints, zone: int, at_ms: int) -> int:
    low, high = z[2 + 2 * zone], z[4 + 2 * zone]
    while high - low > 2:
        middle = low + (high - low) // 4 * 2
        if z[middle] <= at_ms:
            low = middle
        else:
            high = middle
    return z[low + 1]


@njit(cache=True, nogil=True)
def local_times(z: Ints, zones: Ints, at_ms: Ints) -> Ints:
    """The wall's clock of each moment in its zone (UTC for -1), as if it were UTC, in ms."""
    local_ms = np.empty(len(at_ms), np.int64)
    for i in range(len(at_ms)):
        local_ms[i] = at_ms[i] + _offset_ms(z, max(0, zones[i]), at_ms[i])
    return local_ms


@njit(cache=True, nogil=True)
def _day(z: Ints, zone: int, at_ms: int) -> int:
    return (at_ms + _offset_ms(z, zone, at_ms)) // DAY_MS + EPOCH_DAY


# --- panes


@njit(cache=True, nogil=True)
def _pane(s: Ints, cells: int, width: int, level: int, number: int, day: int) -> int:
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


@njit(cache=True, nogil=True)
def _level(five: int, day: int, newest_ms: int, newest_day: int, kept_days: int) -> int:
    """How finely a moment is kept: in a pane of 5 minutes (0), of an hour, of a day, or (3) not at all."""
    if five >= newest_ms // FIVE_MS - KEPT_FIVES:
        return 0
    if five // 12 >= newest_ms // HOUR_MS - KEPT_HOURS:
        return 1
    return 2 if day >= newest_day - kept_days else 3


@njit(cache=True, nogil=True)
def _coarsen(s: Ints, g: Ints, newest_ms: int, newest_day: int) -> None:
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
            _add_cells(s, g, cells + into * width, s, cells + p * width)
            continue
        if changed:
            pane = PANE + 3 * kept
            s[pane], s[pane + 1], s[pane + 2] = now, number, day
            for m in range(width):
                s[cells + kept * width + m] = s[cells + p * width + m]
        kept += 1
    s[N_PANES] = kept


@njit(cache=True, nogil=True)
def _add_cells(s: Ints, g: Ints, into: int, t: Ints, more: int) -> None:
    """Sums are added, of the greatest the greater and of the least the lesser is kept, sets are united."""
    for m in range(g[SUMS]):
        s[into + m] += t[more + m]
    for m in range(g[SUMS], g[GREATEST]):
        s[into + m] = max(s[into + m], t[more + m])
    for m in range(g[GREATEST], g[LEAST]):
        s[into + m] = _lesser(s[into + m], t[more + m])
    for m in range(g[LEAST], g[WIDTH]):
        s[into + m] |= t[more + m]


@njit(cache=True, nogil=True)
def _lesser(one: int, other: int) -> int:
    return other if one == 0 or 0 < other < one else one


@njit(cache=True, nogil=True)
def _add_cell(s: Ints, g: Ints, into: int, cell: int, amount: int) -> None:
    if cell < g[SUMS]:
        s[into + cell] += amount
    elif cell < g[GREATEST]:
        s[into + cell] = max(s[into + cell], amount)
    else:
        s[into + cell] = _lesser(s[into + cell], amount)


# --- what an event does


@njit(cache=True, nogil=True)
def _remember(s: Ints, counter: int, ring: int, id_hash: int) -> bool:
    """Puts an event id into a ring, oldest first; False when the id was there already."""
    count = s[counter]
    for i in range(ring, ring + count):
        if s[i] == id_hash:
            return False
    if count == RING:
        for i in range(ring, ring + RING - 1):
            s[i] = s[i + 1]
        count -= 1
    s[ring + count] = id_hash
    s[counter] = count + 1
    return True


@njit(cache=True, nogil=True)
def _count(s: Ints, g: Ints, z: Ints, e: Ints, touches: Ints, i: int) -> None:
    """Adds to the lifetime, to a pane and to tables; what is undone leaves the pane of the order it was in."""
    kind, life = g[AT_KIND] + OF_KIND * e[i, KIND], g[LIFE]
    newest_ms = max(s[NEWEST], e[i, AT])
    newest_day = _day(z, s[HOME], newest_ms)
    known_ms, into = np.int64(-1), np.int64(-1)
    for k in range(g[kind + 2], g[kind + 2] + 2 * g[kind + 3], 2):
        cell = g[k]
        amount = e[i, AMOUNTS + cell]
        if amount == 0:
            continue
        moment_ms = e[i, ORDERED] if g[k + 1] else e[i, AT]
        if moment_ms != known_ms:
            known_ms, into = moment_ms, _pane_at(s, g, z, moment_ms, newest_ms, newest_day)
        _add_cell(s, g, life, cell, amount)
        if into >= 0:
            _add_cell(s, g, into, cell, amount)
    for k in range(e[i, TOUCHED], e[i, TOUCHED] + e[i, TOUCHES]):
        moment_ms = touches[k, MOMENT]
        spec = g[AT_TABLE] + 2 * touches[k, TABLE_OF]
        if g[spec] == PLACES and moment_ms != known_ms:
            known_ms, into = moment_ms, _pane_at(s, g, z, moment_ms, newest_ms, newest_day)
        _touch(s, g, z, spec, touches[k, TABLE_OF], touches[k, CODE], touches[k, AMOUNT], moment_ms, into)
    if newest_ms // FIVE_MS != s[NEWEST] // FIVE_MS:
        _coarsen(s, g, newest_ms, newest_day)
    s[NEWEST] = newest_ms


@njit(cache=True, nogil=True)
def _pane_at(s: Ints, g: Ints, z: Ints, moment_ms: int, newest_ms: int, newest_day: int) -> int:
    """Where the cells of a moment's pane start; -1 when it lies further back than any window."""
    day, five = _day(z, s[HOME], moment_ms), moment_ms // FIVE_MS
    level = _level(five, day, newest_ms, newest_day, g[KEPT_DAYS])
    if level == 3:
        return -1
    number = five if level == 0 else five // 12 if level == 1 else 0
    return _pane(s, g[CELLS], g[WIDTH], level, number, day)


# --- tables


@njit(cache=True, nogil=True)
def _touch(s: Ints, g: Ints, z: Ints, spec: int, t: int, code: int, amount: int, moment_ms: int, into: int) -> None:
    """What one value does to a table; `into`: the pane of its moment."""
    how, table = g[spec], g[TABLE_AT] + TABLE * t
    if how == LATEST:
        if s[table] == 0 or moment_ms >= s[table + 1]:
            s[table], s[table + 1], s[table + PAIRS], s[table + PAIRS + 1] = 1, moment_ms, code, amount
    elif how == PLACES:
        place = _placed(s, g, table, code, g[spec + 1])
        if place >= 0 and into >= 0:
            s[into + g[spec + 1]] |= np.int64(1) << place
    elif how == MONTHS:
        _add_month(s, table, _month(_day(z, s[HOME], moment_ms)), amount)
    else:
        _weigh(s, table, code, float(amount), moment_ms, g[spec + 1], ROOM_OF[how])


@njit(cache=True, nogil=True)
def _find(s: Ints, table: int, code: int) -> int:
    """Where the pair of this code stands, or where the next one would."""
    pair = table + PAIRS
    for _ in range(s[table]):
        if s[pair] == code:
            break
        pair += 2
    return pair


@njit(cache=True, nogil=True)
def _weigh(s: Ints, table: int, code: int, weight: float, moment_ms: int, half_life_ms: int, room: int) -> None:
    """Adds a weight that halves with every half-life; of too many, the lightest falls out."""
    weights = s.view(np.float64)
    end = table + PAIRS + 2 * s[table]
    if s[table] == 0:
        s[table + 1] = moment_ms
    elif moment_ms > s[table + 1]:
        factor = _half(moment_ms - s[table + 1], half_life_ms)
        for pair in range(table + PAIRS, end, 2):
            weights[pair + 1] *= factor
        s[table + 1] = moment_ms
    else:
        weight *= _half(s[table + 1] - moment_ms, half_life_ms)
    pair = _find(s, table, code)
    if pair < end:
        weights[pair + 1] += weight
        return
    if s[table] == room:
        pair = table + PAIRS
        for other in range(pair + 2, end, 2):
            if weights[other + 1] < weights[pair + 1]:
                pair = other
    else:
        s[table] += 1
    s[pair], weights[pair + 1] = code, weight


@njit(cache=True, nogil=True)
def _half(passed_ms: int, half_life_ms: int) -> float:
    """What is left of 1."""
    return float(np.exp(-LN2 * passed_ms / half_life_ms))


@njit(cache=True, nogil=True)
def _placed(s: Ints, g: Ints, table: int, code: int, cell: int) -> int:
    """The bit that stands for this code in the panes' sets; one that no pane holds is given anew. -1: none is left."""
    pair = _find(s, table, code)
    place = (pair - table - PAIRS) // 2
    if place == s[table]:
        if place == ROOM_OF[PLACES]:
            place = _unused(s, g, cell)
            if place < 0:
                return -1
        else:
            s[table] += 1
        s[table + PAIRS + 2 * place], s[table + PAIRS + 2 * place + 1] = code, 0
    return place


@njit(cache=True, nogil=True)
def _unused(s: Ints, g: Ints, cell: int) -> int:
    used = np.int64(0)
    for p in range(s[N_PANES]):
        used |= s[g[CELLS] + p * g[WIDTH] + cell]
    for place in range(ROOM_OF[PLACES]):
        if not (used >> place) & 1:
            return place
    return -1


@njit(cache=True, nogil=True)
def _month(day: int) -> int:
    """Months since year 0 of a proleptic ordinal; http://howardhinnant.github.io/date_algorithms.html"""
    z = day + 305  # from 1 March of the year 0
    era = z // 146097
    of_era = z - era * 146097
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    return 12 * (year + 400 * era) + 2 + (5 * of_year + 2) // 153


@njit(cache=True, nogil=True)
def _add_month(s: Ints, table: int, month: int, amount: int) -> None:
    """Adds to a month's sum; of too many months the first falls out."""
    pair, room = _find(s, table, month), ROOM_OF[MONTHS]
    if pair == table + PAIRS + 2 * s[table]:
        if s[table] == room:
            pair = table + PAIRS
            for other in range(pair + 2, table + PAIRS + 2 * room, 2):
                if s[other] < s[pair]:
                    pair = other
            if month < s[pair]:
                return
        else:
            s[table] += 1
        s[pair], s[pair + 1] = month, 0
    s[pair + 1] += amount


@njit(cache=True, nogil=True)
def _add_time(s: Ints, table: int, at_ms: int) -> None:
    """Keeps the latest times, sorted."""
    start, count = table + PAIRS, s[table]
    if count == ROOM_OF[TIMES]:
        if at_ms < s[start]:
            return
        for pair in range(start, start + 2 * (count - 1), 2):
            s[pair] = s[pair + 2]
        count -= 1
    pair = start + 2 * count
    while pair > start and s[pair - 2] > at_ms:
        s[pair] = s[pair - 2]
        pair -= 2
    s[pair] = at_ms
    s[start + 2 * count + 1] = 0
    s[table] = count + 1


@njit(cache=True, nogil=True)
def _drop_time(s: Ints, table: int, at_ms: int) -> None:
    pair, end = _find(s, table, at_ms), table + PAIRS + 2 * s[table]
    if pair < end:
        s[table] -= 1
        for other in range(pair, end - 2, 2):
            s[other] = s[other + 2]


@njit(cache=True, nogil=True)
def _note(s: Ints, g: Ints, e: Ints, i: int) -> None:
    """Complaints and consent."""
    kind, word = e[i, KIND], e[i, WORD]
    if kind == g[COMPLAINT]:
        if s[N_CASES] == CASES:
            for c in range(CASE, CASE + CASES - 1):
                s[c] = s[c + 1]
            s[N_CASES] -= 1
        s[CASE + s[N_CASES]] = word
        s[N_CASES] += 1
    elif kind == g[ANSWERED] and e[i, FLAG]:
        for c in range(CASE, CASE + s[N_CASES]):
            if s[c] == word:
                for d in range(c, CASE + s[N_CASES] - 1):
                    s[d] = s[d + 1]
                s[N_CASES] -= 1
                break
    elif kind == g[CONSENT]:
        _consent(s, word, e[i, AT], e[i, FLAG])


@njit(cache=True, nogil=True)
def _consent(s: Ints, purpose: int, at_ms: int, granted: int) -> None:
    """The latest word wins; of two at the same instant, the refusal."""
    count = s[N_PURPOSES]
    place, oldest = PURPOSE_OF + 3 * count, PURPOSE_OF
    for p in range(PURPOSE_OF, PURPOSE_OF + 3 * count, 3):
        if s[p] == purpose:
            if at_ms > s[p + 1] or (at_ms == s[p + 1] and not granted):
                s[p + 1], s[p + 2] = at_ms, granted
            return
        if s[p + 1] < s[oldest + 1]:
            oldest = p
    if count == PURPOSES:  # the one that was spoken of longest ago falls out
        place = oldest
    else:
        s[N_PURPOSES] += 1
    s[place], s[place + 1], s[place + 2] = purpose, at_ms, granted


@njit(cache=True, nogil=True)
def _consented(s: Ints, purpose: int) -> int:
    for p in range(PURPOSE_OF, PURPOSE_OF + 3 * s[N_PURPOSES], 3):
        if s[p] == purpose:
            return s[p + 2]
    return np.int64(0)


# --- the feature row


@njit(cache=True, nogil=True)
def _total(s: Ints, g: Ints, at_ms: int, today: int) -> None:
    """The cells of every window as of `at_ms`, from g[TOTALS] on."""
    width, windows, at_window, totals = g[WIDTH], g[WINDOWS], g[AT_WINDOW], g[TOTALS]
    for w in range(windows):
        whole = g[at_window + 2 * w] == LIFETIME
        for m in range(width):
            s[totals + w * width + m] = s[g[LIFE] + m] if whole else 0
    five, hour = at_ms // FIVE_MS, at_ms // HOUR_MS
    for p in range(s[N_PANES]):
        level, number, day = s[PANE + 3 * p], s[PANE + 3 * p + 1], s[PANE + 3 * p + 2]
        of_hour = number // 12 if level == 0 else number
        for w in range(windows):
            made_of, length = g[at_window + 2 * w], g[at_window + 2 * w + 1]
            if made_of == FIVES:
                inside = level == 0 and five - length <= number <= five
            elif made_of == HOURS:
                inside = level < 2 and hour - length <= of_hour <= hour
            else:
                inside = made_of == DAYS and today - length <= day <= today
            if inside:
                _add_cells(s, g, totals + w * width, s, g[CELLS] + p * width)


@njit(cache=True, nogil=True)
def _fill(s: Ints, g: Ints, at_ms: int, today: int, rows: Floats, r: int) -> None:
    """One value per feature as of `at_ms`, in the order of the catalog; NaN where there is none."""
    _total(s, g, at_ms, today)
    at = 0
    for k in range(g[AT_COLUMN], g[AT_COLUMN] + 3 * g[COLUMNS], 3):
        rows[r, at] = _window_value(g[k], s[g[TOTALS] + g[k + 1]], s[g[TOTALS] + g[k + 2]])
        at += 1
    for k in range(g[AT_READ], g[AT_READ] + 3 * g[READS], 3):
        rows[r, at] = _read(s, g, g[k], g[k + 1], g[k + 2], at_ms, today)
        at += 1
    for k in range(g[AT_RECENCY], g[AT_RECENCY] + 2 * g[RECENCIES], 2):
        rows[r, at] = _since(s[LAST + g[k]], at_ms, g[k + 1])
        at += 1
    orders, last_ms = s[g[LIFE] + g[ORDERS]], s[LAST + g[ORDER]]
    rhythm = (last_ms - s[FIRST]) / DAY_MS / (orders - 1) if last_ms > 0 and orders > 1 else np.nan
    rows[r, at] = rhythm
    rows[r, at + 1] = _since(last_ms, at_ms, DAY_MS) / rhythm if rhythm > 0 else np.nan
    rows[r, at + 2] = _since(s[FIRST], at_ms, DAY_MS)
    rows[r, at + 3] = s[N_CASES]
    _derive(g, rows, r, at + 4)


@njit(cache=True, nogil=True)
def _derive(g: Ints, rows: Floats, r: int, at: int) -> None:
    """Features of features: ratios, bands, segments."""
    for k in range(g[AT_RATIO], g[AT_RATIO] + 2 * g[RATIOS], 2):
        bottom = rows[r, g[k + 1]]
        rows[r, at] = rows[r, g[k]] / bottom if bottom != 0.0 else np.nan
        at += 1
    limits = g.view(np.float64)
    for k in range(g[AT_BAND], g[AT_BAND] + 4 * g[BANDS], 4):
        x, cuts, less = rows[r, g[k]], g[k + 1], g[k + 2]
        reached = 0
        for c in range(g[k + 3], g[k + 3] + cuts):
            reached += x >= limits[c]
        rows[r, at] = np.nan if x != x else 1.0 + (cuts - reached if less else reached)
        at += 1
    for k in range(g[AT_SEGMENT], g[AT_SEGMENT] + 2 * g[SEGMENTS], 2):
        rows[r, at] = _segment(g, limits, rows, r, g[k], g[k + 1])
        at += 1


@njit(cache=True, nogil=True)
def _segment(g: Ints, limits: Floats, rows: Floats, r: int, segments: int, at: int) -> float:
    """The first segment all of whose ranges hold, counted from 1. By segment: how many ranges; column, from, to."""
    for segment in range(segments):
        ranges, inside = g[at], True
        for k in range(at + 1, at + 1 + 3 * ranges, 3):
            x = rows[r, g[k]]
            inside = inside and limits[k + 1] <= x <= limits[k + 2]
        if inside:
            return segment + 1.0
        at += 1 + 3 * ranges
    return np.nan


@njit(cache=True, nogil=True)
def _window_value(how: int, total: int, count: int) -> float:
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


@njit(cache=True, nogil=True)
def _read(s: Ints, g: Ints, what: int, t: int, argument: int, at_ms: int, today: int) -> float:
    """A feature that is read from a table."""
    table = g[TABLE_AT] + TABLE * t
    if what == SPREAD:
        return _spread(s, table)
    if what >= BALANCE:
        return _points(s, g, what, table, today, argument)
    weights = s.view(np.float64)
    if what == WEIGHT:
        if s[table] == 0:
            return 0.0
        return float(weights[table + PAIRS + 1] * _half(at_ms - s[table + 1], g[g[AT_TABLE] + 2 * t + 1]))
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


@njit(cache=True, nogil=True)
def _spread(s: Ints, table: int) -> float:
    """Standard deviation of the gaps between the latest orders, in days; NaN with fewer than two gaps."""
    gaps, start = s[table] - 1, table + PAIRS
    if gaps < 2:
        return np.nan
    mean = (s[start + 2 * gaps] - s[start]) / gaps
    squares = 0.0
    for pair in range(start, start + 2 * gaps, 2):
        squares += (s[pair + 2] - s[pair] - mean) ** 2
    return float(np.sqrt(squares / gaps) / DAY_MS)


@njit(cache=True, nogil=True)
def _points(s: Ints, g: Ints, what: int, earned: int, today: int, valid: int) -> float:
    """Points as of a day: what a month's net spend earned is good for `valid` months more, and is spent oldest first.

    The table of what was earned stands before that of what was spent.
    """
    if s[earned] == 0:
        return 0.0
    now, spent = _month(today), earned + TABLE
    left = np.zeros(ROOM_OF[MONTHS], np.int64)
    total = np.int64(0)
    for k in range(s[earned]):
        month, cents = s[earned + PAIRS + 2 * k], s[earned + PAIRS + 2 * k + 1]
        left[k] = max(0, cents) // g[POINT_CENTS] if month <= now else 0
        total += left[k] if month > now - 12 else 0
    if what == EARNED:
        return float(total)
    done = np.int64(-1)
    while True:
        month = _next_month(s, spent, done, now)
        if month < 0:
            break
        _spend(s, earned, left, month, valid, s[_find(s, spent, month) + 1])
        done = month
    balance = expiring = np.int64(0)
    for k in range(s[earned]):
        month = s[earned + PAIRS + 2 * k]
        balance += left[k] if now <= month + valid else 0
        expiring += left[k] if now == month + valid else 0
    return float(balance if what == BALANCE else expiring)


@njit(cache=True, nogil=True)
def _spend(s: Ints, earned: int, left: Ints, month: int, valid: int, points: int) -> None:
    """Takes the points of one month from those that were good then, oldest first."""
    source = np.int64(-1)
    while points > 0:
        source = _next_month(s, earned, source, month)
        if source < 0:
            return
        if month <= source + valid:
            k = (_find(s, earned, source) - earned - PAIRS) // 2
            taken = min(points, left[k])
            left[k] -= taken
            points -= taken


@njit(cache=True, nogil=True)
def _next_month(s: Ints, table: int, after: int, until: int) -> int:
    """The first month of a table after one and not later than another; -1: none."""
    found = np.int64(-1)
    for pair in range(table + PAIRS, table + PAIRS + 2 * s[table], 2):
        if after < s[pair] <= until and (found < 0 or s[pair] < found):
            found = s[pair]
    return found


@njit(cache=True, nogil=True)
def _since(then_ms: int, at_ms: int, unit_ms: int) -> float:
    return max(0, at_ms - then_ms) / unit_ms if then_ms > 0 else np.nan


@njit(cache=True, nogil=True)
def _ask(s: Ints, g: Ints, z: Ints, at_ms: int, rows: Floats, asked: Ints, r: int) -> None:
    """Writes a row as of `at_ms`, with what conditions and policy need of then."""
    local_ms = at_ms + _offset_ms(z, max(0, s[HOME]), at_ms)
    _fill(s, g, at_ms, local_ms // DAY_MS + EPOCH_DAY, rows, r)
    asked[r, AS_OF], asked[r, LOCAL], asked[r, CONSENTED] = at_ms, local_ms, _consented(s, g[PURPOSE])


# --- timers: rules that look again after a while, and the label that comes late


@njit(cache=True, nogil=True)
def _arm(s: Ints, rule: int, due_ms: int, clock_ms: int) -> None:
    """Sets a rule's timer anew. One that is due already fires when the clock moves next, not before."""
    end = TIMER + 3 * s[N_TIMERS]
    place, latest = end, TIMER
    for t in range(TIMER, end, 3):
        if s[t] == rule:
            place = t
        if s[t + 1] > s[latest + 1]:
            latest = t
    if place == end and s[N_TIMERS] == TIMERS:
        place = latest
    elif place == end:
        s[N_TIMERS] += 1
    s[place], s[place + 1], s[place + 2] = rule, due_ms, max(0, clock_ms + 1 - due_ms)
    _wake_by(s, due_ms + s[place + 2])


@njit(cache=True, nogil=True)
def _wake_by(s: Ints, at_ms: int) -> None:
    """The customer is looked at no later than then; a timer that is put off leaves the earlier look where it is."""
    if s[WAKE] == 0 or at_ms < s[WAKE]:
        s[WAKE] = at_ms


@njit(cache=True, nogil=True)
def _next_timer(s: Ints, clock_ms: int) -> int:
    """Of the timers that the clock has reached, the one due first; -1 for the label, -2 for none."""
    found, due_ms = -2, np.int64(0)
    if s[WAIT_AT] > 0 and s[WAIT_DUE] + s[WAIT_GRACE] <= clock_ms:
        found, due_ms = -1, s[WAIT_DUE]
    for t in range(TIMER, TIMER + 3 * s[N_TIMERS], 3):
        if s[t + 1] + s[t + 2] <= clock_ms:
            sooner = found == -2 or s[t + 1] < due_ms
            if sooner or (found >= 0 and s[t + 1] == due_ms and s[t] < s[found]):
                found, due_ms = t, s[t + 1]
    return found


@njit(cache=True, nogil=True)
def _rest(s: Ints) -> None:
    """After the timers have fired: the next look, if any."""
    s[WAKE] = s[WAIT_DUE] + s[WAIT_GRACE] if s[WAIT_AT] > 0 else 0
    for t in range(TIMER, TIMER + 3 * s[N_TIMERS], 3):
        _wake_by(s, s[t + 1] + s[t + 2])


@njit(cache=True, nogil=True)
def _fire(
    s: Ints, g: Ints, z: Ints, clock_ms: int, who: int, rows: Floats, asked: Ints, r: int, out: Labels, n: int
) -> tuple[int, int]:
    """Fires what the clock has reached; how many rows are asked and labelled then, -1 when there is no room."""
    while True:
        t = _next_timer(s, clock_ms)
        if t == -2:
            break
        if t == -1:
            _label(s, g, who, s[WAIT_DUE], 1, out, n)
            n += 1
            s[WAIT_AT] = 0
            continue
        if r == len(asked):
            return -1, n
        asked[r, WHO], asked[r, EVENT], asked[r, RULE], asked[r, FIRES] = who, -1, s[t], s[t + 1] + s[t + 2]
        _ask(s, g, z, s[t + 1], rows, asked, r)
        r += 1
        s[N_TIMERS] -= 1
        for k in range(t, TIMER + 3 * s[N_TIMERS]):
            s[k] = s[k + 3]
    _rest(s)
    return r, n


@njit(cache=True, nogil=True)
def _label(s: Ints, g: Ints, who: int, known_ms: int, label: int, out: Labels, n: int) -> None:
    """The row that waited gets its label."""
    inputs, labelled = out
    for k in range(g[INPUTS]):
        inputs[n, k] = s[g[WAITING] + k]
    labelled[n, WHO], labelled[n, SCORED], labelled[n, KNOWN], labelled[n, LABEL] = who, s[WAIT_AT], known_ms, label


@njit(cache=True, nogil=True)
def _ordered(s: Ints, g: Ints, at_ms: int, clock_ms: int, bits: Ints, r: int) -> None:
    """The row of the latest order so far waits for its label."""
    for k in range(g[INPUTS]):
        s[g[WAITING] + k] = bits[r, g[g[AT_INPUT] + k]]
    s[WAIT_AT], s[WAIT_DUE] = at_ms, at_ms + g[HORIZON_MS]
    s[WAIT_GRACE] = max(0, clock_ms + 1 - s[WAIT_DUE])
    _wake_by(s, s[WAIT_DUE] + s[WAIT_GRACE])


@njit(cache=True, nogil=True)
def _grown(out: Bytes, at: int, room: int) -> Bytes:
    if at + room <= len(out):
        return out
    bigger = np.empty(2 * len(out) + room, np.uint8)
    bigger[:at] = out[:at]
    return bigger


@njit(cache=True, nogil=True)
def _apply(
    s: Ints,
    g: Ints,
    z: Ints,
    e: Ints,
    touches: Ints,
    i: int,
    who: int,
    rows: Floats,
    asked: Ints,
    r: int,
    out: Labels,
    n: int,
) -> tuple[int, int, bool]:
    """Applies an event; how many rows are asked (-1: no room) and labelled then, and whether it came before."""
    kind, at_ms, clock_ms = e[i, KIND], e[i, AT], e[i, CLOCK]
    of_kind = g[AT_KIND] + OF_KIND * kind
    deal = g[of_kind] != 0
    if not _remember(s, N_DEALS if deal else N_SEEN, DEALS if deal else SEEN, e[i, ID]):
        return r, n, True
    if e[i, ZONE] >= 0 or s[HOME] < 0:
        s[HOME] = max(0, e[i, ZONE])
    _count(s, g, z, e, touches, i)
    newest = at_ms > s[LAST + kind]
    s[LAST + kind] = max(s[LAST + kind], at_ms)
    if kind == g[ORDER]:
        s[FIRST] = min(s[FIRST], at_ms) if s[FIRST] > 0 else at_ms
        _add_time(s, g[TABLE_AT], at_ms)
    elif kind == g[VOID]:
        _drop_time(s, g[TABLE_AT], e[i, ORDERED])
    else:
        _note(s, g, e, i)
    if g[of_kind + 1]:
        if r == len(asked):
            return -1, n, False
        asked[r, WHO], asked[r, EVENT], asked[r, RULE], asked[r, FIRES] = who, i, 0, 0
        _ask(s, g, z, at_ms, rows, asked, r)
        if kind == g[ORDER] and newest and g[HORIZON_MS] > 0:
            if s[WAIT_AT] > 0:
                _label(s, g, who, at_ms, at_ms >= s[WAIT_DUE], out, n)
                n += 1
            _ordered(s, g, at_ms, clock_ms, rows.view(np.int64), r)
        r += 1
    if newest:
        for k in range(g[of_kind + 4], g[of_kind + 4] + 2 * g[of_kind + 5], 2):
            _arm(s, g[k], at_ms + g[k + 1], clock_ms)
    return r, n, False


@njit(cache=True, nogil=True)
def advance(
    g: Ints,
    z: Ints,
    e: Ints,
    touches: Ints,
    order: Ints,
    ends: Ints,
    clock_ms: int,
    blob: Bytes,
    blob_ends: Ints,
    features: int,
    room: int,
) -> Outcome:
    """Every customer's record after the batch, the rows that were asked for, the rows that got their label.

    `order` and `ends` group the events by customer; `clock_ms` is the partition's clock after the batch.
    `blob` holds the customers' records one behind the other, nothing for a new customer. `room`: rows.
    """
    customers, events = len(blob_ends), len(e)
    s = _new_state(g)
    out = np.empty(len(blob) + 256 * (customers + 1), np.uint8)
    out_ends, ledgers = np.zeros(customers, np.int64), np.zeros(customers, np.int64)
    wakes, repeated = np.zeros((customers, 2), np.int64), np.zeros(events, np.uint8)
    rows, asked = np.empty((room, features), np.float64), np.empty((room, ASKED), np.int64)
    inputs = np.empty((events + customers, g[INPUTS]), np.int64)
    labelled = np.empty((events + customers, LABELLED), np.int64)
    r, n, at, status, detail = np.int64(0), np.int64(0), np.int64(0), DONE, np.int64(0)
    start, first = np.int64(0), np.int64(0)
    for c in range(customers):
        status, detail, ledger = _unpack(blob, start, blob_ends[c], s, g, z)
        if status != DONE:
            detail = detail if status == NEEDS_ZONE else np.int64(c)
            break
        wakes[c, 0] = s[WAKE]
        for k in range(first, ends[c]):
            i = order[k]
            if r >= 0 and 0 < s[WAKE] <= e[i, CLOCK]:
                r, n = _fire(s, g, z, e[i, CLOCK], c, rows, asked, r, (inputs, labelled), n)
            if r >= 0:
                r, n, repeated[i] = _apply(s, g, z, e, touches, i, c, rows, asked, r, (inputs, labelled), n)
        if r >= 0 and 0 < s[WAKE] <= clock_ms:
            r, n = _fire(s, g, z, clock_ms, c, rows, asked, r, (inputs, labelled), n)
        if r < 0:
            status = NEEDS_ROOM
            break
        wakes[c, 1] = s[WAKE]
        tail = blob_ends[c] - ledger
        out = _grown(out, at, _room(s, g) + tail)
        at = _pack(out, at, s, g, z)
        ledgers[c] = at
        out[at : at + tail] = blob[ledger : blob_ends[c]]
        at += tail
        out_ends[c] = at
        start, first = blob_ends[c], ends[c]
    r = max(r, 0)
    return Outcome(
        status, detail, out[:at], out_ends, ledgers, wakes, repeated, rows[:r], asked[:r], inputs[:n], labelled[:n]
    )


# --- two records become one: a line for each field. Both were unpacked under the same program


@njit(cache=True, nogil=True)
def _merge(s: Ints, t: Ints, g: Ints, z: Ints, clock_ms: int, out: Labels) -> int:
    """Takes the history in `t` into `s`, as if one customer had had it all; how many rows got their label."""
    labelled = _merge_waiting(s, t, g, clock_ms, out)  # this and the timers look at the latest times as they were
    _merge_timers(s, t, g, clock_ms)
    if t[HOME] >= 0 and (s[HOME] < 0 or t[NEWEST] > s[NEWEST]):
        s[HOME] = t[HOME]
    s[FIRST] = min(s[FIRST], t[FIRST]) if s[FIRST] > 0 and t[FIRST] > 0 else max(s[FIRST], t[FIRST])
    _merge_ring(s, t, N_DEALS, DEALS)
    _merge_ring(s, t, N_SEEN, SEEN)
    _merge_cases(s, t)
    for p in range(PURPOSE_OF, PURPOSE_OF + 3 * t[N_PURPOSES], 3):
        _consent(s, t[p], t[p + 1], t[p + 2])
    for k in range(LAST, LAST + g[KINDS]):
        s[k] = max(s[k], t[k])
    _add_cells(s, g, g[LIFE], t, g[LIFE])
    _merge_panes(s, t, g, z)
    _merge_tables(s, t, g)
    s[NEWEST] = max(s[NEWEST], t[NEWEST])
    _rest(s)
    return labelled


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def _merge_cases(s: Ints, t: Ints) -> None:
    """All open complaints; of more than a record holds, the other's oldest are left out."""
    for c in range(max(0, t[N_CASES] + s[N_CASES] - CASES), t[N_CASES]):
        s[CASE + s[N_CASES]] = t[CASE + c]
        s[N_CASES] += 1


@njit(cache=True, nogil=True)
def _merge_panes(s: Ints, t: Ints, g: Ints, z: Ints) -> None:
    """Both are brought to the same age first, so that a moment is kept in one kind of pane."""
    newest_ms = max(s[NEWEST], t[NEWEST])
    newest_day = _day(z, max(0, s[HOME]), newest_ms)
    _coarsen(s, g, newest_ms, newest_day)
    _coarsen(t, g, newest_ms, newest_day)
    _rename_places(s, t, g)
    for p in range(t[N_PANES]):
        pane = PANE + 3 * p
        into = _pane(s, g[CELLS], g[WIDTH], t[pane], t[pane + 1], t[pane + 2])
        _add_cells(s, g, into, t, g[CELLS] + p * g[WIDTH])


@njit(cache=True, nogil=True)
def _rename_places(s: Ints, t: Ints, g: Ints) -> None:
    """The other's sets, in the bits that stand for the same codes here; a code that finds no bit is left out."""
    bits = np.empty(ROOM_OF[PLACES], np.int64)
    for k in range(g[TABLES]):
        if g[g[AT_TABLE] + 2 * k] != PLACES:
            continue
        table, cell = g[TABLE_AT] + TABLE * k, g[g[AT_TABLE] + 2 * k + 1]
        for i in range(t[table]):
            bits[i] = _placed(s, g, table, t[table + PAIRS + 2 * i], cell)
        for p in range(t[N_PANES]):
            at = g[CELLS] + p * g[WIDTH] + cell
            before, t[at] = t[at], 0
            for i in range(t[table]):
                if (before >> i) & 1 and bits[i] >= 0:
                    t[at] |= np.int64(1) << bits[i]


@njit(cache=True, nogil=True)
def _merge_tables(s: Ints, t: Ints, g: Ints) -> None:
    weights = t.view(np.float64)
    for k in range(g[TABLES]):
        how, argument, table = g[g[AT_TABLE] + 2 * k], g[g[AT_TABLE] + 2 * k + 1], g[TABLE_AT] + TABLE * k
        if how == LATEST and t[table] > 0 and t[table + 1] > s[table + 1]:
            for i in range(table, table + PAIRS + 2):
                s[i] = t[i]
        for pair in range(table + PAIRS, table + PAIRS + 2 * t[table], 2):
            if how == TIMES:
                _add_time(s, table, t[pair])
            elif how == MONTHS:
                _add_month(s, table, t[pair], t[pair + 1])
            elif how in (WEIGHTS, DECAYED):
                _weigh(s, table, t[pair], weights[pair + 1], t[table + 1], argument, ROOM_OF[how])


@njit(cache=True, nogil=True)
def _due_later(due_ms: int, grace_ms: int, clock_ms: int) -> int:
    """Grace for what another partition's clock may not have reached: it fires when the clock moves next, not before."""
    return max(grace_ms, clock_ms + 1 - due_ms)


@njit(cache=True, nogil=True)
def _merge_timers(s: Ints, t: Ints, g: Ints, clock_ms: int) -> None:
    """A rule waits from the latest event of its kind on: the timer of whoever had that one counts, if it still runs."""
    for kind in range(g[KINDS]):
        of_kind, mine_ms, other_ms = g[AT_KIND] + OF_KIND * kind, s[LAST + kind], t[LAST + kind]
        for k in range(g[of_kind + 4], g[of_kind + 4] + 2 * g[of_kind + 5], 2):
            if other_ms > mine_ms:
                _drop_timer(s, g[k])
            else:
                _drop_timer(t, g[k])
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


@njit(cache=True, nogil=True)
def _drop_timer(s: Ints, rule: int) -> None:
    for i in range(TIMER, TIMER + 3 * s[N_TIMERS], 3):
        if s[i] == rule:
            s[N_TIMERS] -= 1
            for k in range(i, TIMER + 3 * s[N_TIMERS]):
                s[k] = s[k + 3]
            break


@njit(cache=True, nogil=True)
def _merge_waiting(s: Ints, t: Ints, g: Ints, clock_ms: int, out: Labels) -> int:
    """The row of the latest order of both goes on waiting; an order of the other after a row is its label."""
    last, labelled = LAST + g[ORDER], 0
    mine_ms, other_ms = s[last], t[last]
    if s[WAIT_AT] > 0 and other_ms > s[WAIT_AT]:
        _label(s, g, 0, other_ms, other_ms >= s[WAIT_DUE], out, labelled)
        labelled += 1
        s[WAIT_AT] = 0
    if t[WAIT_AT] > 0 and mine_ms > t[WAIT_AT]:
        _label(t, g, 0, mine_ms, mine_ms >= t[WAIT_DUE], out, labelled)
        labelled += 1
    elif t[WAIT_AT] > 0 and other_ms > mine_ms:
        s[g[WAITING] : g[WAITING] + g[INPUTS]] = t[g[WAITING] : g[WAITING] + g[INPUTS]]
        s[WAIT_AT], s[WAIT_DUE] = t[WAIT_AT], t[WAIT_DUE]
        s[WAIT_GRACE] = _due_later(t[WAIT_DUE], t[WAIT_GRACE], clock_ms)
    return labelled


class Merged(NamedTuple):
    status: int
    detail: int  # the zone's crc
    record: Bytes  # without a ledger
    ledger: int  # where the ledger starts in the first record
    other: int  # and in the second, both in `blob`
    wake_ms: int
    inputs: Ints  # [labelled, inputs]: the bits of float64
    labelled: Ints  # [labelled, LABELLED]


@njit(cache=True, nogil=True)
def merge(g: Ints, z: Ints, blob: Bytes, middle: int, end: int, clock_ms: int) -> Merged:
    """Two records that stand one behind the other, with `middle` between them, as one; either may be empty."""
    s, t = _new_state(g), _new_state(g)
    inputs, labelled = np.empty((2, g[INPUTS]), np.int64), np.empty((2, LABELLED), np.int64)
    status, detail, ledger = _unpack(blob, 0, middle, s, g, z)
    other, n, at = np.int64(end), 0, 0
    if status == DONE:
        status, detail, other = _unpack(blob, middle, end, t, g, z)
    if status != DONE:
        return Merged(status, detail, blob[:0].copy(), ledger, other, 0, inputs[:0], labelled[:0])
    if end > middle:
        n = _merge(s, t, g, z, clock_ms, (inputs, labelled))
    out = np.empty(_room(s, g), np.uint8)
    at = _pack(out, 0, s, g, z)
    return Merged(status, detail, out[:at], ledger, other, s[WAKE], inputs[:n], labelled[:n])


@njit(cache=True, nogil=True)
def rows_as_of(g: Ints, z: Ints, blob: Bytes, ends: Ints, at_ms: int, features: int) -> tuple[int, int, int, Floats]:
    """(status, detail, at which record it ended, feature rows) of records one behind the other, as of a time."""
    s, rows = _new_state(g), np.empty((len(ends), features), np.float64)
    status, detail, start = DONE, np.int64(0), np.int64(0)
    for r in range(len(ends)):
        status, detail, _ = _unpack(blob, start, ends[r], s, g, z)
        if status != DONE:
            return status, detail, r, rows
        _fill(s, g, at_ms, _day(z, max(0, s[HOME]), at_ms), rows, r)
        start = ends[r]
    return status, detail, len(ends), rows


@njit(cache=True, nogil=True)
def logits(features: Floats, rows: Ints, columns: Ints, mean: Floats, scale: Floats, weights: Floats) -> Floats:
    """float64[rows]: what the columns of these rows add to the logit of a linear model; see features.models.terms."""
    out = np.zeros(len(rows), np.float64)
    for i in range(len(rows)):
        for k in range(len(columns)):
            x = features[rows[i], columns[k]]
            if x == x:
                out[i] += (np.copysign(np.log1p(abs(x)), x) - mean[k]) / scale[k] * weights[k]
    return out


@njit(cache=True, nogil=True)
def hash_ids(text: Bytes, ends: Ints) -> Ints:
    """64-bit hashes of texts that stand one behind the other: FNV-1a, mixed by MurmurHash3's finalizer."""
    hashes = np.empty(len(ends), np.int64)
    start = np.int64(0)
    for i in range(len(ends)):
        h = np.uint64(0xCBF29CE484222325)
        for k in range(start, ends[i]):
            h = (h ^ np.uint64(text[k])) * np.uint64(0x100000001B3)
        h = (h ^ (h >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
        h = (h ^ (h >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
        hashes[i] = np.int64(h ^ (h >> np.uint64(33)))
        start = ends[i]
    return hashes


def hash_texts(texts: list[str]) -> Ints:
    """`hash_ids` of texts in UTF-8, the same in every process."""
    text = "".join(texts)
    lengths = map(len, texts) if text.isascii() else (len(one.encode()) for one in texts)
    ends = np.fromiter(accumulate(lengths), dtype=np.int64, count=len(texts))
    return hash_ids(np.frombuffer(text.encode() or b"\0", dtype=np.uint8), ends)
