"""Feature rows: one value per feature of the catalog as of a time, from a state or from records."""

from __future__ import annotations

import numpy as np

from features.kernel.arrays import (
    AS_OF,
    AT_BAND,
    AT_COLUMN,
    AT_RATIO,
    AT_READ,
    AT_RECENCY,
    AT_SEGMENT,
    BANDS,
    COLUMNS,
    CONSENTED,
    DONE,
    FIRST,
    HOME,
    LAST,
    LIFE,
    LOCAL,
    N_CASES,
    ORDER,
    ORDERS,
    PURPOSE,
    RATIOS,
    READS,
    RECENCIES,
    SEGMENTS,
    TOTALS,
    Bytes,
    Floats,
    Ints,
)
from features.kernel.clocks import day_of, zone_offset_ms
from features.kernel.compiled import compiled, making_arrays
from features.kernel.consent import consent_of
from features.kernel.readings import read_table, since, total_windows, window_value
from features.kernel.records import new_state, unpack
from features.times import DAY_MS, EPOCH_DAY


@compiled
def fill_row(s: Ints, g: Ints, at_ms: int, today: int, rows: Floats, r: int) -> None:
    """One value per feature as of `at_ms`, in the order of the catalog; NaN where there is none."""
    total_windows(s, g, at_ms, today)
    at = 0
    for k in range(g[AT_COLUMN], g[AT_COLUMN] + 3 * g[COLUMNS], 3):
        rows[r, at] = window_value(g[k], s[g[TOTALS] + g[k + 1]], s[g[TOTALS] + g[k + 2]])
        at += 1
    for k in range(g[AT_READ], g[AT_READ] + 3 * g[READS], 3):
        rows[r, at] = read_table(s, g, g[k], g[k + 1], g[k + 2], at_ms, today)
        at += 1
    for k in range(g[AT_RECENCY], g[AT_RECENCY] + 2 * g[RECENCIES], 2):
        rows[r, at] = since(s[LAST + g[k]], at_ms, g[k + 1])
        at += 1
    orders, last_ms = s[g[LIFE] + g[ORDERS]], s[LAST + g[ORDER]]
    rhythm = (last_ms - s[FIRST]) / DAY_MS / (orders - 1) if last_ms > 0 and orders > 1 else np.nan
    rows[r, at] = rhythm
    rows[r, at + 1] = since(last_ms, at_ms, DAY_MS) / rhythm if rhythm > 0 else np.nan
    rows[r, at + 2] = since(s[FIRST], at_ms, DAY_MS)
    rows[r, at + 3] = s[N_CASES]
    _derive(g, rows, r, at + 4)


@compiled
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


@compiled
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


@compiled
def ask_row(s: Ints, g: Ints, z: Ints, at_ms: int, rows: Floats, asked: Ints, r: int) -> None:
    """Writes a row as of `at_ms`, with what conditions and policy need of then."""
    local_ms = at_ms + zone_offset_ms(z, max(0, s[HOME]), at_ms)
    fill_row(s, g, at_ms, local_ms // DAY_MS + EPOCH_DAY, rows, r)
    asked[r, AS_OF], asked[r, LOCAL], asked[r, CONSENTED] = at_ms, local_ms, consent_of(s, g[PURPOSE])


@making_arrays
def rows_as_of(g: Ints, z: Ints, blob: Bytes, ends: Ints, at_ms: int, features: int) -> tuple[int, int, int, Floats]:
    """(status, detail, at which record it ended, feature rows) of records one behind the other, as of a time."""
    s, rows = new_state(g), np.empty((len(ends), features), np.float64)
    status, detail, start = DONE, np.int64(0), np.int64(0)
    for r in range(len(ends)):
        status, detail, _ = unpack(blob, start, ends[r], s, g, z)
        if status != DONE:
            return status, detail, r, rows
        fill_row(s, g, at_ms, day_of(z, max(0, s[HOME]), at_ms), rows, r)
        start = ends[r]
    return status, detail, len(ends), rows
