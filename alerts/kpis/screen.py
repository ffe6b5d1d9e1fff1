"""The compiled part of judging: sums of the latest windows, what is expected of them, which are worth an exact tail.

Within an hour nobody knows the minute at which a store opens, so a window is low only against the lower of its hour and
the next one to it, high against the higher. `tests/alerts/kpis/test_verdict.py` holds it against a slow twin.
"""

from __future__ import annotations

from math import exp, isfinite, isnan, log, sqrt
from typing import Any

import numpy as np
from numba import njit

COUNT, SHARE, AMOUNT = 0, 1, 2
SCREEN = 3.0  # standard deviations: what is nearer is not rare
LEAST_CHANGE = np.array([0.3, 0.25, 0.2])  # by kind, of what is expected: a smaller one is nobody's business
LEAST_JUMP = np.array([0.2, 0.2, 0.15])  # of a root's latest minutes against those before them
LEAST_UNITS = 5.0  # orders, redemptions, …
SURE = 20.0  # expected in a window shorter than the longest: in fewer, a party of guests looks like a fault
SURE_SHARE = 10.0  # seen of a share in a jump: a party is in what it is a share of as well
MOST = 0.7  # of what a share is of: with less, it is not judged, for visitors are told later than their orders
WHOLE = 0.999  # the greatest share that is expected
CALM = 1.0  # standard deviations: nearer than that a window is as usual, whatever the longer ones still hold
CLEAR = 2.0  # standard deviations: had it gone on, a window that is as usual would be so far out


@njit(cache=True, nogil=True)
def window_sums(ring: Any, minute: int, widths: Any) -> Any:
    """[windows, counters, dims] of a ring [window, counters, dims] by minute modulo its length."""
    length, counters, dims = ring.shape
    found = np.zeros((len(widths), counters, dims), np.int64)
    for place in range(len(widths)):
        start = 0
        if place:
            start = widths[place - 1]
            found[place] = found[place - 1]
        for back in range(start, widths[place]):
            slot = (minute - back) % length
            for counter in range(counters):
                for dim in range(dims):
                    found[place, counter, dim] += ring[slot, counter, dim]
    return found


@njit(cache=True, nogil=True)
def seen_of(counts: Any, over: Any, under: Any, kinds: Any, minutes: float, series: int, dim: int) -> Any:
    """What is seen of what: counts of minutes, successes of trials, the sum of logarithms of orders."""
    seen = float(max(0, counts[over[series], dim]))
    if kinds[series] == COUNT:
        return seen, minutes
    of = float(max(0, counts[under[series], dim]))
    if kinds[series] == SHARE:
        return seen, max(of, seen)  # a redemption may be told before its order
    if seen > 0 and of > 0:
        return of * log(seen / of), of
    return 0.0, 0.0


@njit(cache=True, nogil=True)
def least(a: float, b: float) -> float:
    return b if isnan(a) else a if isnan(b) else min(a, b)


@njit(cache=True, nogil=True)
def most(a: float, b: float) -> float:
    return b if isnan(a) else a if isnan(b) else max(a, b)


