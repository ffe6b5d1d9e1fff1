"""What is done for each value of a metric, compiled: how rare it is in eight views on two scales, by the past of each.

Values are rounded to whole multiples of a power of two which follows the largest, so that every sum of squares below is
a whole number less than 2^53: what is added now is taken off later without a trace; sums made anew are the same sums.
All that is compiled stands in this file, which Numba's cache watches.
"""

from __future__ import annotations

from collections.abc import Callable
from math import asinh, ceil, floor, isfinite, log, log2, log10, sqrt
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Function = TypeVar("Function", bound=Callable[..., Any])

SCALES = 2  # as it is, and its arcsinh
LEVEL, SHORT, LONG, NEAREST, TIME_OF_DAY, TIMES_OF_DAY = 0, 1, 2, 3, 6, 7
VIEWS = 8
LARGEST = 2.0**22  # a value in units
ROOMY = 2.0**20  # the value for which a unit is chosen
SLOTS_PER_OCTAVE, SLOTS = 4, 160
GREATEST, SMALLEST = 1e300, 1e-280  # of what is told from more, from nothing
LEAST_POINTS = 16
CHUNK = 64  # sums that are looked at together
KNEE = 10.0  # arcsinh is taken of so many times the value over the first: what is small is shown as it is
DAY_MS = 86_400_000


class Knobs(NamedTuple):
    """The numbers of `detector.Settings`, as the compiled functions take them."""

    lags: Integers
    history: int
    nearest: int
    apart: int
    short: int
    long: int
    residuals: int
    profile_weight: float
    tail: float
    cap: float
    half_life: float
    least_seen: int
    rise: float
    forget: float
    hold: int
    boost: float
    fade: float


class Memory(NamedTuple):
    """All that is known of a metric. First axis: the scale, or scale and view."""

    ring: Floats  # the latest value first, from place[0] on; zeros before the first
    place: Integers  # [place in the ring, points so far]
    size: Floats  # [of the first value that was not zero]
    measure: Floats  # by scale: origin, unit, sum of the history
    distances: Floats  # scale x lag window x lag: sum of squares between the latest window and that so much earlier
    profile: Floats  # scale x time of day
    profiled: Integers  # by time of day
    residuals: Floats  # scale x the latest ones
    weights: Floats  # scale and view x slot: how often, the older the less
    amounts: Floats  # likewise: their sum
    least: Floats  # by scale and view: the logarithm of the lowest slot's lower edge
    seen: Integers  # by scale and view
    weight: Floats  # [of the next point]
    alerts: Floats  # [points since the last, how many lately, its peak as it fades]


def _compiled(function: Function) -> Function:
    return njit(cache=True, nogil=True)(function)  # type: ignore[return-value]


@_compiled
def advance(at_ms: Integers, values: Floats, knobs: Knobs, memory: Memory, rarities: Floats) -> None:
    """Takes values in and writes by scale and view how rare each is: 0 to `cap`; NaN where there is no value."""
    views = np.empty(VIEWS)
    for i in range(len(values)):
        value = values[i]
        if not isfinite(value):
            rarities[i, :] = np.nan
            continue
        value = max(-GREATEST, min(GREATEST, value))
        _make_room(knobs, memory)
        slot = at_ms[i] % DAY_MS * len(memory.profiled) // DAY_MS
        if memory.size[0] == 0.0:
            memory.size[0] = abs(value)
        for scale in range(SCALES):
            _push(value if scale == 0 else _shrunk(value, memory.size[0]), scale, knobs, memory)
            _view(scale, slot, knobs, memory, views)
            for view in range(VIEWS):
                row = scale * VIEWS + view
                rarities[i, row] = _tail(views[view], row, knobs, memory) if isfinite(views[view]) else 0.0
        memory.profiled[slot] += 1
        memory.place[1] += 1
        memory.weight[0] *= 2.0 ** (1.0 / knobs.half_life)
        if memory.weight[0] > 2.0**20:
            memory.weight[0] /= 2.0**20
            memory.weights[:] /= 2.0**20
            memory.amounts[:] /= 2.0**20


@_compiled
def _shrunk(value: float, size: float) -> float:
    return asinh(max(-GREATEST, min(GREATEST, KNEE * (value / size)))) if value else 0.0


