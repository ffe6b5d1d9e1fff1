"""Tables: pairs of a code and a value, by what each keeps: the latest, weights, places, times, months."""

from __future__ import annotations

import numpy as np

from features.kernel.arrays import (
    CELLS,
    HOME,
    LATEST,
    MONTHS,
    N_PANES,
    PAIRS,
    PLACES,
    ROOM_OF,
    TABLE,
    TABLE_AT,
    TIMES,
    WIDTH,
    Ints,
)
from features.kernel.clocks import day_of, month_of
from features.kernel.compiled import compiled

LN2 = 0.6931471805599453


@compiled
def touch(s: Ints, g: Ints, z: Ints, spec: int, t: int, code: int, amount: int, moment_ms: int, into: int) -> None:
    """What one value does to a table; `into`: the pane of its moment."""
    how, table = g[spec], g[TABLE_AT] + TABLE * t
    if how == LATEST:
        if s[table] == 0 or moment_ms >= s[table + 1]:
            s[table], s[table + 1], s[table + PAIRS], s[table + PAIRS + 1] = 1, moment_ms, code, amount
    elif how == PLACES:
        place = placed(s, g, table, code, g[spec + 1], 0)
        if place >= 0 and into >= 0:
            s[into + g[spec + 1]] |= np.int64(1) << place
    elif how == MONTHS:
        add_month(s, table, month_of(day_of(z, s[HOME], moment_ms)), amount)
    else:
        weigh(s, table, code, float(amount), moment_ms, g[spec + 1], ROOM_OF[how])


@compiled
def find_pair(s: Ints, table: int, code: int) -> int:
    """Where the pair of this code stands, or where the next one would."""
    pair = table + PAIRS
    for _ in range(s[table]):
        if s[pair] == code:
            break
        pair += 2
    return pair


@compiled
def weigh(s: Ints, table: int, code: int, weight: float, moment_ms: int, half_life_ms: int, room: int) -> None:
    """Adds a weight that halves with every half-life; of too many, the lightest falls out."""
    weights = s.view(np.float64)
    end = table + PAIRS + 2 * s[table]
    if s[table] == 0:
        s[table + 1] = moment_ms
    elif moment_ms > s[table + 1]:
        factor = halved(moment_ms - s[table + 1], half_life_ms)
        for pair in range(table + PAIRS, end, 2):
            weights[pair + 1] *= factor
        s[table + 1] = moment_ms
    else:
        weight *= halved(s[table + 1] - moment_ms, half_life_ms)
    pair = find_pair(s, table, code)
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


@compiled
def halved(passed_ms: int, half_life_ms: int) -> float:
    """What is left of 1."""
    return float(np.exp(-LN2 * passed_ms / half_life_ms))


@compiled
def placed(s: Ints, g: Ints, table: int, code: int, cell: int, spoken_for: int) -> int:
    """The bit that stands for this code in the panes' sets; one that no pane holds, and that is not among those that
    are spoken for, is given anew. -1: none is left."""
    pair = find_pair(s, table, code)
    place = (pair - table - PAIRS) // 2
    if place == s[table]:
        if place == ROOM_OF[PLACES]:
            place = _unused(s, g, cell, spoken_for)
            if place < 0:
                return -1
        else:
            s[table] += 1
        s[table + PAIRS + 2 * place], s[table + PAIRS + 2 * place + 1] = code, 0
    return place


@compiled
def _unused(s: Ints, g: Ints, cell: int, spoken_for: int) -> int:
    used = np.int64(spoken_for)
    for p in range(s[N_PANES]):
        used |= s[g[CELLS] + p * g[WIDTH] + cell]
    for place in range(ROOM_OF[PLACES]):
        if not (used >> place) & 1:
            return place
    return -1


@compiled
def add_month(s: Ints, table: int, month: int, amount: int) -> None:
    """Adds to a month's sum; of too many months the first falls out."""
    pair, room = find_pair(s, table, month), ROOM_OF[MONTHS]
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


@compiled
def add_time(s: Ints, table: int, at_ms: int) -> None:
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


@compiled
def drop_time(s: Ints, table: int, at_ms: int) -> None:
    pair, end = find_pair(s, table, at_ms), table + PAIRS + 2 * s[table]
    if pair < end:
        s[table] -= 1
        for other in range(pair, end - 2, 2):
            s[other] = s[other + 2]
