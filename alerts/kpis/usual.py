"""What is usual of a dimension's KPIs, slot by slot, as the judge knows it now: for who looks, not for who is called.

It is what an alert is measured against: within an hour nobody knows the minute at which a store opens, so a slot is low
only against the lower of its hour and the next one to it, high against the higher. A share that is not judged is held
against the same hours of the days before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from alerts.kpis.book import Header, decode_header
from alerts.kpis.expectation import Floats, Rates, day_cell, rates
from alerts.kpis.incident import kind
from alerts.kpis.learning import spread
from alerts.kpis.panel import AMOUNT_PRIOR, ROOTS, SPREAD_PRIOR, STORES, WEEK_HOURS, Panel
from alerts.kpis.seasons import Seasons
from alerts.kpis.series import AOV, COUNTED, KPIS, NAMES, ORDERS

BAND = 3.0  # standard deviations to each side
REVENUE = "revenue_cents"  # orders at the usual amount
LEAST_TRIALS = 1.0
FORETOLD = {"eligible_orders": "orders"}  # nearly as many, and foretold

Whole = NDArray[np.int64]


class Band(Struct):
    """Of each slot; NaN where nothing is known."""

    low: Floats
    mid: Floats
    high: Floats


def layer_of(dim: str) -> str:
    return STORES if kind(dim) == "store" else ROOTS


def usual_records(layer: str, hours: Iterable[int]) -> list[str]:
    """Names of the judge's records that tell what is usual of a layer in hours since the epoch."""
    layers = (ROOTS, STORES) if layer == STORES else (ROOTS,)
    cells = {cell for hour in hours for cell in (hour % WEEK_HOURS, day_cell(hour))}
    parts = [*("names", "course", "learned"), *(f"cell|{cell}" for cell in sorted(cells))]
    return ["judge", *(_record(part, each) for each in layers for part in parts)]


def _record(part: str, layer: str) -> str:
    name, _, place = part.partition("|")
    return f"{name}|{layer}|{place}" if place else f"{name}|{layer}"


class Usual:
    """Of the layers whose records are there; `wet`: by hour, the share of orders told of rain, if not now's."""

    def __init__(self, records: Mapping[str, bytes], seasons: Seasons, wet: Mapping[int, float] | None = None) -> None:
        raw = records.get("judge")
        self.header, self.seasons = decode_header(raw) if raw else Header(), seasons
        self.wet = wet or {}
        self.panels = {layer: Panel(layer, self.header.window, records) for layer in (ROOTS, STORES)}
        self._rates: dict[tuple[str, int], Rates] = {}

    def rates(self, layer: str, hour: int) -> Rates:
        if (layer, hour) not in self._rates:
            roots = self.rates(ROOTS, hour) if layer == STORES else None
            self._rates[layer, hour] = self._rates_of(layer, hour, roots)
        return self._rates[layer, hour]

    def _rates_of(self, layer: str, hour: int, roots: Rates | None) -> Rates:
        panel = self.panels[layer]
        course = panel.course
        if hour in self.wet:
            panel.course = {**course, "wet": np.full(len(panel.dims), self.wet[hour])}
        found = rates(panel, hour, self.seasons.moment(hour), roots)
        panel.course = course
        return found

    def bands(self, dim: str, starts: Sequence[int], minutes: int) -> dict[str, Band]:
        """By KPI that is judged, and of revenue; `starts`: minutes since the epoch, each slot within an hour."""
        layer = layer_of(dim)
        panel = self.panels[layer]
        place = panel.place.get(dim)
        if place is None or not starts:
            return {}
        at = np.array(starts, np.int64)
        around = _Around(self, layer, place, at, minutes)
        widths = np.array(panel.widths)
        strays = spread(panel)[int(np.argmin(np.abs(widths - minutes))), :, place]
        error = strays[:, None] + around.blur
        found = {NAMES[series]: _band(around, series, minutes, error[series]) for series in range(len(KPIS))}
        found[REVENUE] = _revenue(around, minutes, error)
        return found


