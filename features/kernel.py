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

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from features.times import DAY_MS, EPOCH_DAY, HOUR_MS, MINUTE_MS

# Numba's cache notices a change of this file only: what a compiled function calls, and every number that
# may change and is compiled into it, stands here.
VERSION = 2  # of a record
FIVE_MS = 5 * MINUTE_MS
LATE_MS = DAY_MS  # an event that is later than others by no more than this still finds the short panes of its own time
KEPT_FIVES = (HOUR_MS + LATE_MS) // FIVE_MS + 1
KEPT_HOURS = (DAY_MS + LATE_MS) // HOUR_MS + 1
# what a record holds at the most
RING, CASES, PURPOSES, TIMERS, PANES, MEASURES = 64, 64, 32, 64, 512, 62

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

LIFETIME, FIVES, HOURS, DAYS = 0, 1, 2, 3  # what a window is made of
DONE, NEEDS_ZONE, NEEDS_ROOM, CORRUPT, WRONG_LAYOUT = 0, 1, 2, 3, 4  # how a call ends

# the program: numbers, then where its lists start
(
    LAYOUT,
    WIDTH,  # measures
    KINDS,
    INPUTS,  # of the model that is learned
    WINDOWS,
    RATIOS,
    RECENCIES,
    KEPT_DAYS,
    HORIZON_MS,  # 0: nothing is labelled
    PURPOSE,  # whose consent is told with each row
    ORDERS,  # the measure
    ORDER,  # kinds that mean more than their measures
    COMPLAINT,
    ANSWERED,
    CONSENT,
    AT_WINDOW,  # pairs: what it is made of, how many of that
    AT_RATIO,  # pairs: columns
    AT_RECENCY,  # pairs: kind, unit in ms
    AT_INPUT,  # columns
    AT_KIND,  # by kind: deal, wanted, where its effects start, how many, where its waits start, how many
    PROGRAM,
) = range(21)
OF_KIND = 6

# an event; its amounts by measure follow
KIND, AT, ZONE, ID, ORDERED, WORD, FLAG, CLOCK, AMOUNTS = range(9)

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
LAST = PANE + 3 * PANES  # by kind; then the lifetime, the row that waits, the cells of the panes

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
    return np.zeros(LAST + g[KINDS] + g[INPUTS] + (1 + PANES) * g[WIDTH], np.int64)


# --- bytes: reads past the end leave the position behind the end, which the caller checks once


@njit(cache=True, nogil=True)
def _read_varint(blob: Bytes, at: int, end: int) -> tuple[int, int]:
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
def _read_eights(blob: Bytes, at: int, end: int, bytes_of_s: Bytes, into: int, limit: int) -> tuple[int, int]:
    """A count, and so many times eight bytes."""
    count, at = _read_varint(blob, at, end)
    if not 0 <= count <= limit or at + 8 * count > end:
        return np.int64(0), end + 1
    for i in range(8 * count):
        bytes_of_s[8 * into + i] = blob[at + i]
    return count, at + 8 * count


@njit(cache=True, nogil=True)
def _write_eights(out: Bytes, at: int, bytes_of_s: Bytes, start: int, count: int) -> int:
    at = _write_varint(out, at, count)
    for i in range(8 * count):
        out[at + i] = bytes_of_s[8 * start + i]
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
def _read_cells(blob: Bytes, at: int, end: int, s: Ints, into: int, width: int) -> int:
    """A bit mask of the measures that are not 0, then their amounts, zigzag."""
    mask, at = _read_varint(blob, at, end)
    for m in range(width):
        s[into + m] = 0
        if (mask >> m) & 1:
            raw, at = _read_varint(blob, at, end)
            s[into + m] = ((raw >> 1) & 0x7FFFFFFFFFFFFFFF) ^ -(raw & 1)
    return at


@njit(cache=True, nogil=True)
def _write_cells(out: Bytes, at: int, s: Ints, start: int, width: int) -> int:
    mask = np.int64(0)
    for m in range(width):
        if s[start + m] != 0:
            mask |= np.int64(1) << m
    at = _write_varint(out, at, mask)
    for m in range(width):
        value = s[start + m]
        if value != 0:
            at = _write_varint(out, at, (value << 1) ^ (value >> 63))
    return at


