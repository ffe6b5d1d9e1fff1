"""The published scoring of the Numenta Anomaly Benchmark, and its data.

Lavin and Ahmad (2015), "Evaluating Real-time Anomaly Detection Algorithms: the Numenta Anomaly Benchmark"; what the
paper leaves open is as in numenta/NAB's sweeper, scorer and runner.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from math import exp, floor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Split = dict[str, list[str]]
PROBATION, OUTSIDE = -2, -1
PROBATION_SHARE, PROBATION_MOST = 0.15, 750


class Profile(NamedTuple):
    """What a hit at the earliest is worth, what a missed window and a false alert far from any cost."""

    hit: float
    missed: float
    false: float


PROFILES = {"standard": Profile(1, 1, 0.11), "low_fp": Profile(1, 1, 0.22), "low_fn": Profile(1, 2, 0.11)}


class Series(NamedTuple):
    """Rows of a file, and the first and last row of each window."""

    name: str
    at_ms: NDArray[np.int64]
    values: Floats
    windows: list[tuple[int, int]]


class Marks(NamedTuple):
    """Of each row: its window, OUTSIDE or PROBATION; what an alert there is worth, before weights."""

    window: NDArray[np.int64]
    worth: Floats
    windows: int


class Parts(NamedTuple):
    """What alerts come to, before weights: `false` is negative. Windows all in probation are neither hit nor missed."""

    hits: float = 0.0
    missed: int = 0
    false: float = 0.0
    alerts_false: int = 0

    def score(self, profile: Profile) -> float:
        return profile.hit * self.hits - profile.missed * self.missed + profile.false * self.false


def read(folder: Path) -> tuple[dict[str, Series], list[Split]]:
    """Series by name, and the splits; none where splits.json is absent."""
    if not (folder / "windows.json").exists():
        raise SystemExit(f"--data {folder}: found no windows.json, expected it beside data/CATEGORY/NAME.csv")
    windows = json.loads((folder / "windows.json").read_text())
    splits = folder / "splits.json"
    found = {name: _series(folder / "data" / name, name, marked) for name, marked in windows.items()}
    return found, json.loads(splits.read_text()) if splits.exists() else []


def _series(file: Path, name: str, marked: list[list[str]]) -> Series:
    with file.open(newline="") as rows:
        times, values = zip(*list(csv.reader(rows))[1:], strict=True)
    at_ms = np.array(times, "datetime64[ms]").astype(np.int64)
    ends = [np.array(window, "datetime64[ms]").astype(np.int64) for window in marked]
    rows = [(_row(at_ms, first, name), _row(at_ms, last, name)) for first, last in ends]
    return Series(name, at_ms, np.array(values, np.float64), rows)


def _row(at_ms: NDArray[np.int64], moment_ms: int, name: str) -> int:
    """The first row at that time."""
    found = np.flatnonzero(at_ms == moment_ms)
    if not len(found):
        raise SystemExit(
            f"windows.json: {name}: a window ends at {np.datetime64(int(moment_ms), 'ms')}, where no row is"
        )
    return int(found[0])


def scaled_sigmoid(position: float) -> float:
    """Of a place relative to a window: -1 at its left end, 0 at its right; false alerts beyond."""
    return -1.0 if position > 3 else 2 / (1 + exp(5 * position)) - 1


def probation(rows: int) -> int:
    """Rows at the start in which nothing is scored."""
    return min(floor(PROBATION_SHARE * rows), PROBATION_MOST)


def mark(rows: int, windows: list[tuple[int, int]]) -> Marks:
    window, worth = np.full(rows, OUTSIDE), np.full(rows, -1.0)
    for i, (first, last) in enumerate(windows):
        width, then = last - first + 1, windows[i + 1][0] if i + 1 < len(windows) else rows
        window[first : last + 1] = i
        for row in range(first, last + 1):
            worth[row] = scaled_sigmoid(-(last - row + 1) / width) / scaled_sigmoid(-1.0)
        for row in range(last + 1, then):
            worth[row] = scaled_sigmoid((row - last) / max(1, width - 1))
    window[: probation(rows)] = PROBATION
    return Marks(window, worth, len(windows))


def parts(marks: Marks, alerts: NDArray[np.bool_]) -> Parts:
    """The best alert counts for a window, each alert outside."""
    rows = np.flatnonzero(alerts)
    outside = rows[marks.window[rows] == OUTSIDE]
    best = dict.fromkeys(np.unique(marks.window[marks.window >= 0]).tolist(), 0.0)
    hit = set[int]()
    for row in rows[marks.window[rows] >= 0]:
        window = int(marks.window[row])
        best[window] = max(best[window], float(marks.worth[row]))
        hit.add(window)
    return Parts(sum(best.values()), len(best) - len(hit), float(marks.worth[outside].sum()), len(outside))


def total(several: Iterable[Parts]) -> Parts:
    return Parts(*(sum(column) for column in zip(*several, strict=True)))


def normalised(found: float, profile: Profile, marks: Iterable[Marks]) -> float:
    """100 where each window is hit at its first row and nothing else, 0 where nothing is ever said."""
    known = list(marks)
    nothing = total(parts(one, np.zeros(len(one.window), np.bool_)) for one in known).score(profile)
    perfect = profile.hit * sum(one.windows for one in known)
    return 100 * (found - nothing) / (perfect - nothing)
