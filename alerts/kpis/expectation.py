"""What is usual in an hour: profiles by the hour of the week, shrunk store → region → chain.

A root (chain, region, channel) has a rate by hour of the day, times what its structure says (`structure.py`). A store
has a share of its root's rate, so trend, weather, holidays and campaigns reach it through its root, and a new store has
its region's profile at a level of its own. Both are multiplied by how the hour of the week differs, a store also by how
its hour of the day does: gamma-Poisson posteriors whose priors are as wide as the layer's series differ there, which is
empirical Bayes. A share of two counters (conversion) is the same with the counter below in the place of time; a mean
amount is the same on its logarithm, with sums for products. Hours are those of UTC.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from alerts.kpis import structure
from alerts.kpis.panel import WEEK_HOURS, Panel
from alerts.kpis.series import ALIVE_MINUTES, AOV, COUNTS, KPIS, OVER, SHARE_UNDER, SHARES

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

LEAST_DIFFERENCE, MOST_DIFFERENCE = 0.002, 1.0  # squared, of an hour of the week from its base, between series
OUTLYING = 3.0
MOST_DAYS = 20
AMOUNT_PRIOR = 30.0  # orders' worth of belief that a mean amount is its root's
SHARE_PRIOR = 10.0  # successes' worth of belief that a store's share is its root's
DAY_STRAY = 0.06  # squared, of one day from the next: a rate of few days is known so badly
LEAST_SHARE, MOST_SHARE = 1e-5, 0.999


class Moment(NamedTuple):
    """What is known of an hour beforehand, as shares of it."""

    holiday: float = 0.0
    campaign: float = 0.0


class Rates(NamedTuple):
    """Of one hour, [SERIES, dims]: counts a minute, shares, logarithms of amounts; NaN where nothing is known."""

    mean: Floats
    blur: Floats  # squared relative error of it
    base: Floats  # without the two that follow
    day: Floats  # how the hour of the day differs from it: of stores, of which each has hours of its own
    week: Floats  # how the hour of the week differs from that of the day


def rates(panel: Panel, hour: int, moment: Moment, roots: Rates | None) -> Rates:
    """Of an hour since the epoch; a store's from those of its root."""
    if roots is None:
        base, blur = root_base(panel, hour, moment)
        day = np.ones(base.shape)
        day[AOV] = 0.0
    else:
        base, blur = _store_base(panel, roots)
        day, more = _differs(panel, day_cell(hour))
        blur += more
    week, more = _differs(panel, hour % WEEK_HOURS)
    mean = base * day * week
    mean[AOV] = base[AOV] + day[AOV] + week[AOV]
    mean[SHARES] = np.clip(mean[SHARES], LEAST_SHARE, MOST_SHARE)
    return Rates(mean, blur + more, base, day, week)


def day_cell(hour: int) -> int:
    """The place of an hour of the day among the profiles, behind those of the week."""
    return WEEK_HOURS + hour % 24


def root_base(panel: Panel, hour: int, moment: Moment) -> tuple[Floats, Floats]:
    learned, at = panel.learned, hour % 24
    seen, of = learned["day"][:, :, at]
    z = structure.covariates(panel.course["wet"], *moment)
    log, variance = structure.multiplier(learned["mean"], learned["cov"], z)
    days = np.clip(learned["days"][at], 1, MOST_DAYS)
    strayed = DAY_STRAY / days**2 * structure.SCALE
    rate = np.full(seen.shape, np.nan)
    np.divide(seen + 0.5, of, out=rate, where=of > 0)
    unsure = 1 / (seen + 0.5)
    rate[SHARES], unsure[SHARES] = _shrunk(learned["day"][:, SHARES], at)
    base, blur = rate * np.exp(log), variance + unsure + strayed
    base[AOV] = np.where(of[AOV] > 0, seen[AOV] / np.maximum(of[AOV], 1), np.nan) + log[AOV]
    blur[AOV] = variance[AOV] + strayed[AOV]
    return base, blur


def _shrunk(day: Floats, at: int) -> tuple[Floats, Floats]:
    """Shares in an hour of the day, shrunk to those of the whole day as far as hours differ; squared relative error."""
    (seen, of), (all_seen, all_of) = day, day.sum(axis=2)
    whole = np.where(all_of > 0, (all_seen + 0.5) / np.maximum(all_of, 1), np.nan)
    expected = np.nan_to_num(of * whole[:, None])
    beyond = ((seen - expected) ** 2 - expected).sum(axis=1)
    shape = 1 / np.clip(beyond / np.maximum((expected**2).sum(axis=1), 1e-9), LEAST_DIFFERENCE, MOST_DIFFERENCE)
    share = whole * (seen[:, at] + shape) / (expected[:, at] + shape)
    return np.where(of[:, at] > 0, share, np.nan), 1 / (seen[:, at] + shape) + 1 / (all_seen + 0.5)