# --- a record, unpacked and packed


@njit(cache=True, nogil=True)
def _unpack(blob: Bytes, at: int, end: int, s: Ints, g: Ints, z: Ints) -> tuple[int, int, int]:
    """(status, detail, where the ledger starts)."""
    width, kinds, inputs = g[WIDTH], g[KINDS], g[INPUTS]
    life = LAST + kinds
    wait, cells = life + width, life + width + inputs
    s[:DEALS] = 0
    s[HOME] = -1
    s[LAST:wait] = 0
    if at == end:
        return DONE, 0, end
    if blob[at] != VERSION:
        return WRONG_LAYOUT, 0, end
    found, at = _read_word(blob, at + 1, end, 4)
    if found != g[LAYOUT]:
        return WRONG_LAYOUT, 0, end
    crc, at = _read_word(blob, at, end, 4)
    for zone in range(z[0]):
        if z[1 + 2 * zone] == crc:
            s[HOME] = zone
    if s[HOME] < 0:
        return NEEDS_ZONE, crc, end
    s[WAKE], at = _read_varint(blob, at, end)
    s[FIRST], at = _read_varint(blob, at, end)
    bytes_of_s = s.view(np.uint8)
    s[N_DEALS], at = _read_eights(blob, at, end, bytes_of_s, DEALS, RING)
    s[N_SEEN], at = _read_eights(blob, at, end, bytes_of_s, SEEN, RING)
    count, at = _read_varint(blob, at, end)
    for _ in range(count):
        kind, at = _read_varint(blob, at, end)
        moment, at = _read_varint(blob, at, end)
        if at > end or not 0 <= kind < kinds:
            return CORRUPT, 0, end
        s[LAST + kind] = moment
        s[NEWEST] = max(s[NEWEST], moment)
    s[N_CASES], at = _read_eights(blob, at, end, bytes_of_s, CASE, CASES)
    s[N_PURPOSES], at = _read_triples(blob, at, end, s, PURPOSE_OF, PURPOSES)
    s[N_TIMERS], at = _read_triples(blob, at, end, s, TIMER, TIMERS)
    s[WAIT_AT], at = _read_varint(blob, at, end)
    if s[WAIT_AT] > 0:
        s[WAIT_DUE], at = _read_varint(blob, at, end)
        s[WAIT_GRACE], at = _read_varint(blob, at, end)
        count, after = _read_varint(blob, at, end)
        if not 0 <= count <= (end - after) // 8:
            return CORRUPT, 0, end
        if count == inputs:
            count, at = _read_eights(blob, at, end, bytes_of_s, wait, inputs)
        else:  # the model sees other features now: what was scored then cannot be learned from
            s[WAIT_AT] = 0
            at = after + 8 * count
    at = _read_cells(blob, at, end, s, life, width)
    count, at = _read_varint(blob, at, end)
    if not 0 <= count <= PANES:
        return CORRUPT, 0, end
    s[N_PANES] = count
    for p in range(count):
        pane = PANE + 3 * p
        s[pane], at = _read_varint(blob, at, end)
        s[pane + 1], at = _read_varint(blob, at, end)
        s[pane + 2], at = _read_varint(blob, at, end)
        at = _read_cells(blob, at, end, s, cells + p * width, width)
    if at > end:
        return CORRUPT, 0, end
    return DONE, 0, at


@njit(cache=True, nogil=True)
def _room(s: Ints, g: Ints) -> int:
    """No record takes more bytes than this, its ledger left out."""
    lists = 8 * (2 * RING + CASES) + 24 * (PURPOSES + TIMERS) + 20 * g[KINDS] + 8 * g[INPUTS]
    return 256 + lists + (24 + 10 * (g[WIDTH] + 1)) * (s[N_PANES] + 1)