@njit(cache=True, nogil=True)
def shares_of(place: int, width: int, slot: int) -> Any:
    """Of a window that ends with a minute of an hour: its parts in the first and second half of it, in the one before,
    and in that before it.

    `slot`: minutes of the hour, or of what rates are known of instead.
    """
    of_now = min(width, place + 1)
    early = max(0, min(place, slot // 2 - 1) - (place - of_now))
    former = min(width - of_now, slot)
    return early / width, (of_now - early) / width, former / width, (width - of_now - former) / width


@njit(cache=True, nogil=True)
def expect(earlier: float, before: float, now: float, after: float, parts: Any) -> Any:
    """Mean rate over a window, the least and the greatest that it may have been."""
    early, late, former, far = parts
    before = now if isnan(before) else before
    mid = (early + late) * now + former * before + far * (before if isnan(earlier) else earlier)
    low = (early + former) * least(before, now) + late * least(now, after) + far * least(earlier, before)
    high = (early + former) * most(before, now) + late * most(now, after) + far * most(earlier, before)
    return mid, least(mid, low), most(mid, high)


@njit(cache=True, nogil=True)
def shifted(kind: int, mid: float, low: float, high: float, ran: float, on: float, lower: bool) -> Any:
    """The mean as it ran before, the mean to judge by on the side where it is, the least and the greatest."""
    sunk, risen = min(0.0, ran), max(0.0, ran)
    if kind == AMOUNT:
        before, goes_on, low, high = mid + ran, mid + on, low + sunk, high + risen
    else:
        before, goes_on, low, high = mid * exp(ran), mid * exp(on), low * exp(sunk), high * exp(risen)
    if kind == SHARE:
        before, goes_on, high = min(before, WHOLE), min(goes_on, WHOLE), min(high, WHOLE)
    own = min(mid, before, goes_on) if lower else max(mid, before, goes_on)
    return before, own, min(low, goes_on), max(high, goes_on)


@njit(cache=True, nogil=True)
def as_usual(seen: Any, of: Any, mean: Any, sd: Any, kind: int) -> Any:
    """Whether the second of some windows is as usual, and would not be were it as the last or off by what matters."""
    short, whole = min(1, len(sd) - 1), len(sd) - 1
    if sd[short] == 0 or sd[whole] == 0 or abs(seen[short] - of[short] * mean[short]) >= CALM * sd[short]:
        return False
    one = of[short] if kind == AMOUNT else of[short] * mean[short]
    all_ = of[whole] if kind == AMOUNT else of[whole] * mean[whole]
    strayed = abs(seen[whole] - of[whole] * mean[whole]) * one / max(all_, 1e-12)
    return max(strayed, LEAST_CHANGE[kind] * one) >= CLEAR * sd[short]


@njit(cache=True, nogil=True)
def screen(
    sums: Any,
    minute: int,
    widths: Any,
    table: Any,
    earlier: Any,
    before: Any,
    now: Any,
    after: Any,
    blur: Any,
    strays: Any,
    rain: Any,
    rest: Any,
    shift: Any,
    slot: int,
) -> Any:
    """Of each window, series and dimension: seen, of, expected rate, rate to judge by, standard deviation, side, far.

    `rain`: logarithm of what it does in a window beyond what the rates hold, [windows, series, dims].
    `table`: by series, counter over and under, kind, shortest window, the count series that the counter under is, harm,
    and whether more than usual counts in the longest window alone.
    `rest`: minutes that a series may look back on. Last comes which series are as usual in the short windows.
    `slot`: minutes of which rates are given: fewer than 60 for jumps, of which no window is the longest, and where what
    is seen may be `SURE` as well as what is expected. `shift`, of jumps: logarithms of how a series ran before against
    its rates then, and against those of now, [2, series, dims].
    """
    jumps = slot < 60
    change = LEAST_JUMP if jumps else LEAST_CHANGE
    windows, series, dims = strays.shape
    over, under, kinds, shortest, counted, harm, lasting = table
    seen, of, mid = np.zeros(strays.shape), np.zeros(strays.shape), np.zeros(strays.shape)
    mean, sd = np.zeros(strays.shape), np.zeros(strays.shape)
    side, far = np.zeros(strays.shape, np.int8), np.zeros(strays.shape, np.bool_)
    recovers = np.zeros((series, dims), np.bool_)
    for w in range(windows):
        width, parts, longest = widths[w], shares_of(minute % slot, widths[w], slot), w == windows - 1 and not jumps
        for k in range(series):
            for d in range(dims):
                x, n = seen_of(sums[w], over, under, kinds, width, k, d)
                m, low, high = expect(earlier[k, d], before[k, d], now[k, d], after[k, d], parts)
                if kinds[k] == AMOUNT:
                    m, low, high = m + rain[w, k, d], low + rain[w, k, d], high + rain[w, k, d]
                elif rain[w, k, d] != 0:
                    wet = exp(rain[w, k, d])
                    m, low, high = m * wet, low * wet, high * wet
                if kinds[k] == SHARE:
                    m, low, high = min(m, WHOLE), min(low, WHOLE), min(high, WHOLE)
                usual = m
                if jumps:
                    ran, on = shift[0, k, d], shift[1, k, d]
                    m, usual, low, high = shifted(kinds[k], m, low, high, ran, on, x < n * m)
                seen[w, k, d], of[w, k, d], mid[w, k, d], mean[w, k, d] = x, n, m, usual
                if not isfinite(m) or rest[k, d] < width:
                    continue
                at = low if x < n * low else high if x > n * high else usual
                side[w, k, d] = -1 if x < n * low else 1 if x > n * high else 0
                mean[w, k, d] = at
                if kinds[k] == AMOUNT:
                    variance = n * strays[w, k, d] + n * n * blur[k, d]
                    matters = abs(x - n * usual) >= change[AMOUNT] * n and n >= LEAST_UNITS
                    enough = longest or n >= SURE
                else:
                    chance = n * at * (1 - at) if kinds[k] == SHARE else n * at
                    variance = chance + (n * at) ** 2 * (strays[w, k, d] + blur[k, d])
                    matters = abs(x - n * usual) >= max(LEAST_UNITS, change[kinds[k]] * n * usual)
                    enough = longest or n * usual >= SURE
                    enough |= jumps and x >= (SURE_SHARE if kinds[k] == SHARE else SURE)
                sd[w, k, d] = sqrt(variance + 1e-12)
                z = abs(x - n * at) / sd[w, k, d]
                if counted[k] >= 0:
                    c = counted[k]
                    comes, _, _ = expect(earlier[c, d], before[c, d], now[c, d], after[c, d], parts)
                    came = sums[w, under[k], d]
                    enough &= x <= came and (isnan(comes) or came >= MOST * comes * width)
                long = width >= shortest[k] and (longest or side[w, k, d] < 0 or not lasting[k])
                harms = side[w, k, d] != 0 and harm[k] != -side[w, k, d]
                far[w, k, d] = z >= SCREEN and harms and matters and enough and long
    for k in range(series):
        for d in range(dims):
            recovers[k, d] = as_usual(seen[:, k, d], of[:, k, d], mean[:, k, d], sd[:, k, d], kinds[k])
    return seen, of, mid, mean, sd, side, far, recovers