@_compiled
def _make_room(knobs: Knobs, memory: Memory) -> None:
    """One place further to the front of the ring, or back to its end, with all that is still asked for."""
    ring, place = memory.ring, memory.place
    if place[0] == 0:
        kept = knobs.history + knobs.lags[-1] + 1
        place[0] = ring.shape[1] - kept
        for scale in range(SCALES):
            for k in range(kept - 1, -1, -1):
                ring[scale, place[0] + k] = ring[scale, k]
    place[0] -= 1


@_compiled
def _push(value: float, scale: int, knobs: Knobs, memory: Memory) -> None:
    """The value in units, at the front of the ring; distances follow."""
    ring, measure, distances = memory.ring[scale], memory.measure[scale], memory.distances[scale]
    place = memory.place[0]
    if memory.place[1] == 0:
        measure[0] = value
    apart = value - measure[0]
    if abs(apart) > max(LARGEST * measure[1], SMALLEST):
        _widen(abs(apart), scale, knobs, memory)
    y = floor(apart / measure[1] + 0.5) if measure[1] else 0.0
    ring[place] = y
    now, history = ring[place:], knobs.history
    for row in range(len(knobs.lags)):
        lag = knobs.lags[row]
        _slide(y, now[lag], now[1 : 1 + history], now[1 + lag : 1 + lag + history], distances[row, 1:])


@_compiled
def _slide(y: float, gone: float, others: Floats, gone_others: Floats, sums: Floats) -> None:
    for k in range(len(sums)):
        new, old = y - others[k], gone - gone_others[k]
        sums[k] += new * new - old * old


@_compiled
def _widen(largest: float, scale: int, knobs: Knobs, memory: Memory) -> None:
    """A unit in which `largest` fits; what is known is rounded to it."""
    measure, ring, place = memory.measure[scale], memory.ring[scale], memory.place[0]
    unit = 2.0 ** ceil(log2(largest / ROOMY))
    for k in range(place + 1, len(ring)):
        ring[k] = floor(ring[k] * (measure[1] / unit) + 0.5)
    measure[1] = unit
    recount(scale, place + 1, knobs, memory)


@_compiled
def recount(scale: int, place: int, knobs: Knobs, memory: Memory) -> None:
    """Makes the sums anew from the ring whose latest value stands at `place`."""
    now = memory.ring[scale, place:]
    total = 0.0
    for k in range(knobs.history):
        total += now[k]
    memory.measure[scale, 2] = total
    for row in range(len(knobs.lags)):
        lag = knobs.lags[row]
        for k in range(1, knobs.history + 1):
            total = 0.0
            for j in range(lag):
                apart = now[j] - (now[j + k] if j + k < len(now) else 0.0)
                total += apart * apart
            memory.distances[scale, row, k] = total


@_compiled
def _view(scale: int, slot: int, knobs: Knobs, memory: Memory, views: Floats) -> None:
    """The eight views of the latest value, each the larger the odder; NaN where too little is known."""
    points, measure, now = memory.place[1], memory.measure[scale], memory.ring[scale, memory.place[0] :]
    views[:] = np.nan
    y, unit, history = now[0], measure[1], knobs.history
    mean = measure[2] / max(1, min(points, history))
    if points >= LEAST_POINTS:
        views[LEVEL] = abs(y - mean) * unit
        views[SHORT] = abs(_mean(now, knobs.short) - mean) * unit
    if points >= knobs.long:
        views[LONG] = abs(_mean(now, knobs.long) - mean) * unit
    for row in range(len(knobs.lags)):
        lag = knobs.lags[row]
        first, last = max(lag, knobs.apart), min(history, points - lag + 1)
        if last >= first + lag:
            nearest = _nearest(memory.distances[scale, row], first, last, knobs.nearest)
            views[NEAREST + row] = sqrt(nearest / lag) * unit
    measure[2] += y - now[history]
    residual, known = 0.0, memory.profiled[slot]
    usual = memory.profile[scale, slot]
    value = y * unit
    latest = memory.residuals[scale]
    if known:
        residual = value - usual
        views[TIME_OF_DAY] = abs(residual)
    latest[points % knobs.residuals] = residual
    if known and points >= knobs.residuals:
        views[TIMES_OF_DAY] = abs(_mean(latest, knobs.residuals))
    memory.profile[scale, slot] = usual + (value - usual) * max(knobs.profile_weight, 1.0 / (known + 1))


