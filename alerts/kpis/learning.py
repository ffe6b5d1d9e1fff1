"""What the panels learn: each hour what was in it, each whole window how far it strayed.

An hour far out is taken as if it were `FURTHEST` standard deviations out, and one in which the series was unusual as
`ODD`: a fault is hardly learned, and what lasts is usual in the end. What was silent is not learned at all.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from alerts.kpis import structure
from alerts.kpis.expectation import Counts, Floats, Moment, Rates, day_cell, levels, noise, sums
from alerts.kpis.panel import SPREAD_PRIOR, STORES, WEEK_HOURS, Panel
from alerts.kpis.series import AOV, COUNTS, PLACE, SHARES

HOUR = 60
CELL_MEMORY = 0.8  # of how an hour differs: half of it is from the last three times
DAY_MEMORY = 0.8  # of a root's rate in an hour of the day, by day
LEVEL_MEMORY = 0.5 ** (1 / (24 * 4))  # of a store's level, by hour: half of it is from the last four days
FURTHEST, ODD = 3.0, 0.5
SPREAD_MEMORY = 0.01  # a whole window counts for so much
SPREAD_SHARED = 8.0  # windows' worth of belief that a dimension strays as all of its kind do
BOUNDS = ((COUNTS, 0.01, 1.0), (SHARES, 0.004, 1.0), (AOV, 0.01, 9.0))  # squared: none runs more evenly than to 10 %
JUMP_BOUNDS = ((COUNTS, 0.0025, 1.0), (SHARES, 0.0025, 1.0), (AOV, 0.01, 9.0))  # nor than to 5 % of what it was
WELL_KNOWN = 0.05  # squared relative error of a mean: until it is known so well, how far windows stray is not learned
SPREAD_FURTHEST = 3.0
TRIED = 20.0  # trials' worth of belief that a root's share in an hour was as expected

Flags = NDArray[np.bool_]
Bounds = tuple[tuple[slice | int, float, float], ...]


class Hour(NamedTuple):
    """An hour that has ended: its rates as they were expected, and which series were unusual or silent in it."""

    number: int  # since the epoch
    moment: Moment
    rates: Rates
    odd: Flags
    silent: Flags  # what was not there to be seen


def spread(panel: Panel) -> Floats:
    """Squared relative deviation of windows beyond chance, [windows, SERIES, dims]; of amounts, an order's variance."""
    over, under = (panel.learned[name].astype(np.float64) for name in ("over", "under"))
    return _shared(over, under, panel, BOUNDS)


def jump_spread(panel: Panel) -> Floats:
    """The same of windows that are held against those before, [jumps, SERIES, dims]."""
    over, under = panel.learned["jumped"].astype(np.float64)
    return _shared(over, under, panel, JUMP_BOUNDS)


def _shared(over: Floats, under: Floats, panel: Panel, bounds: Bounds) -> Floats:
    alike = _alike(panel)
    usual = (over @ alike) / (under @ alike) @ alike.T
    found = (over + SPREAD_SHARED * usual) / (under + SPREAD_SHARED)
    for kind, low, high in bounds:
        found[:, kind] = np.clip(found[:, kind], low, high)
    return np.asarray(found)


def _alike(panel: Panel) -> Floats:
    """Which dimensions are of which kind, [dims, kinds]; of stores, all are of one."""
    if panel.layer == STORES:
        return np.ones((len(panel.dims), 1))
    kinds = np.array([dim.partition(":")[0] for dim in panel.dims])
    return np.asarray(kinds[:, None] == np.unique(kinds), np.float64)


def learn_spread(panel: Panel, window: int, seen: Floats, of: Floats, mean: Floats, blur: Floats, calm: Flags) -> None:
    """Takes a whole window of what is `calm` in it."""
    kept = panel.learned["over"][window], panel.learned["under"][window]
    _learn(*kept, spread(panel)[window], seen, of, mean, blur, calm)
    panel.touch("learned")


def learn_jumps(panel: Panel, jump: int, seen: Floats, of: Floats, mean: Floats, blur: Floats, calm: Flags) -> None:
    """The same, of a window that is held against those before."""
    over, under = panel.learned["jumped"][:, jump]
    _learn(over, under, jump_spread(panel)[jump], seen, of, mean, blur, calm)
    panel.touch("learned")


def _learn(
    over: Any, under: Any, known: Floats, seen: Floats, of: Floats, mean: Floats, blur: Floats, calm: Flags
) -> None:
    expected, chance = of * mean, noise(of, mean) + (of * mean) ** 2 * blur
    far = SPREAD_FURTHEST * np.sqrt(chance + known * expected**2)
    weight = (SPREAD_PRIOR * expected**2 / (chance + SPREAD_PRIOR * expected**2 + 1e-12)) ** 2
    beyond = weight * (np.minimum(np.abs(seen - expected), far) ** 2 - chance) / (expected**2 + 1e-12)
    orders = np.maximum(of[AOV], 1)
    strayed = np.abs(seen[AOV] / orders - mean[AOV]) * np.sqrt(orders)
    beyond[AOV] = np.minimum(strayed, SPREAD_FURTHEST * np.sqrt(known[AOV])) ** 2
    weight[AOV] = of[AOV] > 0
    weight = np.where(calm & (blur < WELL_KNOWN) & np.isfinite(mean), weight, 0.0)
    over += np.where(weight > 0, beyond - SPREAD_MEMORY * weight * over, 0.0).astype(np.float32)
    under += (weight * (1 - SPREAD_MEMORY * under)).astype(np.float32)


