"""All series of a layer in one minute: what was seen in the latest windows, what was expected, and how rare that is.

One p-value a series and minute: the least of its windows', times their number. Within an hour nobody knows the minute at
which a store opens, so a window is low only against the lower of its hour and the next one to it, high against the higher.
What is less than `SCREEN` standard deviations out has p = 1: the exact tails are computed for the few others.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from alerts.kpis.expectation import Counts, Floats, Rates, noise, sums
from alerts.kpis.panel import Panel
from alerts.kpis.series import ALIVE_MINUTES, AOV, COUNTS, KPIS, ORDERS, SERIES, SHARES, WIDTH
from alerts.kpis.tail import count_p, mean_p, share_p

SCREEN = 3.0
LEAST_CHANGE = 0.2  # of what is expected: a smaller one is nobody's business, however sure
LEAST_UNITS = 5.0  # orders, redemptions, …
LONGEST_RUN = 120  # minutes of silence that are looked back on
CALM = 1.0  # standard deviations: nearer than that a window is as usual, whatever the longer ones still hold

Flags = NDArray[np.bool_]


class Around(NamedTuple):
    """Rates of the hours before, of and after a minute."""

    before: Rates
    now: Rates
    after: Rates


class Verdicts(NamedTuple):
    """[SERIES, dims] each, of the window that is the least likely; `of`: minutes, trials or orders in it."""

    p: Floats
    side: NDArray[np.int8]  # -1 low, 1 high
    seen: Floats
    of: Floats
    mean: Floats  # expected of one of `of`
    sd: Floats  # of `seen`
    window: NDArray[np.int16]
    recovers: Flags  # the short windows are as usual, or on the other side


class Window(NamedTuple):
    """Sums over the latest minutes."""

    minutes: int
    counts: Counts


def windows(panel: Panel, minute: int) -> list[Window]:
    """That end with a minute, the shortest first."""
    found, total = [], np.zeros((WIDTH, len(panel.dims)), np.int64)
    for back in range(max(panel.widths)):
        total += panel.minute(minute - back)
        if back + 1 in panel.widths:
            found.append(Window(back + 1, total.copy()))
    return found


def brackets(around: Around, minute: int, width: int) -> tuple[Floats, Floats, Floats]:
    """Mean rate over a window, and the least and the greatest that it may have been."""
    place = minute % 60
    of_now = min(width, place + 1)
    early = max(0, min(place, 29) - (place - of_now))  # minutes of the first half of this hour
    before, now, after = (rates.mean for rates in around)
    weights = early / width, (of_now - early) / width, (width - of_now) / width
    mid = (weights[0] + weights[1]) * now + weights[2] * np.where(np.isnan(before), now, before)
    low_left, high_left = np.fmin(before, now), np.fmax(before, now)
    low = (weights[0] + weights[2]) * low_left + weights[1] * np.fmin(now, after)
    high = (weights[0] + weights[2]) * high_left + weights[1] * np.fmax(now, after)
    return mid, np.fmin(mid, low), np.fmax(mid, high)


def judge(panel: Panel, minute: int, around: Around, strays: Floats) -> Verdicts:
    """Of all series, before it is asked which of them matter."""
    awake, tries = minute - panel.course["back"] + 1, len(panel.widths) + 1
    found: Verdicts | None = None
    recovers = np.zeros((SERIES, len(panel.dims)), bool)
    for place, window in enumerate(windows(panel, minute)):
        one = _window(window, minute, around, strays[place], awake >= window.minutes, tries)
        recovers = one.recovers if place <= 1 else recovers
        found = one if found is None else _chosen(one.p <= found.p, one, found)
    assert found is not None
    runs = _runs(panel, minute, around, strays[-1], tries)
    return _chosen(runs.p < found.p, runs, found)._replace(recovers=recovers)


def _chosen(take: Flags, one: Verdicts, other: Verdicts) -> Verdicts:
    return Verdicts(*(np.where(take, a, b) for a, b in zip(one, other, strict=True)))


def _window(window: Window, minute: int, around: Around, strays: Floats, whole: Flags, tries: int) -> Verdicts:
    seen, of = sums(window.counts, window.minutes)
    mid, low, high = brackets(around, minute, window.minutes)
    blur = around.now.blur
    expected = of * mid
    mean = np.where(seen < of * low, low, np.where(seen > of * high, high, mid))
    side = np.where(seen < of * low, -1, np.where(seen > of * high, 1, 0)).astype(np.int8)
    at = of * mean
    sd = np.sqrt(noise(of, mean) + at**2 * (strays + blur) + 1e-12)
    sd[AOV] = np.sqrt(of[AOV] * strays[AOV] + of[AOV] ** 2 * blur[AOV] + 1e-12)
    change = np.abs(seen - expected)
    matters = change >= np.maximum(LEAST_UNITS, LEAST_CHANGE * expected)
    matters[AOV] = (change[AOV] >= LEAST_CHANGE * of[AOV]) & (of[AOV] >= LEAST_UNITS)
    known = np.isfinite(mean) & whole
    z = np.where(known, np.abs(seen - at) / sd, 0.0)
    p = np.ones(seen.shape)
    far = known & matters & (side != 0) & (z >= SCREEN)
    far[[place for place, kpi in enumerate(KPIS) if kpi.shortest > window.minutes]] = False
    _exact(p, far, seen, of, mean, strays + blur, z)
    p = np.minimum(1.0, p * tries)
    width = np.full(seen.shape, window.minutes, np.int16)
    return Verdicts(p, side, seen, of, mid, sd, width, known & (z < CALM))


def _exact(p: Floats, far: Flags, seen: Floats, of: Floats, mean: Floats, strays: Floats, z: Floats) -> None:
    for kind in (COUNTS, SHARES, slice(AOV, AOV + 1)):
        these = far[kind]
        if not these.any():
            continue
        x, n, m, s = (array[kind][these] for array in (seen, of, mean, strays))
        if kind == COUNTS:
            p[kind][these] = count_p(x, n * m, s)
        elif kind == SHARES:
            p[kind][these] = share_p(x, n, m, s)
        else:
            p[kind][these] = mean_p(z[kind][these])


def _runs(panel: Panel, minute: int, around: Around, strays: Floats, tries: int) -> Verdicts:
    """How likely it is that no order, or nothing at all, came for so long."""
    shape = (SERIES, len(panel.dims))
    p, side = np.ones(shape), np.full(shape, -1, np.int8)
    of, mean = np.zeros(shape), np.zeros(shape)
    before, now, after = (rates.mean for rates in around)
    place = minute % 60
    for series, last in ((ORDERS, "ordered"), (ALIVE_MINUTES, "spoke")):
        run = np.clip(minute - panel.course[last], 0, min(LONGEST_RUN, place + 61)).astype(np.float64)
        late, this = np.maximum(run - place - 1, 0), np.minimum(run, place + 1)
        early = np.clip(np.minimum(place, 29) - (place - this), 0, None)
        left = np.fmin(before[series], now[series])
        expected = (late + early) * left + (this - early) * np.fmin(now[series], after[series])
        expected = np.where(np.isfinite(expected), expected, 0.0)
        stray = strays[series] + around.now.blur[series]
        far = expected >= LEAST_UNITS
        p[series, far] = np.minimum(1.0, tries * count_p(np.zeros(int(far.sum())), expected[far], stray[far]))
        of[series], mean[series] = run, np.where(run > 0, expected / np.maximum(run, 1), 0.0)
    sd = np.sqrt(of * mean + 1e-12)
    return Verdicts(p, side, np.zeros(shape), of, mean, sd, of.astype(np.int16), np.zeros(shape, bool))