@njit(cache=True, nogil=True)
def _pack(out: Bytes, at: int, s: Ints, g: Ints, z: Ints) -> int:
    width, kinds, inputs = g[WIDTH], g[KINDS], g[INPUTS]
    life = LAST + kinds
    wait, cells = life + width, life + width + inputs
    out[at] = VERSION
    at = _write_word(out, at + 1, g[LAYOUT], 4)
    at = _write_word(out, at, z[1 + 2 * max(0, s[HOME])], 4)
    at = _write_varint(out, at, s[WAKE])
    at = _write_varint(out, at, s[FIRST])
    bytes_of_s = s.view(np.uint8)
    at = _write_eights(out, at, bytes_of_s, DEALS, s[N_DEALS])
    at = _write_eights(out, at, bytes_of_s, SEEN, s[N_SEEN])
    known = 0
    for kind in range(kinds):
        known += s[LAST + kind] > 0
    at = _write_varint(out, at, known)
    for kind in range(kinds):
        if s[LAST + kind] > 0:
            at = _write_varint(out, at, kind)
            at = _write_varint(out, at, s[LAST + kind])
    at = _write_eights(out, at, bytes_of_s, CASE, s[N_CASES])
    at = _write_triples(out, at, s, PURPOSE_OF, s[N_PURPOSES])
    at = _write_triples(out, at, s, TIMER, s[N_TIMERS])
    at = _write_varint(out, at, s[WAIT_AT])
    if s[WAIT_AT] > 0:
        at = _write_varint(out, at, s[WAIT_DUE])
        at = _write_varint(out, at, s[WAIT_GRACE])
        at = _write_eights(out, at, bytes_of_s, wait, inputs)
    at = _write_cells(out, at, s, life, width)
    at = _write_varint(out, at, s[N_PANES])
    for p in range(s[N_PANES]):
        pane = PANE + 3 * p
        at = _write_varint(out, at, s[pane])
        at = _write_varint(out, at, s[pane + 1])
        at = _write_varint(out, at, s[pane + 2])
        at = _write_cells(out, at, s, cells + p * width, width)
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
def _coarsen(s: Ints, cells: int, width: int, newest_ms: int, newest_day: int, kept_days: int) -> None:
    """Merges panes that have aged into coarser ones, and drops what no window reaches any more."""
    count, kept, changed = s[N_PANES], 0, False
    for p in range(count):
        pane = PANE + 3 * p
        level, number, day = s[pane], s[pane + 1], s[pane + 2]
        five = number if level == 0 else number * 12 + 11 if level == 1 else -1
        now = max(level, _level(five, day, newest_ms, newest_day, kept_days))
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
            for m in range(width):
                s[cells + into * width + m] += s[cells + p * width + m]
            continue
        if changed:
            pane = PANE + 3 * kept
            s[pane], s[pane + 1], s[pane + 2] = now, number, day
            for m in range(width):
                s[cells + kept * width + m] = s[cells + p * width + m]
        kept += 1
    s[N_PANES] = kept


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
def _count(s: Ints, g: Ints, z: Ints, e: Ints, i: int) -> None:
    """Adds to the lifetime and to a pane; what is undone leaves the pane of the order it was in."""
    width, kind = g[WIDTH], g[AT_KIND] + OF_KIND * e[i, KIND]
    life = LAST + g[KINDS]
    cells = life + width + g[INPUTS]
    newest_ms = max(s[NEWEST], e[i, AT])
    newest_day = _day(z, s[HOME], newest_ms)
    known_ms, into, skip = np.int64(-1), 0, False
    for k in range(g[kind + 2], g[kind + 2] + 2 * g[kind + 3], 2):
        measure = g[k]
        amount = e[i, AMOUNTS + measure]
        if amount == 0:
            continue
        s[life + measure] += amount
        moment_ms = e[i, ORDERED] if g[k + 1] else e[i, AT]
        if moment_ms != known_ms:
            known_ms = moment_ms
            day, five = _day(z, s[HOME], moment_ms), moment_ms // FIVE_MS
            level = _level(five, day, newest_ms, newest_day, g[KEPT_DAYS])
            skip = level == 3
            if not skip:
                number = five if level == 0 else five // 12 if level == 1 else 0
                into = _pane(s, cells, width, level, number, day)
        if not skip:
            s[into + measure] += amount
    if newest_ms // FIVE_MS != s[NEWEST] // FIVE_MS:
        _coarsen(s, cells, width, newest_ms, newest_day, g[KEPT_DAYS])
    s[NEWEST] = newest_ms


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
def _fill(s: Ints, g: Ints, at_ms: int, today: int, rows: Floats, r: int) -> None:
    """One value per feature as of `at_ms`, in the order of the catalog; NaN where there is none."""
    width, windows, at_window = g[WIDTH], g[WINDOWS], g[AT_WINDOW]
    life = LAST + g[KINDS]
    cells = life + width + g[INPUTS]
    for w in range(windows):
        whole = g[at_window + 2 * w] == LIFETIME
        for m in range(width):
            rows[r, w * width + m] = s[life + m] if whole else 0.0
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
                for m in range(width):
                    rows[r, w * width + m] += s[cells + p * width + m]
    at = windows * width
    for k in range(g[AT_RATIO], g[AT_RATIO] + 2 * g[RATIOS], 2):
        bottom = rows[r, g[k + 1]]
        rows[r, at] = rows[r, g[k]] / bottom if bottom != 0.0 else np.nan
        at += 1
    for k in range(g[AT_RECENCY], g[AT_RECENCY] + 2 * g[RECENCIES], 2):
        rows[r, at] = _since(s[LAST + g[k]], at_ms, g[k + 1])
        at += 1
    orders, last_ms = s[life + g[ORDERS]], s[LAST + g[ORDER]]
    rhythm = (last_ms - s[FIRST]) / DAY_MS / (orders - 1) if last_ms > 0 and orders > 1 else np.nan
    rows[r, at] = rhythm
    rows[r, at + 1] = _since(last_ms, at_ms, DAY_MS) / rhythm if rhythm > 0 else np.nan
    rows[r, at + 2] = _since(s[FIRST], at_ms, DAY_MS)
    rows[r, at + 3] = s[N_CASES]


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
    wait = LAST + g[KINDS] + g[WIDTH]
    for k in range(g[INPUTS]):
        inputs[n, k] = s[wait + k]
    labelled[n, WHO], labelled[n, SCORED], labelled[n, KNOWN], labelled[n, LABEL] = who, s[WAIT_AT], known_ms, label


