"""What others would say of the same series, value by value: larger is odder. None sees a whole file."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from math import log10, sqrt

import numpy as np
from river import anomaly, preprocessing, stats, time_series

from benchmarks.nab_score import Floats, Series

Told = Callable[[Series], Floats]
WINDOW = 8  # values that HalfSpaceTrees sees at once


def half_space_trees(series: Series) -> Floats:
    """River's, on the last values, scaled by the least and greatest so far."""
    scaler = preprocessing.MinMaxScaler()
    trees = anomaly.HalfSpaceTrees(n_trees=10, height=8, window_size=250, seed=1)
    return np.array([*_trees(series.values, scaler, trees)])


def _trees(values: Floats, scaler: preprocessing.MinMaxScaler, trees: anomaly.HalfSpaceTrees) -> Iterator[float]:
    last = deque([0.0] * WINDOW, WINDOW)
    for value in values.tolist():
        scaler.learn_one({"value": value})
        last.append(scaler.transform_one({"value": value})["value"])
        row = dict(enumerate(last))
        yield trees.score_one(row)
        trees.learn_one(row)


def snarimax(series: Series) -> Floats:
    """How far from River's SNARIMAX (p = 8, d = 0, q = 0), in deviations of its past errors."""
    return np.array([*_residuals(series, stats.EWVar(0.001))])


def _residuals(series: Series, spread: stats.EWVar) -> Iterator[float]:
    scaler, model = preprocessing.StandardScaler(), time_series.SNARIMAX(p=8, d=0, q=0)
    for i, value in enumerate(series.values.tolist()):
        scaler.learn_one({"value": value})
        known = scaler.transform_one({"value": value})["value"]
        error = abs(known - model.forecast(horizon=1)[0]) if i > WINDOW else 0.0
        error = min(error, 1e6) if error == error else 1e6
        yield error / sqrt(spread.get() + 1e-12) if i > 100 else 0.0
        spread.update(error)
        model.learn_one(known)


def quantile_filter(series: Series) -> Floats:
    """River's QuantileFilter idea without its one threshold: excess over the 99 % quantile of distances to the mean."""
    mean, high, found = stats.EWMean(0.002), stats.Quantile(0.99), []
    for i, value in enumerate(series.values.tolist()):
        distance = abs(value - mean.get()) if i else 0.0
        usual = high.get() or 0.0
        found.append(min(1e3, distance / usual) if i > 100 and usual > 0 else 0.0)
        high.update(distance)
        mean.update(value)
    return np.array(found)


def spot(series: Series) -> Floats:
    """Siffer et al. (2017), DSPOT: -log10 p of the distance to the last values' mean, by a Pareto tail."""
    last, peaks, found, start = deque[float](maxlen=WINDOW * 4), deque[float](maxlen=500), [], 0.0
    first, shape, scale, seen = list[float](), 0.0, 1.0, 0
    for value in series.values.tolist():
        distance = abs(value - sum(last) / len(last)) if last else 0.0
        last.append(value)
        seen += 1
        if seen <= 200:
            first.append(distance)
            found.append(0.0)
            if seen == 200:
                start = float(np.quantile(first, 0.98))
                peaks.extend(x - start for x in first if x > start)
                shape, scale = _pareto(peaks)
            continue
        found.append(_rarity(distance - start, shape, scale) if distance > start else 0.0)
        if distance > start:
            peaks.append(distance - start)
            shape, scale = _pareto(peaks)
    return np.array(found)


def _pareto(peaks: deque[float]) -> tuple[float, float]:
    """(shape, scale) by moments."""
    mean, variance = float(np.mean(peaks or [0.0])), float(np.var(peaks or [0.0]))
    if not mean or not variance:
        return 0.0, mean or 1e-12
    ratio = mean * mean / variance
    return max(0.0, (1 - ratio) / 2), max(mean * (1 + ratio) / 2, 1e-12)


def _rarity(excess: float, shape: float, scale: float) -> float:
    if shape < 1e-6:
        return min(300.0, excess / scale / 2.302585)
    return min(300.0, log10(1 + shape * excess / scale) / shape)


OTHERS: dict[str, Told] = {
    "HalfSpaceTrees (River)": half_space_trees,
    "SNARIMAX residual (River)": snarimax,
    "QuantileFilter (River)": quantile_filter,
    "DSPOT": spot,
}
