"""What events add to cells and tables, as the catalog declares it.

The program `p`: for each kind of event OF_KIND numbers: where its effects stand and how many, its touches, what it asks
of events, and whether any of that looks at the clock. An effect or a touch is OF_EFFECT numbers; WHERE is the number of
what it asks among those of its kind. Of each of these there are OF_WHERE numbers: the hours and the weekdays as bits
(0: all), whether the lines of an order are asked, and where its texts stand and how many; for each text whether a line
has it, the field, how many texts fit, and their hashes.
"""

from __future__ import annotations

import numpy as np

from features.kernel.arrays import (
    AMOUNT,
    AMOUNTS,
    AT,
    CODE,
    KIND,
    MOMENT,
    ORDERED,
    TABLE_OF,
    TOUCH,
    TOUCHED,
    TOUCHES,
    ZONE,
    Bytes,
    Floats,
    Ints,
    Lines,
)
from features.kernel.clocks import zone_offset_ms
from features.kernel.compiled import compiled, making_arrays
from features.kernel.words import hash_one
from features.times import DAY_MS, HOUR_MS

EFFECTS, N_EFFECTS, TOUCHED_BY, N_TOUCHED_BY, ASKED, N_ASKED, CLOCKED, OF_KIND = range(8)
TO, WHAT, FIELD, SIGN, WHERE, UNDO, SHIFTED, OF_EFFECT = range(8)
ONE, NUMBER, STARS, ITEMS, HOUR, TEXT, LINE_TEXT = range(7)  # what is added
HOURS, WEEKDAYS, OF_ORDER, TEXTS, N_TEXTS, OF_WHERE = range(6)
CODE_BITS = 52  # a text's code is a whole number that a float holds exactly
QTY = 0  # where the quantity of a line stands


@compiled
def code_of(hashed: int) -> int:
    """A whole number that stands for a text, the same in every process: the upper bits of its hash."""
    return np.int64(np.uint64(hashed) >> np.uint64(64 - CODE_BITS))


@compiled
def _on_time(p: Ints, where: int, local_ms: int) -> bool:
    hours, weekdays = p[where + HOURS], p[where + WEEKDAYS]
    hour, weekday = local_ms % DAY_MS // HOUR_MS, (local_ms // DAY_MS + 3) % 7 + 1
    return (hours == 0 or (hours >> hour) & 1 == 1) and (weekdays == 0 or (weekdays >> weekday) & 1 == 1)


@compiled
def _has_texts(p: Ints, where: int, text: Bytes, values: Ints, ends: Ints, i: int, lines: Lines, line: int) -> bool:
    """Whether an object, and the line of an order, have the texts that are asked for."""
    at = p[where + TEXTS]
    for _ in range(p[where + N_TEXTS]):
        if p[at]:
            hashed = hash_one(text, lines[0][p[at + 1], line], lines[1][p[at + 1], line])
        else:
            hashed = hash_one(text, values[p[at + 1], i], ends[p[at + 1], i])
        fits = False
        for k in range(at + 3, at + 3 + p[at + 2]):
            fits = fits or p[k] == hashed
        if not fits:
            return False
        at += 3 + p[at + 2]
    return True


@compiled
def _fits(p: Ints, where: int, text: Bytes, values: Ints, ends: Ints, i: int, lines: Lines) -> bool:
    """Whether an event has the texts; an order does where one of its lines fits."""
    if not p[where + OF_ORDER]:
        return _has_texts(p, where, text, values, ends, i, lines, -1)
    for line in range(lines[2][i], lines[2][i] + lines[3][i]):
        if _has_texts(p, where, text, values, ends, i, lines, line):
            return True
    return False


@compiled
def _items(p: Ints, where: int, text: Bytes, values: Ints, ends: Ints, i: int, lines: Lines) -> int:
    """The pieces of the lines that have the texts."""
    items = np.int64(0)
    for line in range(lines[2][i], lines[2][i] + lines[3][i]):
        if p[where + N_TEXTS] == 0 or _has_texts(p, where, text, values, ends, i, lines, line):
            items += lines[0][QTY, line]
    return items


@compiled
def _most(p: Ints, index: Ints, out: Ints, line_count: Ints) -> tuple[int, int]:
    """No more touches than so many, and no more wheres of a kind."""
    most, wheres = 0, 0
    for n in range(len(index)):
        kind = OF_KIND * out[n, KIND]
        most += p[kind + N_TOUCHED_BY] * max(1, line_count[index[n]])
        wheres = max(wheres, p[kind + N_ASKED])
    return most, wheres


@compiled
def _number(p: Ints, e: int, values: Ints, stars: Floats, i: int) -> int:
    """What an event adds that counts."""
    if p[e + WHAT] == ONE:
        return p[e + SIGN]
    if p[e + WHAT] == STARS:
        return p[e + SIGN] * np.int64(np.rint(10 * stars[p[e + FIELD], i]))
    return p[e + SIGN] * values[p[e + FIELD], i]