@njit(cache=True, nogil=True)
def _ordered(s: Ints, g: Ints, at_ms: int, clock_ms: int, bits: Ints, r: int) -> None:
    """The row of the latest order so far waits for its label."""
    wait = LAST + g[KINDS] + g[WIDTH]
    for k in range(g[INPUTS]):
        s[wait + k] = bits[r, g[g[AT_INPUT] + k]]
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
    s: Ints, g: Ints, z: Ints, e: Ints, i: int, who: int, rows: Floats, asked: Ints, r: int, out: Labels, n: int
) -> tuple[int, int, bool]:
    """Applies an event; how many rows are asked (-1: no room) and labelled then, and whether it came before."""
    kind, at_ms, clock_ms = e[i, KIND], e[i, AT], e[i, CLOCK]
    of_kind = g[AT_KIND] + OF_KIND * kind
    deal = g[of_kind] != 0
    if not _remember(s, N_DEALS if deal else N_SEEN, DEALS if deal else SEEN, e[i, ID]):
        return r, n, True
    if e[i, ZONE] >= 0 or s[HOME] < 0:
        s[HOME] = max(0, e[i, ZONE])
    _count(s, g, z, e, i)
    newest = at_ms > s[LAST + kind]
    s[LAST + kind] = max(s[LAST + kind], at_ms)
    if kind == g[ORDER]:
        s[FIRST] = min(s[FIRST], at_ms) if s[FIRST] > 0 else at_ms
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
                r, n, repeated[i] = _apply(s, g, z, e, i, c, rows, asked, r, (inputs, labelled), n)
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
