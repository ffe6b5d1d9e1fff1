"""How well pieces sold are foretold hour by hour, a day ahead, beside the week before, means, and River's time series.

python -m benchmarks.demand [--series 40] [--rivals 10] [--made] [--history DIR] [--json FILE]

Complete Journey (docs/data.md): what its households bought, by chain, category (department), store, and store and
category. Of each kind up to `--series` with 200 pieces or more are taken, evenly from the largest to the smallest, and
of these `--rivals` for River, which is slow. Every day from the 29th on is foretold at its beginning, by everybody from
the whole days before. error: distance of an hour's pieces from what was foretold, in parts of what came; error of days:
of days' sums; rmse: pieces in an hour. `--made`: instead, chains of a known law that stays, or
changes on one day or slowly.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.table import Table
from river import compose, linear_model, optim, preprocessing, time_series

from alerts.kpis.demand import DAY_HOURS, WEEK_DAYS, Demand
from benchmarks.favourites import orders_of
from benchmarks.house import out, progress
from brewline.histories.complete_journey import read_complete_journey
from brewline.histories.history import History
from brewline.results import circumstances, write_json
from features.times import HOUR_MS

Floats = npt.NDArray[np.float64]
Foreteller = Callable[[int, Floats], Floats]  # first day since the epoch, pieces by day and hour → what was foretold
KINDS = ("chain", "category", "store", "store+category")
LAWS, SCALES = ("stays", "grows", "jumps", "seasons", "wanders", "new hours"), (2000, 60)  # pieces a day
WARM_DAYS, LEAST = 28, 200  # days of which nothing is scored; pieces that make a series


def ours(first: int, came: Floats) -> Floats:
    demand, found = Demand(), np.full(came.shape, np.nan)
    for day, hours in enumerate(came):
        found[day] = demand.foretell(first + day)
        demand.learn(first + day, hours)
    return found


def week_before(_: int, came: Floats) -> Floats:
    return np.concatenate([np.full((WEEK_DAYS, DAY_HOURS), np.nan), came[:-WEEK_DAYS]])


def four_weeks(_: int, came: Floats) -> Floats:
    found = np.full(came.shape, np.nan)
    for day in range(WARM_DAYS, len(came)):
        found[day] = came[day - WARM_DAYS : day : WEEK_DAYS].mean(axis=0)
    return found


def all_weeks(_: int, came: Floats) -> Floats:
    found = np.full(came.shape, np.nan)
    for day in range(WEEK_DAYS, len(came)):
        found[day] = came[day % WEEK_DAYS : day : WEEK_DAYS].mean(axis=0)
    return found


def river(make: Callable[[], time_series.base.Forecaster]) -> Foreteller:
    def foretold(_: int, came: Floats) -> Floats:
        model, found = make(), np.full(came.shape, np.nan)
        for day, hours in enumerate(came):
            if day >= WARM_DAYS:
                ahead = np.array(model.forecast(horizon=DAY_HOURS), dtype=np.float64)
                found[day] = np.clip(np.nan_to_num(ahead), 0.0, 10 * came[:day].max())
            for pieces in hours.tolist():
                model.learn_one(pieces)
        return found

    return foretold


def holt_winters() -> time_series.HoltWinters:
    return time_series.HoltWinters(alpha=0.02, beta=0.001, gamma=0.1, seasonality=WEEK_DAYS * DAY_HOURS)


def snarimax() -> time_series.SNARIMAX:
    """The latest three hours, and the same hour of the four weeks before."""
    regression = linear_model.LinearRegression(optim.SGD(0.001), intercept_lr=0.01)
    scaled = compose.Pipeline(preprocessing.StandardScaler(), regression)
    return time_series.SNARIMAX(p=3, d=0, q=0, m=WEEK_DAYS * DAY_HOURS, sp=4, regressor=scaled)


FORETELLERS: dict[str, Foreteller] = {
    "ours": ours,
    "the week before": week_before,
    "mean of four weeks": four_weeks,
    "mean of all weeks": all_weeks,
}
RIVALS: dict[str, Foreteller] = {"HoltWinters (River)": river(holt_winters), "SNARIMAX (River)": river(snarimax)}


def pieces_of(history: History) -> tuple[int, dict[str, dict[str, Floats]]]:
    """The first whole day, and by kind and name the pieces of each day and hour (UTC)."""
    counts: dict[str, dict[str, dict[int, int]]] = {kind: {} for kind in KINDS}
    for order in orders_of(history):
        hour = order.at_ms // HOUR_MS
        for line in order.lines:
            both = f"{order.store}+{line.category}"
            for kind, name in zip(KINDS, ("*", line.category, order.store, both), strict=True):
                series = counts[kind].setdefault(name, {})
                series[hour] = series.get(hour, 0) + line.qty
    hours = counts["chain"]["*"]
    first, last = min(hours) // DAY_HOURS + 1, max(hours) // DAY_HOURS
    every = range(first * DAY_HOURS, last * DAY_HOURS)
    return first, {
        kind: {
            name: np.array([series.get(hour, 0) for hour in every], dtype=np.float64).reshape(-1, DAY_HOURS)
            for name, series in of_kind.items()
            if sum(series.values()) >= LEAST
        }
        for kind, of_kind in counts.items()
    }


def made(law: str, scale: float, rng: np.random.Generator, days: int = 200) -> Floats:
    """Pieces by day and hour, `scale` a day; hours and days differ beyond chance, the law changes as its name says."""
    hours = np.exp(-0.5 * ((np.arange(DAY_HOURS) - 14) / 4) ** 2)
    usual = hours * np.exp(0.25 * rng.normal(size=(WEEK_DAYS, 1)))
    usual *= scale * WEEK_DAYS / usual.sum()
    day, half = np.arange(days), days // 2
    level = {
        "grows": 1.006**day,
        "jumps": np.where(day < half, 1.0, 1.6),
        "seasons": 1 + 0.3 * np.sin(day / 180 * 2 * np.pi),
        "wanders": np.exp(0.04 * rng.normal(size=days).cumsum()),
    }.get(law, np.ones(days))
    expected = usual[day % WEEK_DAYS]
    if law == "new hours":
        expected[half:] = np.roll(expected[half:], 3, axis=1)
    beyond = rng.gamma(10.0, 0.1, (days, DAY_HOURS)) * np.exp(0.12 * rng.normal(size=(days, 1)))
    return rng.poisson(expected * level[:, None] * beyond).astype(np.float64)


def some(series: dict[str, Floats], count: int) -> list[Floats]:
    """Evenly from the largest to the smallest."""
    ranked = sorted(series, key=lambda name: (-series[name].sum(), name))
    places = np.unique(np.linspace(0, len(ranked) - 1, min(count, len(ranked))).astype(int))
    return [series[ranked[place]] for place in places]


def judged(first: int, series: list[Floats], foretell: Foreteller) -> dict[str, float]:
    off = of_days = squared = came = hours = 0.0
    for one in series:
        real, found = one[WARM_DAYS:], foretell(first, one)[WARM_DAYS:]
        off += float(np.abs(real - found).sum())
        of_days += float(np.abs(real.sum(axis=1) - found.sum(axis=1)).sum())
        squared += float(((real - found) ** 2).sum())
        came, hours = came + float(real.sum()), hours + real.size
    figures = {"error": off / came, "error_of_days": of_days / came, "rmse": (squared / hours) ** 0.5}
    return {name: round(value, 4) for name, value in figures.items()}


Sets = dict[str, tuple[list[Floats], dict[str, Foreteller]]]  # by name: series, and who foretells them


def of_chain(history: Path | None, series: int, rivals: int) -> tuple[int, Sets]:
    """The first day, and what is foretold."""
    first, pieces = pieces_of(read_complete_journey(history))
    sets: Sets = {}
    for kind in KINDS:
        taken, fewer = some(pieces[kind], series), some(pieces[kind], rivals)
        sets[f"{kind}: {len(taken)}"] = (taken, FORETELLERS)
        if rivals:
            sets[f"{kind}: {len(fewer)} beside River"] = (fewer, FORETELLERS | RIVALS)
    return first, sets


def of_laws() -> tuple[int, Sets]:
    rng = np.random.default_rng(11)
    return 0, {
        f"{law}, {n} a day": ([made(law, n, rng) for _ in range(6)], FORETELLERS) for law in LAWS for n in SCALES
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=40, help="of each kind")
    parser.add_argument("--rivals", type=int, default=10, help="of these, for River; 0: none")
    parser.add_argument("--made", action="store_true", help="chains of a known law instead")
    parser.add_argument("--history", type=Path, help="a folder with its tables, in the place of the package's")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    found: dict[str, dict[str, dict[str, float]]] = {}
    with progress() as bar:
        task = bar.add_task("reading baskets", total=None)
        first, sets = of_laws() if asked.made else of_chain(asked.history, asked.series, asked.rivals)
        bar.remove_task(task)
        for name, (those, who) in sets.items():
            step = bar.add_task(name, total=len(who))
            found[name] = {}
            for teller, foretell in who.items():
                found[name][teller] = judged(first, those, foretell)
                bar.advance(step)
    show(found)
    write_json(asked.json, found)
    return 0


def show(found: dict[str, dict[str, dict[str, float]]]) -> None:
    for name, by_teller in found.items():
        table = Table(f"{name} series", "error", "error of days", "rmse")
        for teller, figures in by_teller.items():
            table.add_row(
                teller, f"{figures['error']:.1%}", f"{figures['error_of_days']:.1%}", f"{figures['rmse']:.2f}"
            )
        out.print(table)
    out.print(circumstances()["machine"], circumstances()["commit"], highlight=False)


if __name__ == "__main__":
    sys.exit(main())