def _tamed(panel: Panel, seen: Floats, of: Floats, mean: Floats, blur: Floats, chance: Floats, hour: Hour) -> Floats:
    """What is seen, pulled in where it is far from what was expected."""
    expected, strays = of * mean, spread(panel)[-1]
    variance = chance + expected**2 * (strays + blur)
    variance[AOV] = of[AOV] * strays[AOV] + of[AOV] ** 2 * blur[AOV]
    far = np.where(hour.odd, ODD, FURTHEST) * np.sqrt(variance)
    tamed = expected + np.clip(seen - expected, -far, far)
    return np.where(np.isfinite(tamed), tamed, seen)


def learn_roots(panel: Panel, hour: Hour) -> None:
    counts, learned, at = panel.course["hour"], panel.learned, hour.number % 24
    seen, of = sums(counts, HOUR)
    found = hour.rates
    tamed = _tamed(panel, seen, of, found.mean, found.blur, noise(of, found.mean), hour)
    z = structure.covariates(rain(counts, panel.course["wet"]), *hour.moment)
    log, _ = structure.multiplier(learned["mean"], learned["cov"], z)
    structure.step(learned["mean"], learned["cov"])
    strayed, variance, known = _relative(tamed, of, found.mean, spread(panel)[-1])
    structure.learn(learned["mean"], learned["cov"], z, strayed, np.where(hour.odd, 100.0, 1.0) * variance, known)
    exposed, day = of * np.exp(log) * found.week, learned["day"][:, :, at]
    fresh = np.stack([tamed, exposed])
    fresh[0, AOV], fresh[1, AOV] = tamed[AOV] - of[AOV] * (log[AOV] + found.week[AOV]), of[AOV]
    day[...] = np.where(hour.silent, day, day * DAY_MEMORY + fresh)
    learned["days"][at] += ~hour.silent[0]
    _learn_cell(panel, hour.number % WEEK_HOURS, tamed, of, found.base, ~hour.silent)
    panel.touch("learned")


def rain(counts: Counts, before: Floats) -> Floats:
    """Share of orders that were told of rain; where there are none, as it was before."""
    orders = counts[PLACE["orders"]]
    return np.where(orders > 0, np.clip(counts[PLACE["wet_orders"]] / np.maximum(orders, 1), 0, 1), before)


def _relative(tamed: Floats, of: Floats, mean: Floats, strays: Floats) -> tuple[Floats, Floats, Flags]:
    """How far an hour strayed on the logarithm's scale, the variance of that, and where it is known."""
    expected = of * mean
    known = np.isfinite(expected) & (of > 0)
    known[:AOV] &= expected[:AOV] > 1e-9
    safe = np.where(known, np.where(expected == 0, 1.0, expected), 1.0)
    strayed, variance = tamed / safe - 1, noise(of, np.where(known, mean, 0.0)) / safe**2 + strays
    orders = np.maximum(of[AOV], 1)
    strayed[AOV], variance[AOV] = tamed[AOV] / orders - mean[AOV], strays[AOV] / orders + 1e-4
    return np.where(known, strayed, 0.0), variance, known


def _learn_cell(panel: Panel, cell: int, tamed: Floats, of: Floats, base: Floats, learns: Flags) -> None:
    profile = panel.cell(cell)
    fresh = np.stack([tamed, of * base])
    fresh[0, AOV], fresh[1, AOV] = tamed[AOV] - of[AOV] * base[AOV], of[AOV]
    profile[...] = np.where(learns & np.isfinite(base), profile * CELL_MEMORY + fresh, profile)
    panel.touch(f"cell|{cell}")


def learn_stores(panel: Panel, hour: Hour, roots: Panel, of_roots: Rates) -> None:
    """Against what their roots saw in the same hour, so that a day that is good for all moves no share."""
    seen, of = sums(panel.course["hour"], HOUR)
    parent, (level, error), found = panel.learned["parent"], levels(panel), hour.rates
    above, above_of = sums(roots.course["hour"], HOUR)
    exposed = of.copy()
    exposed[COUNTS] = above[COUNTS][:, parent]
    expected = np.where(np.isfinite(of_roots.mean[SHARES]), of_roots.mean[SHARES], 0.0)
    share = (above[SHARES] + TRIED * expected) / (above_of[SHARES] + TRIED)
    exposed[SHARES] *= share[:, parent]
    amount = above[AOV] / np.maximum(above_of[AOV], 1)
    seen[AOV] -= of[AOV] * amount[parent]
    ratio = found.day * found.week
    ratio[AOV] = found.day[AOV] + found.week[AOV]
    mean, by_day, by_week = level * ratio, level * found.day, level * found.week
    for array, amount in ((mean, ratio), (by_day, found.day), (by_week, found.week)):
        array[AOV] = level[AOV] + amount[AOV]
    tamed = _tamed(panel, seen, exposed, mean, error, exposed * mean, hour)
    tamed = np.where(panel.cell(day_cell(hour.number))[1] > 0, tamed, seen)  # nothing is known of the hour yet
    learns, kept = ~hour.silent & (above_of[AOV][parent] > 0), panel.learned["level"]
    placed = learns & (kept[1] > 0)  # how an hour differs from a level shows only when there is one
    _learn_cell(panel, hour.number % WEEK_HOURS, tamed, exposed, by_day, placed)
    _learn_cell(panel, day_cell(hour.number), tamed, exposed, by_week, placed)
    fresh = np.stack([tamed, exposed * ratio])
    fresh[0, AOV], fresh[1, AOV] = tamed[AOV] - of[AOV] * ratio[AOV], of[AOV]
    kept[...] = np.where(learns, kept * LEVEL_MEMORY + fresh, kept)
    panel.touch("learned")
