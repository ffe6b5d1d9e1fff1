"""The latest minutes of a root against those before them: what changes at once is no good day and no weather.

What the minutes before the latest came to is a gamma posterior round their rates (of amounts, a normal one), whose
prior is as wide as hours stray. While a series is unusual, what it ran at before stays. Rates are those of the hour
times how its quarters differ, as a root is large enough for that to be known; until it is, anything is usual.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from alerts.kpis.expectation import Counts, Floats, Rates, sums
from alerts.kpis.panel import BASE, QUARTER, QUIET, Panel
from alerts.kpis.series import AOV, COUNTS

AMOUNT_STRAYS = 0.0025  # squared: a mean amount strays by 5 % from one hour to the next
KNOWN = 50.0  # events of a quarter: until there were so many, it is not judged
EVEN = 5.0  # events' worth of belief that a quarter is as its hour
FURTHEST = 3.0  # standard deviations
MISLED = 0.005  # squared, of a rate: a wet hour of the days before is held to be the hour's own
LEAST_SEEN = 0.5  # events: where none came before, none is what goes on
MEMORY = 0.8  # of a quarter, by day
QUARTERS = 60 // QUARTER

RatesOf = Callable[[int], Rates]  # of an hour since the epoch


class Ran(NamedTuple):
    """[SERIES, dims]: logarithm of what a root ran at, its rates being 1; squared error of that; what it came to."""

    log: Floats
    error: Floats
    rate: Floats

    def shift(self, now: Floats, blur: Floats) -> Floats:
        """Against the rates of then, and of now: what the rates foresee and what goes on as it was are both usual.

        Of counts that are known well the latter only as far as rates may be wrong: a fault that begins when a rise is
        due is no rise that does not come.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            on = np.log(self.rate / now)
        on[AOV] = self.rate[AOV] - now[AOV]
        doubt = FURTHEST * np.sqrt(blur + MISLED)
        near = np.clip(on, self.log - doubt, self.log + doubt)
        on[COUNTS] = np.where(self.rate[COUNTS] >= KNOWN / BASE, near[COUNTS], on[COUNTS])
        return np.stack([self.log, np.where(np.isfinite(on), on, 0.0)])


def quarter_rates(panel: Panel, quarter: int, of_hour: RatesOf) -> Rates:
    """Of a quarter since the epoch."""
    found = of_hour(quarter // QUARTERS)
    seen, even = panel.learned["quarters"][:, :, quarter % (24 * QUARTERS)]
    mean, blur = found.mean.copy(), found.blur.copy()
    mean[COUNTS] *= (seen + EVEN) / (even + EVEN)
    blur[COUNTS] += np.where(even >= KNOWN, 1 / (seen + EVEN), np.inf)
    return found._replace(mean=mean, blur=blur)


def learn_quarters(panel: Panel, hour: int, learns: NDArray[np.bool_]) -> None:
    """How an hour that has ended came by quarters."""
    whole = panel.course["hour"]
    for place, counts in enumerate(panel.course["quarters"]):
        kept = panel.learned["quarters"][:, :, hour % 24 * QUARTERS + place]
        fresh = np.stack([_counted(counts), _counted(whole) / QUARTERS])
        kept[...] = np.where(learns[COUNTS], kept * MEMORY + fresh, kept)
    panel.touch("learned")


def _counted(counts: Counts) -> Floats:
    return sums(counts, QUARTER)[0][COUNTS]


def ran_before(panel: Panel, minute: int, of_hour: RatesOf, strays: Floats, counts: Counts, rain: Floats) -> Ran:
    """`strays`: of an hour; `counts` of the minutes before the latest, `rain` what it did in them."""
    length = panel.window - BASE
    first, last = minute - panel.window + 1, minute - BASE
    mean = np.zeros(strays.shape)
    for quarter in range(first // QUARTER, last // QUARTER + 1):
        minutes = min(last, quarter * QUARTER + QUARTER - 1) - max(first, quarter * QUARTER) + 1
        mean += quarter_rates(panel, quarter, of_hour).mean * (minutes / length)
    known = np.isfinite(mean)
    mean = np.where(known, mean, 0.0)
    seen, of = sums(counts, length)
    expected, prior = of * mean * np.exp(rain), 1 / strays
    log, error = np.log((seen + prior) / (expected + prior)), 1 / (seen + prior)
    orders = of[AOV]
    belief = orders / (orders + strays[AOV] / AMOUNT_STRAYS)
    log[AOV] = belief * (seen[AOV] / np.maximum(orders, 1) - mean[AOV] - rain[AOV])
    error[AOV] = (1 - belief) * AMOUNT_STRAYS
    rate = (seen + LEAST_SEEN) / np.maximum(of, 1)
    rate[AOV] = seen[AOV] / np.maximum(orders, 1)
    quiet, (kept, kept_rate) = panel.course["state"] == QUIET, panel.course["ran"]
    return Ran(np.where(quiet, np.where(known, log, 0.0), kept), error, np.where(quiet, rate, kept_rate))