class _Around:
    """Rates of slots of one dimension, [SERIES, slots]: of the own hour, the least and the greatest there may be."""

    def __init__(self, usual: Usual, layer: str, place: int, at: Whole, minutes: int) -> None:
        hours, which = np.unique(at // 60, return_inverse=True)
        of = {hour: usual.rates(layer, hour) for hour in _with_next(hours.tolist())}
        mean = np.stack([of[hour].mean[:, place] for hour in sorted(of)], axis=1)
        index = {hour: number for number, hour in enumerate(sorted(of))}
        own = np.array([index[hour] for hour in hours.tolist()])[which]
        beside = own if minutes >= 60 else own + np.where(at % 60 < 30, -1, 1)
        self.now = mean[:, own]
        self.low, self.high = np.fmin(self.now, mean[:, beside]), np.fmax(self.now, mean[:, beside])
        self.blur = np.stack([of[hour].blur[:, place] for hour in sorted(of)], axis=1)[:, own]


def _with_next(hours: list[int]) -> set[int]:
    return {hour + step for hour in hours for step in (-1, 0, 1)}


def _band(around: _Around, series: int, minutes: int, error: Floats) -> Band:
    now, low, high = around.now[series], around.low[series], around.high[series]
    if KPIS[series].kind == "count":
        return Band(_edge(minutes * low, -BAND, error), minutes * now, _edge(minutes * high, BAND, error))
    if KPIS[series].kind == "amount":
        trials = _enough(minutes * around.now[ORDERS])
        sd = np.sqrt(error / trials + around.blur[series])
        return Band(np.exp(low - BAND * sd), np.exp(now), np.exp(high + BAND * sd))
    under = COUNTED[KPIS[series].under]
    under = FORETOLD.get(under, under)
    trials = minutes * around.now[NAMES.index(under)] if under in NAMES else np.full(now.shape, np.nan)
    return share_band(low, now, high, trials, error)


def _revenue(around: _Around, minutes: int, error: Floats) -> Band:
    """Orders at what they usually come to: by chance both their number and their amounts differ."""
    low, now, high = (minutes * rate[ORDERS] for rate in (around.low, around.now, around.high))
    cents, strayed = np.exp(around.now[AOV]), error[ORDERS] + around.blur[AOV]
    edges = (_edge(mean, side, strayed, 1 + AMOUNT_PRIOR) for mean, side in ((low, -BAND), (high, BAND)))
    below, above = (cents * edge for edge in edges)
    return Band(below, cents * now, above)


def _edge(mean: Floats, side: float, error: Floats, chance: float = 1.0) -> Floats:
    """So many standard deviations from a count's mean; `chance`: variance of one of what is counted."""
    return np.asarray(np.maximum(0.0, mean + side * np.sqrt(mean * chance + mean**2 * error)))


def share_band(low: Floats, mid: Floats, high: Floats, trials: Floats, error: Floats) -> Band:
    """Of shares of so many trials; `error`: squared relative error of what is held to be usual."""
    n = _enough(trials)
    wide = [BAND * np.sqrt(m * (1 - np.clip(m, 0, 1)) / n + m**2 * error) for m in (low, high)]
    return Band(np.maximum(0.0, low - wide[0]), mid, high + wide[1])


def _enough(trials: Floats) -> Floats:
    """NaN where next to none are expected: of those, anything is usual."""
    return np.where(trials >= LEAST_TRIALS, trials, np.nan)


def past_band(over: Floats, under: Floats, trials: Floats) -> Band:
    """Of a share in each slot, by what it was in the same hours of the days before: sums over and under."""
    known = under > 0
    mid = np.where(known, over / np.maximum(under, 1), np.nan)
    error = SPREAD_PRIOR + (1 - np.clip(mid, 0, 1)) / np.maximum(over, 1)
    return share_band(mid, mid, mid, trials, np.asarray(error))
