"""Scans a batch of JSON objects for wanted fields: numbers, and where texts stand.

It knows the JSON that ingest writes: compact, texts without escapes, whole numbers of up to 18 digits, plain decimals.
An object with anything else (an escape, white space, an exponent, a wrong type, broken bytes) is left alone.
"""

from __future__ import annotations

import numpy as np

from features.kernel.arrays import Bytes, Ints
from features.kernel.compiled import inlined, making_arrays
from features.kernel.syntax import (
    CLOSE,
    CLOSE_LIST,
    COMMA,
    OPEN,
    OPEN_LIST,
    QUOTE,
    end_of_key,
    end_of_text,
    read_literal,
    read_number,
    skip_value,
)
from features.kernel.words import find_one

TEXT, WHOLE, FLAG, DECIMAL, LINES, OPTIONS = range(6)  # how a value is read
DECIMALS = 15
LARGE = 10**12  # decimals, and whole numbers in lines, are not beyond that: sums of them fit

# of words: their bytes, where each ends, where to look for them (both as in `words`), how the value of each is read
Table = tuple[Bytes, Ints, Ints, Ints]
Found = tuple[Ints, Ints, Ints, Ints, Ints, Ints, Bytes]


@inlined
def _value(text: Bytes, at: int, end: int, how: int, largest: int, values: Ints, ends: Ints, field: int, i: int) -> int:
    """Reads a wanted value into its column; behind it."""
    if at >= end:
        return -1
    if how == TEXT:
        if text[at] != QUOTE:
            return -1
        start, at = at + 1, end_of_text(text, at + 1, end)
        values[field, i], ends[field, i] = start, at
        return at + 1 if at >= 0 else -1
    if how == FLAG:
        value, at = read_literal(text, at, end)
        values[field, i] = value
        return at if value >= 0 else -1
    number, decimals, digits, at = read_number(text, at, end)
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


@inlined
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
        start, at = at + 1, end_of_key(text, at, end)
        if at < 0 or at + 2 >= end or text[at + 2] != QUOTE:
            return -1
        option = find_one(text, start, at, options[0], options[1], options[2])
        start, at = at + 3, end_of_text(text, at + 3, end)
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


@inlined
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
        start, at = at + 1, end_of_key(text, at, end)
        if at < 0:
            return -1
        field = find_one(text, start, at, table[0], table[1], table[2])
        if field < 0:
            at = skip_value(text, at + 2, end)
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


@inlined
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


@making_arrays
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
            key, at = at + 1, end_of_key(text, at, end)
            if at < 0:
                break
            field = find_one(text, key, at, table[0], table[1], table[2])
            if field < 0:
                at = skip_value(text, at + 2, end)
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
