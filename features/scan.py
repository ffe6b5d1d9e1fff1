"""Scans a batch of JSON objects for wanted fields, compiled: numbers, and where texts stand.

It knows the JSON that ingest writes: compact, texts without escapes, whole numbers of up to 18 digits, plain decimals.
An object with anything else (an escape, white space, an exponent, a wrong type, broken bytes) is left alone.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

# Numba's cache notices a change of this file only, so nothing compiled here comes from elsewhere.
Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

TEXT, WHOLE, FLAG, DECIMAL, LINES, OPTIONS = range(6)  # how a value is read
NESTED = 8  # deeper JSON is left to msgspec
DIGITS, DECIMALS = 18, 15
QUOTE, BACKSLASH, COMMA, COLON, MINUS, DOT, ZERO, NINE = 34, 92, 44, 58, 45, 46, 48, 57
OPEN, CLOSE, OPEN_LIST, CLOSE_LIST = 123, 125, 91, 93
LARGE = 10**12  # decimals, and whole numbers in lines, are not beyond that: sums of them fit


# --- words


@njit(cache=True, nogil=True)
def _slot(text: Bytes, start: int, end: int) -> int:
    """Where to look first for a text."""
    if start == end:
        return 0
    return (
        np.int64(text[start]) * 7 + np.int64(text[(start + end) // 2]) * 31 + np.int64(text[end - 1]) * 3 + end - start
    )


@njit(cache=True, nogil=True)
def _same(text: Bytes, start: int, end: int, other: Bytes, at: int, stop: int) -> bool:
    same, k = end - start == stop - at, 0
    while same and k < end - start:
        same = text[start + k] == other[at + k]
        k += 1
    return same


@njit(cache=True, nogil=True)
def _word(text: Bytes, start: int, end: int, known: Bytes, known_ends: Ints, slots: Ints) -> int:
    mask = len(slots) - 1
    slot = _slot(text, start, end) & mask
    while slots[slot] >= 0:
        word = slots[slot]
        if _same(text, start, end, known, known_ends[word - 1] if word else 0, known_ends[word]):
            return word
        slot = (slot + 1) & mask
    return -1


@njit(cache=True, nogil=True)
def slots(known: Bytes, ends: Ints, size: int) -> Ints:
    """The hash table of some words: their numbers, -1 where there is none."""
    table, start = np.full(size, -1, np.int64), np.int64(0)
    for word in range(len(ends)):
        slot = _slot(known, start, ends[word]) & (size - 1)
        while table[slot] >= 0:
            slot = (slot + 1) & (size - 1)
        table[slot] = word
        start = ends[word]
    return table


@njit(cache=True, nogil=True)
def find(text: Bytes, starts: Ints, ends: Ints, known: Bytes, known_ends: Ints, slots: Ints) -> Ints:
    """By text: its number among the known ones, or -1."""
    out = np.empty(len(starts), np.int64)
    for i in range(len(starts)):
        out[i] = _word(text, starts[i], ends[i], known, known_ends, slots)
    return out


@njit(cache=True, nogil=True)
def _hash(text: Bytes, start: int, end: int) -> int:
    """64 bits: FNV-1a, mixed by MurmurHash3's finalizer; features.kernel.hash_ids says the same."""
    h = np.uint64(0xCBF29CE484222325)
    for k in range(start, end):
        h = (h ^ np.uint64(text[k])) * np.uint64(0x100000001B3)
    h = (h ^ (h >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    h = (h ^ (h >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return np.int64(h ^ (h >> np.uint64(33)))


@njit(cache=True, nogil=True)
def hashes(text: Bytes, starts: Ints, ends: Ints) -> Ints:
    """64-bit hashes of texts, the same in every process."""
    out = np.empty(len(starts), np.int64)
    for i in range(len(starts)):
        out[i] = _hash(text, starts[i], ends[i])
    return out


@njit(cache=True, nogil=True)
def group(text: Bytes, starts: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """(by text: its number among the different ones, by number: which text was the first of it)."""
    size = 64
    while size < 2 * len(starts):
        size *= 2
    slots = np.full(size, -1, np.int64)
    who, first, count = np.empty(len(starts), np.int64), np.empty(len(starts), np.int64), 0
    for i in range(len(starts)):
        slot = _hash(text, starts[i], ends[i]) & (size - 1)
        while slots[slot] >= 0:
            other = first[slots[slot]]
            if _same(text, starts[i], ends[i], text, starts[other], ends[other]):
                break
            slot = (slot + 1) & (size - 1)
        if slots[slot] < 0:
            slots[slot], first[count] = count, i
            count += 1
        who[i] = slots[slot]
    return who, first[:count]


# --- JSON: each function is told where to begin and says where it ended, -1 for what it does not know


@njit(cache=True, nogil=True)
def _text(text: Bytes, at: int, end: int) -> int:
    """The closing quote of a text that begins at `at`, its opening quote left out."""
    while at < end:
        byte = text[at]
        if byte == QUOTE:
            return at
        if byte == BACKSLASH or byte < 32:
            return -1
        if byte < 128:
            at += 1
            continue
        more = _wide(text, at, end)
        if more < 0:
            return -1
        at += more
    return -1


@njit(cache=True, nogil=True)
def _wide(text: Bytes, at: int, end: int) -> int:
    """The length of a UTF-8 sequence of 2 to 4 bytes; -1 for what is none (Unicode, table 3-7)."""
    lead, low, high = text[at], 0x80, 0xBF
    if 0xC2 <= lead <= 0xDF:
        more = 2
    elif 0xE0 <= lead <= 0xEF:
        more = 3
        low, high = 0xA0 if lead == 0xE0 else low, 0x9F if lead == 0xED else high
    elif 0xF0 <= lead <= 0xF4:
        more = 4
        low, high = 0x90 if lead == 0xF0 else low, 0x8F if lead == 0xF4 else high
    else:
        return -1
    if at + more > end or not low <= text[at + 1] <= high:
        return -1
    for k in range(at + 2, at + more):
        if not 0x80 <= text[k] <= 0xBF:
            return -1
    return more


@njit(cache=True, nogil=True)
def _number(text: Bytes, at: int, end: int) -> tuple[int, int, int, int]:
    """(digits as a whole number, how many of them are decimals, how many there are, where it ended)."""
    negative = at < end and text[at] == MINUS
    at += negative
    start, value, dot = at, np.int64(0), -1
    while at < end:
        byte = np.int64(text[at])
        if ZERO <= byte <= NINE:
            if at - start > DIGITS:
                return 0, 0, 0, -1
            value = value * 10 + byte - ZERO
        elif byte == DOT and dot < 0 and at > start:
            dot = at
        else:
            break
        at += 1
    whole = (dot if dot >= 0 else at) - start
    decimals = at - dot - 1 if dot >= 0 else 0
    if whole == 0 or whole + decimals > DIGITS or (dot >= 0 and decimals == 0):
        return 0, 0, 0, -1
    if (text[start] == ZERO and whole > 1) or (negative and value == 0):
        return 0, 0, 0, -1
    return -value if negative else value, decimals, whole + decimals, at


@njit(cache=True, nogil=True)
def _literal(text: Bytes, at: int, end: int) -> tuple[int, int]:
    """(1 for true, 0 for false, -1 for null, where it ended)."""
    for value, letters in ((1, (116, 114, 117, 101)), (-1, (110, 117, 108, 108))):
        same = at + 4 <= end
        for k in range(4):
            same = same and text[at + k] == letters[k]
        if same:
            return value, at + 4
    letters5 = (102, 97, 108, 115, 101)
    if at + 5 > end:
        return 0, -1
    for k in range(5):
        if text[at + k] != letters5[k]:
            return 0, -1
    return 0, at + 5


@njit(cache=True, nogil=True)
def _scalar(text: Bytes, at: int, end: int) -> int:
    """Behind a text, a number or a literal."""
    if at >= end:
        return -1
    if text[at] == QUOTE:
        at = _text(text, at + 1, end)
        return at + 1 if at >= 0 else -1
    if text[at] == MINUS or ZERO <= text[at] <= NINE:
        return _number(text, at, end)[3]
    return _literal(text, at, end)[1]


@njit(cache=True, nogil=True)
def _skip(text: Bytes, at: int, end: int) -> int:
    """Behind any value; `kinds` remembers, a bit a level, which of those that are open are objects."""
    kinds, depth = 0, 0
    while True:
        if at >= end:
            return -1
        opens = text[at] == OPEN or text[at] == OPEN_LIST
        if opens:
            if depth == NESTED:
                return -1
            kinds, depth = kinds << 1 | (text[at] == OPEN), depth + 1
            at += 1
            empty = at < end and text[at] == (CLOSE if kinds & 1 else CLOSE_LIST)
        else:
            at = _scalar(text, at, end)
            empty = False
            if at < 0:
                return -1
        if not opens or empty:  # a value has ended: close what ends with it
            while depth > 0 and at < end and text[at] == (CLOSE if kinds & 1 else CLOSE_LIST):
                kinds, depth = kinds >> 1, depth - 1
                at += 1
            if depth == 0:
                return at
            if at >= end or text[at] != COMMA:
                return -1
            at += 1
        if kinds & 1:
            at = _key(text, at, end)
            if at < 0:
                return -1
            at += 2


@njit(cache=True, nogil=True)
def _key(text: Bytes, at: int, end: int) -> int:
    """The closing quote of a key with its colon, or -1."""
    if at >= end or text[at] != QUOTE:
        return -1
    at = _text(text, at + 1, end)
    return at if at >= 0 and at + 1 < end and text[at + 1] == COLON else -1


@njit(cache=True, nogil=True)
def _value(text: Bytes, at: int, end: int, how: int, largest: int, values: Ints, ends: Ints, field: int, i: int) -> int:
    """Reads a wanted value into its column; behind it."""
    if at >= end:
        return -1
    if how == TEXT:
        if text[at] != QUOTE:
            return -1
        start, at = at + 1, _text(text, at + 1, end)
        values[field, i], ends[field, i] = start, at
        return at + 1 if at >= 0 else -1
    if how == FLAG:
        value, at = _literal(text, at, end)
        values[field, i] = value
        return at if value >= 0 else -1
    number, decimals, digits, at = _number(text, at, end)
    if how == WHOLE:
        if decimals or (largest > 0 and not -largest <= number <= largest):
            return -1
        values[field, i] = number
        return at
    if digits > DECIMALS:
        return -1
    exact = number / 10.0**decimals  # both are exact, so this is the nearest double
    if not -LARGE <= exact <= LARGE:
        return -1
    values.view(np.float64)[field, i] = exact
    return at


Table = tuple[Bytes, Ints, Ints, Ints]


@njit(cache=True, nogil=True)
def _options(text: Bytes, at: int, end: int, options: Table, values: Ints, ends: Ints, first: int, i: int) -> int:
    """Reads the texts of an object into the fields from `first` on; behind it."""
    if at >= end or text[at] != OPEN:
        return -1
    for field in range(first, len(values)):
        values[field, i], ends[field, i] = 0, 0
    at += 1
    if at < end and text[at] == CLOSE:
        return at + 1
    while True:
        start, at = at + 1, _key(text, at, end)
        if at < 0 or at + 2 >= end or text[at + 2] != QUOTE:
            return -1
        option = _word(text, start, at, options[0], options[1], options[2])
        start, at = at + 3, _text(text, at + 3, end)
        if at < 0 or at + 1 >= end:
            return -1
        if option >= 0:
            values[first + option, i], ends[first + option, i] = start, at
        at += 1
        if text[at] == CLOSE:
            return at + 1
        if text[at] != COMMA:
            return -1
        at += 1


@njit(cache=True, nogil=True)
def _line(
    text: Bytes, at: int, end: int, table: Table, options: Table, defaults: Ints, values: Ints, ends: Ints, i: int
) -> int:
    """Reads an object of a list into row `i`; behind it."""
    if at >= end or text[at] != OPEN:
        return -1
    for field in range(len(defaults)):
        values[field, i], ends[field, i] = defaults[field], 0
    at += 1
    if at < end and text[at] == CLOSE:
        return at + 1
    while True:
        start, at = at + 1, _key(text, at, end)
        if at < 0:
            return -1
        field = _word(text, start, at, table[0], table[1], table[2])
        if field < 0:
            at = _skip(text, at + 2, end)
        elif table[3][field] == OPTIONS:
            at = _options(text, at + 2, end, options, values, ends, field, i)
        else:
            at = _value(text, at + 2, end, table[3][field], LARGE, values, ends, field, i)
        if at < 0 or at >= end:
            return -1
        if text[at] == CLOSE:
            return at + 1
        if text[at] != COMMA:
            return -1
        at += 1


@njit(cache=True, nogil=True)
def _lines(
    text: Bytes, at: int, end: int, table: Table, options: Table, defaults: Ints, values: Ints, ends: Ints, first: int
) -> tuple[int, int]:
    """(behind a list of objects, how many there were)."""
    count = 0
    if at >= end or text[at] != OPEN_LIST:
        return -1, 0
    at += 1
    if at < end and text[at] == CLOSE_LIST:
        return at + 1, 0
    while True:
        at = _line(text, at, end, table, options, defaults, values, ends, first + count)
        count += 1
        if at < 0 or at >= end:
            return -1, 0
        if text[at] == CLOSE_LIST:
            return at + 1, count
        if text[at] != COMMA:
            return -1, 0
        at += 1


Found = tuple[Ints, Ints, Ints, Ints, Ints, Ints, Bytes]


@njit(cache=True, nogil=True)
def scan(
    text: Bytes,
    stops: Ints,
    table: Table,
    of_line: Table,
    options: Table,
    defaults: Ints,
    required: int,
    most_lines: int,
) -> Found:
    """The columns of objects that stand one behind the other, and by object whether it was read."""
    count, fields = len(stops), len(table[3]) - 1
    values, ends = np.zeros((fields, count), np.int64), np.zeros((fields, count), np.int64)
    line_values = np.zeros((len(defaults), most_lines), np.int64)
    line_ends = np.zeros((len(defaults), most_lines), np.int64)
    first_line, line_count = np.zeros(count, np.int64), np.zeros(count, np.int64)
    known = np.zeros(count, np.uint8)
    start, lines = np.int64(0), np.int64(0)
    for i in range(count):
        end, at = stops[i], start
        inside = at < end and text[at] == OPEN
        at += 1
        while inside:
            key, at = at + 1, _key(text, at, end)
            if at < 0:
                break
            field = _word(text, key, at, table[0], table[1], table[2])
            if field < 0:
                at = _skip(text, at + 2, end)
            elif field < fields:
                at = _value(text, at + 2, end, table[3][field], 0, values, ends, field, i)
            else:
                at, line_count[i] = _lines(text, at + 2, end, of_line, options, defaults, line_values, line_ends, lines)
                first_line[i] = lines
                lines += line_count[i]
            if at < 0 or at >= end:
                break
            if text[at] == CLOSE:
                known[i] = at + 1 == end and ends[required, i] > 0
                break
            if text[at] != COMMA:
                break
            at += 1
        if not known[i]:  # nothing of what was read so far may stay
            values[:, i], ends[:, i] = 0, 0
            line_count[i] = 0
        start = end
    return values, ends, line_values[:, :lines], line_ends[:, :lines], first_line, line_count, known
