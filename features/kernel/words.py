"""Texts by where they stand in a run of bytes: their hashes, groups of the same, the numbers of known ones."""

from __future__ import annotations

from itertools import accumulate

import numpy as np

from features.kernel.arrays import Bytes, Ints
from features.kernel.compiled import inlined, making_arrays
from features.kernel.intrinsics import read_eight

Packed = tuple[Bytes, Ints]  # texts one behind the other, and where each begins; then where the last ends


@inlined
def hash_one(text: Bytes, start: int, end: int) -> int:
    """64 bits: FNV-1a, mixed by MurmurHash3's finalizer."""
    h = np.uint64(0xCBF29CE484222325)
    for k in range(start, end):
        h = (h ^ np.uint64(text[k])) * np.uint64(0x100000001B3)
    h = (h ^ (h >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    h = (h ^ (h >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return np.int64(h ^ (h >> np.uint64(33)))


@making_arrays
def hashes(text: Bytes, starts: Ints, ends: Ints) -> Ints:
    """64-bit hashes of texts, the same in every process."""
    out = np.empty(len(starts), np.int64)
    for i in range(len(starts)):
        out[i] = hash_one(text, starts[i], ends[i])
    return out


def packed(texts: list[str]) -> Packed:
    """These texts in UTF-8."""
    text = "".join(texts)
    lengths = map(len, texts) if text.isascii() else (len(one.encode()) for one in texts)
    bounds = np.fromiter(accumulate(lengths, initial=0), dtype=np.int64, count=len(texts) + 1)
    return np.frombuffer(text.encode() or b"\0", dtype=np.uint8), bounds


def hash_texts(texts: list[str]) -> Ints:
    """int64[texts]: `hashes` of these texts in UTF-8."""
    text, bounds = packed(texts)
    return hashes(text, bounds[:-1], bounds[1:])


@inlined
def _slot(text: Bytes, start: int, end: int) -> int:
    """Where to look first for a text."""
    if start == end:
        return 0
    return (
        np.int64(text[start]) * 7 + np.int64(text[(start + end) // 2]) * 31 + np.int64(text[end - 1]) * 3 + end - start
    )


@inlined
def same(text: Bytes, start: int, end: int, other: Bytes, at: int, stop: int) -> bool:
    length, k = end - start, 0
    if length != stop - at:
        return False
    while k + 8 <= length:
        if read_eight(text, start + k) != read_eight(other, at + k):
            return False
        k += 8
    while k < length:
        if text[start + k] != other[at + k]:
            return False
        k += 1
    return True


@inlined
def find_one(text: Bytes, start: int, end: int, known: Bytes, known_ends: Ints, slots: Ints) -> int:
    """A text's number among the known ones, or -1."""
    mask = len(slots) - 1
    slot = _slot(text, start, end) & mask
    while slots[slot] >= 0:
        word = slots[slot]
        if same(text, start, end, known, known_ends[word - 1] if word else 0, known_ends[word]):
            return word
        slot = (slot + 1) & mask
    return -1


@making_arrays
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


@making_arrays
def find(text: Bytes, starts: Ints, ends: Ints, known: Bytes, known_ends: Ints, slots: Ints) -> Ints:
    """By text: its number among the known ones, or -1."""
    out = np.empty(len(starts), np.int64)
    for i in range(len(starts)):
        out[i] = find_one(text, starts[i], ends[i], known, known_ends, slots)
    return out


@making_arrays
def group(text: Bytes, starts: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """(by text: its number among the different ones, by number: which text was the first of it)."""
    size = 64
    while size < 2 * len(starts):
        size *= 2
    slots = np.full(size, -1, np.int64)
    who, first, count = np.empty(len(starts), np.int64), np.empty(len(starts), np.int64), 0
    for i in range(len(starts)):
        slot = hash_one(text, starts[i], ends[i]) & (size - 1)
        while slots[slot] >= 0:
            other = first[slots[slot]]
            if same(text, starts[i], ends[i], text, starts[other], ends[other]):
                break
            slot = (slot + 1) & (size - 1)
        if slots[slot] < 0:
            slots[slot], first[count] = count, i
            count += 1
        who[i] = slots[slot]
    return who, first[:count]


@making_arrays
def first_of_each(codes: Ints) -> Ints:
    """Where each of the different codes stands for the first time; codes are as good as hashes in their lower bits."""
    size = 64
    while size < 2 * len(codes):
        size *= 2
    slots = np.full(size, -1, np.int64)
    first, count = np.empty(len(codes), np.int64), 0
    for i in range(len(codes)):
        slot = codes[i] & (size - 1)
        while slots[slot] >= 0 and codes[slots[slot]] != codes[i]:
            slot = (slot + 1) & (size - 1)
        if slots[slot] < 0:
            slots[slot], first[count] = i, i
            count += 1
    return first[:count]
