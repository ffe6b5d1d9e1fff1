"""Records by name, kept in one run of bytes with a hash table over it; and commands over many of them.

A table has rows of five: the hash of a name; where the entry starts, plus 1 (0: none); the bytes of the name, of the
record and those there is room for. An entry is the name, then the record.
"""

from __future__ import annotations

import numpy as np

from features.kernel.arrays import Bytes, Ints
from features.kernel.compiled import compiled, inlined, making_arrays
from features.kernel.intrinsics import copy_bytes, fetch_line, read_eight
from features.kernel.words import same

HASH, ENTRY, NAME, RECORD, ROOM, ROW = range(6)
LINE = 64  # bytes of a cache line
NEAR, FAR = 8, 16  # how many names ahead an entry, and a row of the table, are fetched: memory is slow to answer


@compiled
def _code(text: Bytes, start: int, end: int) -> int:
    """64 bits of a name, eight of its bytes at a time; the ends overlap."""
    h = np.uint64(end - start) * np.uint64(0x9E3779B97F4A7C15)
    for k in range(start, end - 7, 8):
        h = (h ^ read_eight(text, k)) * np.uint64(0xFF51AFD7ED558CCD)
        h ^= h >> np.uint64(32)
    for k in range(max(start, end - (end - start) % 8), end):
        h = (h ^ np.uint64(text[k])) * np.uint64(0xFF51AFD7ED558CCD)
    h = (h ^ (h >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return np.int64(h ^ (h >> np.uint64(33)))


@compiled
def _row(table: Ints, kept: Bytes, code: int, names: Bytes, start: int, end: int) -> int:
    """The row of a name, or the empty one where it would stand."""
    mask = len(table) - 1
    row = code & mask
    while table[row, ENTRY] != 0:
        at = table[row, ENTRY] - 1
        if table[row, HASH] == code and same(names, start, end, kept, at, at + table[row, NAME]):
            return row
        row = (row + 1) & mask
    return row


@compiled
def _codes(names: Bytes, bounds: Ints, codes: Ints) -> None:
    for i in range(len(codes)):
        codes[i] = _code(names, bounds[i], bounds[i + 1])


@inlined
def _fetch_ahead(codes: Ints, i: int, table: Ints, kept: Bytes) -> None:
    """The row of a name that comes up, and the entry of one that comes sooner, if it stands in its first row."""
    mask = len(table) - 1
    if i + FAR < len(codes):
        row = 8 * ROW * (codes[i + FAR] & mask)
        fetch_line(table, row)
        fetch_line(table, row + 8 * ROW - 1)
    if i + NEAR < len(codes):
        row = codes[i + NEAR] & mask
        if table[row, HASH] == codes[i + NEAR] and table[row, ENTRY] != 0:
            start = table[row, ENTRY] - 1
            for at in range(start, start + table[row, NAME] + table[row, RECORD], LINE):
                fetch_line(kept, at)


@making_arrays
def take(
    names: Bytes, bounds: Ints, table: Ints, kept: Bytes, old_table: Ints, old_kept: Bytes
) -> tuple[Bytes, Ints, Ints]:
    """(records one behind the other, their starts, their ends) of some names; what the first table holds counts."""
    count = len(bounds) - 1
    rows, starts, ends = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.int64)
    codes, at = np.empty(count, np.int64), np.int64(0)
    _codes(names, bounds, codes)
    for i in range(count):
        _fetch_ahead(codes, i, table, kept)
        _fetch_ahead(codes, i, old_table, old_kept)
        code = codes[i]
        row = _row(table, kept, code, names, bounds[i], bounds[i + 1])
        length = table[row, RECORD]
        if table[row, ENTRY] == 0:
            row = _row(old_table, old_kept, code, names, bounds[i], bounds[i + 1])
            length, row = old_table[row, RECORD], -1 - row
        rows[i], starts[i] = row, at
        at += length
        ends[i] = at
    out = np.empty(at + 1, np.uint8)
    for i in range(count):
        row = rows[i]
        if row >= 0:
            copy_bytes(out, starts[i], kept, table[row, ENTRY] - 1 + table[row, NAME], ends[i] - starts[i])
        elif ends[i] > starts[i]:
            row = -1 - row
            copy_bytes(out, starts[i], old_kept, old_table[row, ENTRY] - 1 + old_table[row, NAME], ends[i] - starts[i])
    return out, starts, ends


@making_arrays
def put(
    names: Bytes, bounds: Ints, text: Bytes, starts: Ints, ends: Ints, table: Ints, kept: Bytes, used: int
) -> tuple[int, int]:
    """(how much of `kept` is used then, how many names are new). There must be room, in the table as well."""
    codes, more = np.empty(len(bounds) - 1, np.int64), 0
    _codes(names, bounds, codes)
    for i in range(len(codes)):
        _fetch_ahead(codes, i, table, kept)
        name, length, code = bounds[i + 1] - bounds[i], ends[i] - starts[i], codes[i]
        row = _row(table, kept, code, names, bounds[i], bounds[i + 1])
        more += table[row, ENTRY] == 0
        if table[row, ENTRY] == 0 or length > table[row, ROOM]:
            room = roomy(length)
            table[row, HASH], table[row, ENTRY], table[row, NAME], table[row, ROOM] = code, used + 1, name, room
            copy_bytes(kept, used, names, bounds[i], name)
            used += name + room
        table[row, RECORD] = length
        copy_bytes(kept, table[row, ENTRY] - 1 + name, text, starts[i], length)
    return used, more


@compiled
def roomy(length: int) -> int:
    """The bytes a record gets: it may grow a little where it stands."""
    return length + length // 2 + 32


@compiled
def drop(names: Bytes, bounds: Ints, table: Ints, kept: Bytes) -> None:
    """From then on there is nothing under these names, as if it had been put."""
    for i in range(len(bounds) - 1):
        code = _code(names, bounds[i], bounds[i + 1])
        table[_row(table, kept, code, names, bounds[i], bounds[i + 1]), RECORD] = 0


@making_arrays
def widened(table: Ints, size: int) -> Ints:
    """The same table with more rows: a power of two, and more than the names in it."""
    wide = np.zeros((size, ROW), np.int64)
    for old in range(len(table)):
        if table[old, ENTRY] != 0:
            row = table[old, HASH] & (size - 1)
            while wide[row, ENTRY] != 0:
                row = (row + 1) & (size - 1)
            wide[row] = table[old]
    return wide


@compiled
def _digits(number: int) -> int:
    digits = 1
    while number >= 10:
        number //= 10
        digits += 1
    return digits


@compiled
def _sized(out: Bytes, at: int, length: int) -> int:
    """Writes `$<length>\\r\\n`; behind it."""
    digits = _digits(length)
    out[at] = 36
    for k in range(digits):
        out[at + digits - k] = 48 + length % 10
        length //= 10
    return _line_end(out, at + digits + 1)


@compiled
def _line_end(out: Bytes, at: int) -> int:
    out[at], out[at + 1] = 13, 10
    return at + 2


@compiled
def _word(out: Bytes, at: int, text: Bytes, start: int, end: int) -> int:
    copy_bytes(out, at, text, start, end - start)
    return at + end - start


@making_arrays
def words_of(names: Bytes, bounds: Ints, text: Bytes, starts: Ints, ends: Ints) -> Bytes:
    """Names and, where there are spans for them, values, as words of a command (RESP)."""
    count, values = len(bounds) - 1, len(starts) > 0
    size = np.int64(0)
    for i in range(count):
        size += bounds[i + 1] - bounds[i] + 26
        if values:
            size += ends[i] - starts[i] + 26
    out, at = np.empty(size, np.uint8), 0
    for i in range(count):
        at = _sized(out, at, bounds[i + 1] - bounds[i])
        at = _line_end(out, _word(out, at, names, bounds[i], bounds[i + 1]))
        if values:
            at = _sized(out, at, ends[i] - starts[i])
            at = _line_end(out, _word(out, at, text, starts[i], ends[i]))
    return out[:at]