@_compiled
def _mean(values: Floats, count: int) -> float:
    total = 0.0
    for k in range(count):
        total += values[k]
    return total / count


@_compiled
def _nearest(sums: Floats, first: int, last: int, rank: int) -> float:
    """The `rank`-th smallest (1 to 8) of sums[first..last]."""
    least = np.full(8, np.inf)
    for start in range(first, last + 1, CHUNK):
        end = min(start + CHUNK, last + 1)
        if _below(sums[start:end], least[rank - 1]):
            for k in range(start, end):
                _insert(sums[k], least, rank)
    return float(least[min(rank, last + 1 - first) - 1])


@_compiled
def _below(values: Floats, limit: float) -> int:
    """How many: counting is compiled to vectors, a least value is not."""
    count = 0
    for k in range(len(values)):
        count += 1 if values[k] < limit else 0
    return count


@_compiled
def _insert(value: float, least: Floats, rank: int) -> None:
    """Into its place among the `rank` least."""
    if value < least[rank - 1]:
        j = rank - 1
        while j > 0 and least[j - 1] > value:
            least[j] = least[j - 1]
            j -= 1
        least[j] = value


@_compiled
def _tail(x: float, row: int, knobs: Knobs, memory: Memory) -> float:
    """-log10 of the share of `x` or more, capped: counted, and in the tail by an exponential; then learns `x`."""
    weights, amounts = memory.weights[row], memory.amounts[row]
    if memory.seen[row] == 0 or memory.least[row] == -np.inf:
        memory.least[row] = log2(x) - SLOTS / SLOTS_PER_OCTAVE / 2 if x > 0 else -np.inf
    slot = 0
    if x > 0:
        slot = min(SLOTS - 1, max(0, floor((log2(x) - memory.least[row]) * SLOTS_PER_OCTAVE)))
    found = 0.0
    if memory.seen[row] >= knobs.least_seen:
        found = min(knobs.cap, _rarity(x, slot, memory.least[row], weights, amounts, knobs.tail))
    weights[slot] += memory.weight[0]
    amounts[slot] += memory.weight[0] * x
    memory.seen[row] += 1
    return found


@_compiled
def _rarity(x: float, slot: int, least: float, weights: Floats, amounts: Floats, tail: float) -> float:
    everything = weights.sum()
    above, amount, k = 0.0, 0.0, SLOTS - 1
    while k > 0 and above + weights[k] < tail * everything:
        above += weights[k]
        amount += amounts[k]
        k -= 1
    start, share = 0.0, 1.0
    if k > 0:  # the tail starts within slot k, where values are taken to be spread evenly
        low, high = 2.0 ** (least + k / SLOTS_PER_OCTAVE), 2.0 ** (least + (k + 1) / SLOTS_PER_OCTAVE)
        share = (tail * everything - above) / weights[k]
        start = high - share * (high - low)
        amount += share * weights[k] * (start + high) / 2
    else:
        amount += amounts[k]
    above += share * weights[k]
    excess = amount / above - start
    if x > start and excess <= 1e-9 * start:
        return np.inf
    if x >= start:
        return -log10(above / everything) + float((x - start) / (max(excess, 1e-300) * log(10.0)))
    above += (1.0 - share) * weights[k] * (0.5 if slot == k else 1.0)
    for j in range(k - 1, slot - 1, -1):
        above += weights[j] * (0.5 if slot == j else 1.0)
    return -log10(min(1.0, above / everything))


@_compiled
def decide(surprise: Floats, threshold: float, knobs: Knobs, alerts: Floats, fires: NDArray[np.bool_]) -> None:
    """Which surprises are alerts: above what is asked now, more than `hold` points after the last."""
    fade, forget = 0.5 ** (1.0 / knobs.fade), 0.5 ** (1.0 / knobs.forget)
    for i in range(len(surprise)):
        s = surprise[i]
        fires[i] = False
        if not isfinite(s):
            continue
        alerts[0] += 1.0
        alerts[1] *= forget
        alerts[2] *= fade
        asked = threshold * (1.0 + knobs.rise * alerts[1]) + knobs.boost * alerts[2]
        if s >= asked and alerts[0] > knobs.hold:
            fires[i] = True
            alerts[0], alerts[1] = 0.0, alerts[1] + 1.0
        if alerts[0] <= knobs.hold:
            alerts[2] = max(alerts[2], s)
