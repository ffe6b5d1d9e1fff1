"""How a root has run lately against its rates, so that a minute can be held against the hour before it.

A good day, warm weather or a trend move all minutes of an hour alike; what changes within minutes is a fault. What the
minutes before the latest ones came to is a gamma posterior round the rates (of amounts, a normal one), whose prior is
as wide as hours stray. While a series is unusual, what it ran at before stays.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from alerts.kpis.expectation import Floats
from alerts.kpis.panel import BASE, QUIET, Panel
from alerts.kpis.screen import expect, seen_of, shares_of
from alerts.kpis.series import AOV, TABLE

AMOUNT_STRAYS = 0.0025  # squared: a mean amount strays by 5 % from one hour to the next


class Ran(NamedTuple):
    """[SERIES, dims]: logarithm of what a root ran at, its rates being 1, and the squared error of that."""

    log: Floats
    error: Floats


def before(panel: Panel, minute: int, rates: tuple[Floats, Floats, Floats], strays: Floats, sums: Any,
           rain: Floats) -> Ran:  # fmt: skip
    """`strays`: of an hour; `sums` of the minutes before the latest, `rain` what it did in them."""
    seen, of, mean = hour_before(sums, minute, panel.window, TABLE, *rates)
    mean = np.where(np.isfinite(mean), mean, 0.0)
    expected, prior = of * mean * np.exp(rain), 1 / strays
    log, error = np.log((seen + prior) / (expected + prior)), 1 / (seen + prior)
    orders = of[AOV]
    belief = orders / (orders + strays[AOV] / AMOUNT_STRAYS)
    log[AOV] = belief * (seen[AOV] / np.maximum(orders, 1) - mean[AOV] - rain[AOV])
    error[AOV] = (1 - belief) * AMOUNT_STRAYS
    quiet = panel.course["state"] == QUIET
    return Ran(np.where(quiet, log, panel.course["ran"]), error)


@njit(cache=True, nogil=True)
def hour_before(sums: Any, minute: int, length: int, table: Any, former: Any, now: Any, after: Any) -> Any:
    """Of the minutes of the longest window before the latest: seen, of, expected rate."""
    series, dims = now.shape
    over, under, kinds = table[0], table[1], table[2]
    seen, of, mean = np.zeros(now.shape), np.zeros(now.shape), np.zeros(now.shape)
    all_parts, late_parts = shares_of(minute % 60, length), shares_of(minute % 60, BASE)
    for k in range(series):
        for d in range(dims):
            seen[k, d], of[k, d] = seen_of(sums, over, under, kinds, length - BASE, k, d)
            whole, _, _ = expect(former[k, d], now[k, d], after[k, d], all_parts)
            late, _, _ = expect(former[k, d], now[k, d], after[k, d], late_parts)
            mean[k, d] = (length * whole - BASE * late) / (length - BASE)
    return seen, of, mean