def _store_base(panel: Panel, roots: Rates) -> tuple[Floats, Floats]:
    parent = panel.learned["parent"]
    level, blur = levels(panel)
    base = roots.mean[:, parent] * level
    base[AOV] = roots.mean[AOV, parent] + level[AOV]
    return base, roots.blur[:, parent] + blur


def levels(panel: Panel) -> tuple[Floats, Floats]:
    """Stores against their roots: a part of counts, a ratio of shares, a difference of amounts; its squared error."""
    seen, of = panel.learned["level"]
    usual, prior = np.ones(seen.shape), np.full((len(KPIS), 1), SHARE_PRIOR)
    usual[COUNTS] = _usual(panel.learned["parent"], seen[COUNTS], of[COUNTS])
    prior[COUNTS] = 1.0  # a store may well be twice as large as another
    level, blur = (seen + prior) / (of + prior / usual), 1 / (seen + prior)
    level[AOV], blur[AOV] = seen[AOV] / (of[AOV] + AMOUNT_PRIOR), 0.01 / (1 + of[AOV] / AMOUNT_PRIOR)
    return level, blur


def _usual(parent: NDArray[np.int64], seen: Floats, of: Floats) -> Floats:
    """The mean part that stores have of their root; of one about which nothing is known, an equal one."""
    alone = np.ones(seen.shape) / np.bincount(parent)[parent]
    alone[ALIVE_MINUTES] = 1.0
    whole = [np.stack([np.bincount(parent, row)[parent] for row in rows]) for rows in (seen, of)]
    return np.asarray((whole[0] + alone) / (whole[1] + 1.0))


def _differs(panel: Panel, cell: int) -> tuple[Floats, Floats]:
    """How an hour differs from its base, and the squared error of that."""
    seen, of = panel.cell(cell).astype(np.float64)
    shape = _shape(seen, of)
    ratio, blur = (seen + shape) / (of + shape), 1 / (seen + shape)
    ratio[AOV], blur[AOV] = seen[AOV] / (of[AOV] + AMOUNT_PRIOR), 0.0005 / (1 + of[AOV] / AMOUNT_PRIOR)
    return ratio, blur


def _shape(seen: Floats, of: Floats) -> Floats:
    """Of the gamma that the ratios in an hour are drawn from, [SERIES, dims]: by moments over the layer.

    A dimension beyond `OUTLYING` standard deviations is believed itself (Efron & Morris 1972): where most stores are
    open at an hour and differ little, one that is closed is not held to be open.
    """
    beyond = ((seen - of) ** 2 - of).sum(axis=1, keepdims=True)
    differ = beyond / np.maximum((of**2).sum(axis=1, keepdims=True), 1e-9)
    own = ((seen - of) ** 2 - OUTLYING**2 * of) / np.maximum(of**2, 1e-9)
    return np.asarray(1 / np.clip(np.maximum(differ, own), LEAST_DIFFERENCE, MOST_DIFFERENCE))


def sums(counts: Counts, minutes: float) -> tuple[Floats, Floats]:
    """What is seen, of what, [SERIES, dims]: counts of minutes, successes of trials, sums of logarithms of orders."""
    seen = counts[OVER].astype(np.float64)
    of = np.full(seen.shape, minutes, dtype=np.float64)
    of[SHARES] = np.maximum(counts[SHARE_UNDER], 0)
    orders = np.maximum(counts[KPIS[AOV].under], 0)
    paid = (orders > 0) & (seen[AOV] > 0)
    of[AOV] = np.where(paid, orders, 0)
    seen[AOV] = np.where(paid, orders * np.log(np.maximum(seen[AOV], 1) / np.maximum(orders, 1)), 0.0)
    seen[:AOV] = np.maximum(seen[:AOV], 0)
    of[SHARES] = np.maximum(of[SHARES], seen[SHARES])  # a redemption may be told before its order
    return seen, of


def noise(seen_of: Floats, mean: Floats) -> Floats:
    """Variance by chance alone of sums over `seen_of` at a rate, amounts left out."""
    expected = seen_of * mean
    expected[SHARES] *= 1 - mean[SHARES]
    expected[AOV] = 0.0
    return expected