@making_arrays
def effects_of(
    p: Ints, z: Ints, text: Bytes, values: Ints, ends: Ints, lines: Lines, index: Ints, out: Ints
) -> tuple[Ints, Ints]:
    """Fills int64[events, AMOUNTS + cells], of which kind, times and zone are known, for the objects at `index`.

    Returns int64[n, TOUCH] in log order, and int64[3, m]: code, start and end of each text in them.
    """
    line_values, line_ends, first_line, line_count = lines
    stars = values.view(np.float64)
    most, wheres = _most(p, index, out, line_count)
    rows, spoken, n, m = np.empty((most, TOUCH), np.int64), np.empty((3, most), np.int64), 0, 0
    fits = np.empty((2, wheres), np.bool_)  # by the clock of the event, and of the order that it undoes
    timely = np.empty((2, wheres), np.bool_)
    for event in range(len(index)):
        i, kind = index[event], OF_KIND * out[event, KIND]
        local_ms, ordered_ms = out[event, AT], out[event, ORDERED]
        if p[kind + CLOCKED]:
            zone = max(0, out[event, ZONE])
            local_ms += zone_offset_ms(z, zone, local_ms)
            ordered_ms += zone_offset_ms(z, zone, ordered_ms)
        for w in range(p[kind + N_ASKED]):
            where = p[kind + ASKED] + OF_WHERE * w
            fit = p[where + N_TEXTS] == 0 or _fits(p, where, text, values, ends, i, lines)
            timely[0, w], timely[1, w] = _on_time(p, where, local_ms), _on_time(p, where, ordered_ms)
            fits[0, w], fits[1, w] = fit and timely[0, w], fit and timely[1, w]
        first, last = first_line[i], first_line[i] + line_count[i]
        for e in range(p[kind + EFFECTS], p[kind + EFFECTS] + OF_EFFECT * p[kind + N_EFFECTS], OF_EFFECT):
            w, undo, what, number = p[e + WHERE], p[e + UNDO], p[e + WHAT], np.int64(0)
            if what == ITEMS and timely[undo, w]:
                number = p[e + SIGN] * _items(p, p[kind + ASKED] + OF_WHERE * w, text, values, ends, i, lines)
            elif what != ITEMS and fits[undo, w]:
                number = _number(p, e, values, stars, i)
            if p[e + SHIFTED]:
                number = number + 1 if fits[0, w] else np.int64(0)
            out[event, AMOUNTS + p[e + TO]] = number
        out[event, TOUCHED] = n
        for e in range(p[kind + TOUCHED_BY], p[kind + TOUCHED_BY] + OF_EFFECT * p[kind + N_TOUCHED_BY], OF_EFFECT):
            w, undo, what, field, before = p[e + WHERE], p[e + UNDO], p[e + WHAT], p[e + FIELD], n
            if what == LINE_TEXT and timely[0, w]:
                where = p[kind + ASKED] + OF_WHERE * w
                for line in range(first, last):
                    start, end = line_values[field, line], line_ends[field, line]
                    fit = p[where + N_TEXTS] == 0 or _has_texts(p, where, text, values, ends, i, lines, line)
                    if end > start and fit:
                        spoken[0, m], spoken[1, m], spoken[2, m] = code_of(hash_one(text, start, end)), start, end
                        rows[n, CODE], rows[n, AMOUNT] = spoken[0, m], line_values[QTY, line]
                        n, m = n + 1, m + 1
            elif what == TEXT and fits[0, w] and ends[field, i] > values[field, i]:
                start, end = values[field, i], ends[field, i]
                spoken[0, m], spoken[1, m], spoken[2, m] = code_of(hash_one(text, start, end)), start, end
                rows[n, CODE], rows[n, AMOUNT] = spoken[0, m], 1
                n, m = n + 1, m + 1
            elif what == HOUR and fits[0, w]:
                rows[n, CODE], rows[n, AMOUNT] = local_ms % DAY_MS // HOUR_MS, 1
                n += 1
            elif what == ITEMS and fits[undo, w]:
                items = _items(p, p[kind + ASKED] + OF_WHERE * w, text, values, ends, i, lines)
                rows[n, CODE], rows[n, AMOUNT] = 0, p[e + SIGN] * items
                n += 1
            elif what < ITEMS and fits[undo, w]:
                rows[n, CODE], rows[n, AMOUNT] = 0, _number(p, e, values, stars, i)
                n += 1
            for k in range(before, n):
                rows[k, TABLE_OF], rows[k, MOMENT] = p[e + TO], out[event, ORDERED if undo else AT]
        out[event, TOUCHES] = n - out[event, TOUCHED]
    return rows[:n], spoken[:, :m]
