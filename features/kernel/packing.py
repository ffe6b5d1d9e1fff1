"""The parts of a record's bytes: varints, words, lists, cells.

A read past the end leaves the position behind the end, which the caller checks once.
"""

from __future__ import annotations

import numpy as np

from features.kernel.arrays import WIDTH, Bytes, Ints
from features.kernel.compiled import compiled, inlined
from features.kernel.intrinsics import copy_bytes, lowest_bit


@inlined
def read_varint(blob: Bytes, at: int, end: int) -> tuple[int, int]:
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


@inlined
def read_word(blob: Bytes, at: int, end: int, size: int) -> tuple[int, int]:
    if at + size > end:
        return np.int64(0), end + 1
    value = np.uint64(0)
    for i in range(size):
        value |= np.uint64(blob[at + i]) << np.uint64(8 * i)
    return np.int64(value), at + size


@inlined
def write_varint(out: Bytes, at: int, value: int) -> int:
    left = np.uint64(value)
    while left >= np.uint64(128):
        out[at] = np.uint8((left & np.uint64(127)) | np.uint64(128))
        left >>= np.uint64(7)
        at += 1
    out[at] = np.uint8(left)
    return at + 1


@inlined
def write_word(out: Bytes, at: int, value: int, size: int) -> int:
    left = np.uint64(value)
    for i in range(size):
        out[at + i] = np.uint8((left >> np.uint64(8 * i)) & np.uint64(255))
    return at + size


@inlined
def read_eights(blob: Bytes, at: int, end: int, s: Ints, into: int, limit: int) -> tuple[int, int]:
    """A count, and so many times eight bytes."""
    count, at = read_varint(blob, at, end)
    if not 0 <= count <= limit or at + 8 * count > end:
        return np.int64(0), end + 1
    copy_bytes(s, 8 * into, blob, at, 8 * count)
    return count, at + 8 * count


@inlined
def write_eights(out: Bytes, at: int, s: Ints, start: int, count: int) -> int:
    at = write_varint(out, at, count)
    copy_bytes(out, at, s, 8 * start, 8 * count)
    return at + 8 * count


@inlined
def turned(word: int) -> int:
    """Four bytes the other way round: what ends in zeros begins with them, and is a short varint."""
    word = np.uint32(word)
    low = ((word & np.uint32(0xFF)) << np.uint32(24)) | ((word & np.uint32(0xFF00)) << np.uint32(8))
    return low | ((word >> np.uint32(8)) & np.uint32(0xFF00)) | (word >> np.uint32(24))


@compiled
def read_floats(blob: Bytes, at: int, end: int, s: Ints, into: int, count: int) -> int:
    """So many float32, each a varint of its bytes turned; as they stand in `s`, two in a number."""
    words = s.view(np.uint32)
    for i in range(2 * into, 2 * into + count):
        value, at = read_varint(blob, at, end)
        words[i] = turned(value)
    return at


@compiled
def write_floats(out: Bytes, at: int, s: Ints, start: int, count: int) -> int:
    at = write_varint(out, at, count)
    words = s.view(np.uint32)
    for i in range(2 * start, 2 * start + count):
        at = write_varint(out, at, np.int64(turned(words[i])))
    return at


@inlined
def read_signed(blob: Bytes, at: int, end: int) -> tuple[int, int]:
    raw, at = read_varint(blob, at, end)
    return ((raw >> 1) & 0x7FFFFFFFFFFFFFFF) ^ -(raw & 1), at


@inlined
def write_signed(out: Bytes, at: int, value: int) -> int:
    return write_varint(out, at, (value << 1) ^ (value >> 63))


@compiled
def read_triples(blob: Bytes, at: int, end: int, s: Ints, into: int, limit: int) -> tuple[int, int]:
    """u32, varint, varint."""
    count, at = read_varint(blob, at, end)
    if not 0 <= count <= limit:
        return np.int64(0), end + 1
    for i in range(into, into + 3 * count, 3):
        s[i], at = read_word(blob, at, end, 4)
        s[i + 1], at = read_varint(blob, at, end)
        s[i + 2], at = read_varint(blob, at, end)
    return count, at


@compiled
def write_triples(out: Bytes, at: int, s: Ints, start: int, count: int) -> int:
    at = write_varint(out, at, count)
    for i in range(start, start + 3 * count, 3):
        at = write_word(out, at, s[i], 4)
        at = write_varint(out, at, s[i + 1])
        at = write_varint(out, at, s[i + 2])
    return at


@inlined
def read_cells(blob: Bytes, at: int, end: int, s: Ints, into: int, g: Ints, places: int, width: int) -> int:
    """A bit mask of the cells that are not 0, then their amounts, zigzag; each to its new place, if it has one."""
    for m in range(np.uint64(into), np.uint64(into + g[WIDTH])):
        s[m] = 0
    mask, at = read_varint(blob, at, end)
    if mask >> width != 0:
        return end + 1
    while mask != 0:
        value, at = read_signed(blob, at, end)
        place = g[places + lowest_bit(mask)]
        if place >= 0:
            s[into + place] = value
        mask &= mask - 1
    return at


@inlined
def write_cells(out: Bytes, at: int, s: Ints, start: int, width: int) -> int:
    mask, first = np.int64(0), np.uint64(start)
    for m in range(np.uint64(width)):
        mask |= np.int64(s[first + m] != 0) << m
    at = write_varint(out, at, mask)
    while mask != 0:
        at = write_signed(out, at, s[start + lowest_bit(mask)])
        mask &= mask - 1
    return at
