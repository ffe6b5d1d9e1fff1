"""JSON: where a text, a number or any value ends.

Each function is told where to begin and says where it ended, -1 for what it does not know.
"""

from __future__ import annotations

import numpy as np

from features.kernel.arrays import Bytes
from features.kernel.compiled import compiled, inlined
from features.kernel.intrinsics import lowest_bit, read_eight

NESTED = 8  # deeper JSON is left to msgspec
DIGITS = 18
QUOTE, BACKSLASH, COMMA, COLON, MINUS, DOT, ZERO, NINE = 34, 92, 44, 58, 45, 46, 48, 57
OPEN, CLOSE, OPEN_LIST, CLOSE_LIST = 123, 125, 91, 93
EACH = 0x0101010101010101  # a byte, times this, is eight of it
TOP_BITS, SPACES, QUOTES, BACKSLASHES = 0x80 * EACH, 32 * EACH, QUOTE * EACH, BACKSLASH * EACH


@inlined
def end_of_text(text: Bytes, at: int, end: int) -> int:
    """The closing quote of a text that begins at `at`, its opening quote left out."""
    while at < end:
        if at + 8 <= end:
            eight = read_eight(text, at)
            ends = _zeros(eight ^ np.uint64(QUOTES)) | _zeros(eight ^ np.uint64(BACKSLASHES)) | _controls(eight) | eight
            ends &= np.uint64(TOP_BITS)
            if ends == 0:
                at += 8
                continue
            at += lowest_bit(np.int64(ends)) >> 3
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


@inlined
def _zeros(eight: int) -> int:
    """Has the top bit of every byte set that is 0; of those above the lowest such byte, perhaps of others as well."""
    return (eight - np.uint64(EACH)) & ~eight


@inlined
def _controls(eight: int) -> int:
    """The same of bytes below 32."""
    return (eight - np.uint64(SPACES)) & ~eight


@compiled
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


@inlined
def read_number(text: Bytes, at: int, end: int) -> tuple[int, int, int, int]:
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


@inlined
def read_literal(text: Bytes, at: int, end: int) -> tuple[int, int]:
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


@compiled
def _scalar(text: Bytes, at: int, end: int) -> int:
    """Behind a text, a number or a literal."""
    if at >= end:
        return -1
    if text[at] == QUOTE:
        at = end_of_text(text, at + 1, end)
        return at + 1 if at >= 0 else -1
    if text[at] == MINUS or ZERO <= text[at] <= NINE:
        return read_number(text, at, end)[3]
    return read_literal(text, at, end)[1]


@compiled
def skip_value(text: Bytes, at: int, end: int) -> int:
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
            at = end_of_key(text, at, end)
            if at < 0:
                return -1
            at += 2


@inlined
def end_of_key(text: Bytes, at: int, end: int) -> int:
    """The closing quote of a key with its colon, or -1."""
    if at >= end or text[at] != QUOTE:
        return -1
    at = end_of_text(text, at + 1, end)
    return at if at >= 0 and at + 1 < end and text[at + 1] == COLON else -1
