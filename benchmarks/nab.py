"""How well the detector for any single metric does on the Numenta Anomaly Benchmark's series, by its published scoring.

python -m benchmarks.nab                                    the 20 splits of ../shared/data/nab, beside what others say
python -m benchmarks.nab --alone                            only ours: half a minute
python -m benchmarks.nab --data DIR --fixed --json FILE     all series of a folder at the shipped threshold
python -m benchmarks.nab --alone --sensitivity              each number 20 % smaller and larger
python -m benchmarks.nab --alone --plot FILE.png            series, score, alerts and windows

DIR holds data/CATEGORY/NAME.csv (timestamp,value), windows.json (name: [[first, last], ...]) and, but for --fixed,
splits.json ([{"tune": [name, ...], "test": [name, ...]}, ...]). Each detector's threshold is chosen on `tune` for each
profile, what is printed is of `test`: mean over the splits. Everybody's alerts go through the same rule, so that nobody
pays for each row of a long anomaly. Nobody sees a row before its time, nor a file's length, least or greatest value.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs
from numpy.typing import NDArray
from rich.progress import Progress
from rich.table import Table

from alerts.metric.detector import SETTINGS, Settings, begin, knobs_of, no_alerts, rarities
from alerts.metric.kernel import VIEWS, decide
from benchmarks.house import out, progress
from benchmarks.nab_others import OTHERS
from benchmarks.nab_plot import SHOWN, Shown, check_plot, write_plot
from benchmarks.nab_score import (
    PROFILES,
    Floats,
    Parts,
    Profile,
    Series,
    Split,
    mark,
    normalised,
    parts,
    read,
    total,
)
from brewline.results import circumstances, write_json

DATA = Path(__file__).parents[2] / "shared/data/nab"
OURS = "ours"
THRESHOLDS = np.geomspace(0.5, 3.0, 50)  # of ours
QUANTILES = 1 - np.geomspace(0.1, 0.00005, 50)  # of the others' values, as thresholds
CHANGE = 0.2
Told = Mapping[str, Floats]  # by series: how odd each row is
Judged = dict[str, list[Parts]]  # by series: what the alerts of each threshold come to


class Benchmark:
    """Series, marks and splits, and how values become figures."""

    def __init__(self, folder: Path) -> None:
        self.series, self.splits = read(folder)
        self.marks = {name: mark(len(one.values), one.windows) for name, one in self.series.items()}
        self.names = list(self.series)

    def judge(self, told: Told, thresholds: Floats, settings: Settings = SETTINGS) -> Judged:
        return {
            name: [parts(self.marks[name], fired(told[name], level, settings)) for level in thresholds]
            for name in self.names
        }

    def figures(self, judged: Judged, splits: list[Split]) -> dict[str, NDArray[np.float64]]:
        """By profile: the score on each split's `test`."""
        return {
            name: np.array([self._tested(judged, split, profile) for split in splits])
            for name, profile in PROFILES.items()
        }

    def _tested(self, judged: Judged, split: Split, profile: Profile) -> float:
        return self.score(judged, split["test"], chosen(judged, split["tune"], profile), profile)

    def score(self, judged: Judged, names: list[str], threshold: int, profile: Profile) -> float:
        found = total(judged[name][threshold] for name in names).score(profile)
        return normalised(found, profile, [self.marks[name] for name in names])

    def without_each(self) -> list[Split]:
        """As many splits as entities, which are the series that all splits keep together."""
        together = defaultdict[tuple[bool, ...], list[str]](list)
        for name in self.names:
            together[tuple(name in split["test"] for split in self.splits)].append(name)
        return [{"tune": [n for n in self.names if n not in group], "test": group} for group in together.values()]


def chosen(judged: Judged, names: list[str], profile: Profile) -> int:
    """The threshold that does best on `names`."""
    return int(np.array([[one.score(profile) for one in judged[name]] for name in names]).sum(axis=0).argmax())


def fired(told: Floats, threshold: float, settings: Settings = SETTINGS) -> NDArray[np.bool_]:
    fires = np.zeros(len(told), np.bool_)
    decide(told, float(threshold), knobs_of(settings), no_alerts(settings), fires)
    return fires


def ours(series: Mapping[str, Series], step: Callable[[], object] = bool, settings: Settings = SETTINGS) -> Told:
    """By series and row: rarities, scale and view."""
    found = {}
    for name, one in series.items():
        found[name] = rarities(begin(settings), one.at_ms, one.values)
        step()
    return found


def columns(rare: Told, kept: list[int]) -> Told:
    return {name: one[:, kept].mean(axis=1) for name, one in rare.items()}


def variants(rare: Told) -> dict[str, Told]:
    """Ours, and what is left of it with fewer views."""
    every = list(range(2 * VIEWS))
    kept = {
        OURS: every,
        "as it is only, no arcsinh": every[:VIEWS],
        "level and means only": [0, 1, 2, 8, 9, 10],
        "shapes only": [3, 4, 5, 11, 12, 13],
        "time of day only": [6, 7, 14, 15],
        "level only": [0, 8],
    }
    return {name: columns(rare, views) for name, views in kept.items()}


def speed(series: Mapping[str, Series]) -> float:
    """Points a second of processor time, on one core."""
    rarities(begin(), [0], [0.0])
    began_s = time.process_time()
    ours(series)
    return sum(len(one.values) for one in series.values()) / (time.process_time() - began_s)


def main() -> None:
    asked = _asked()
    check_plot(asked.plot)
    bench = Benchmark(asked.data)
    if not bench.splits and not asked.fixed:
        raise SystemExit(f"{asked.data}: no splits.json to choose thresholds with; --fixed needs none")
    with progress() as bar:
        step = bar.add_task("our detector", total=len(bench.names))
        rare = ours(bench.series, lambda: bar.advance(step))
        told = variants(rare)
        figures = fixed(bench, told[OURS]) if asked.fixed else compared(bench, told, asked, bar)
        if asked.sensitivity:
            sensitivity(bench, rare, bar)
    figures["points_per_s"] = round(speed(bench.series))
    out.print(f"{figures['points_per_s']:,} points/s on one core", highlight=False)
    write_plot(asked.plot, shown(bench, told[OURS]))
    write_json(asked.json, figures)
    for name, value in circumstances().items():
        out.print(f"{name:>18}  {value}", highlight=False, soft_wrap=True)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of series and windows")
    parser.add_argument("--fixed", action="store_true", help="the shipped threshold, all series, no splits")
    parser.add_argument("--alone", action="store_true", help="without what others say, which takes minutes")
    parser.add_argument("--sensitivity", action="store_true", help="change each number by 20 %%; leave out each entity")
    parser.add_argument("--plot", type=Path, help="write a picture of a few series to this .svg or .png")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return parser.parse_args()


def shown(bench: Benchmark, told: Told) -> list[Shown]:
    """The series that a picture is made of; in an unknown folder, its first ones."""
    names = [name for name in SHOWN if name in told] or bench.names[: len(SHOWN)]
    return [Shown(bench.series[name], told[name], fired(told[name], SETTINGS.threshold)) for name in names]


def fixed(bench: Benchmark, told: Told) -> dict[str, Any]:
    """One scoring of all series at the shipped threshold."""
    judged = bench.judge(told, np.array([SETTINGS.threshold]))
    found = {name: bench.score(judged, bench.names, 0, profile) for name, profile in PROFILES.items()}
    table = Table("at the shipped threshold", *PROFILES, "windows", "missed", "false alerts")
    summed = total(judged[name][0] for name in bench.names)
    windows = sum(one.windows for one in bench.marks.values())
    table.add_row(OURS, *(f"{x:.1f}" for x in found.values()), *map(str, (windows, summed.missed, summed.alerts_false)))
    out.print(table)
    return _keys({name: np.array([x]) for name, x in found.items()}, 1)


def compared(bench: Benchmark, told: dict[str, Told], asked: argparse.Namespace, bar: Progress) -> dict[str, Any]:
    found = {name: bench.figures(bench.judge(values, THRESHOLDS), bench.splits) for name, values in told.items()}
    for name, other in {} if asked.alone else OTHERS.items():
        step = bar.add_task(name, total=len(bench.names))
        theirs = {}
        for series in bench.series.values():
            theirs[series.name] = other(series)
            bar.advance(step)
        levels = np.unique(np.quantile(np.concatenate(list(theirs.values())), QUANTILES))
        found[name] = bench.figures(bench.judge(theirs, levels), bench.splits)
    table = Table(f"mean over {len(bench.splits)} splits, ± deviation", *PROFILES)
    for name, figures in found.items():
        table.add_row(name, *(f"{x.mean():.1f} ± {x.std():.1f}" for x in figures.values()))
    out.print(table)
    return _keys(found[OURS], len(bench.splits)) | {
        "compared": {name: {p: round(float(x.mean()), 2) for p, x in one.items()} for name, one in found.items()}
    }


def _keys(figures: dict[str, NDArray[np.float64]], splits: int) -> dict[str, Any]:
    means = {f"{name}_mean": round(float(x.mean()), 2) for name, x in figures.items()}
    return {**means, "standard_sd": round(float(figures["standard"].std()), 2), "splits": splits}


def sensitivity(bench: Benchmark, rare: Told, bar: Progress) -> None:
    """Prints what happens when an entity is left out of the choice of thresholds, and when a number is another."""
    every = list(range(2 * VIEWS))
    judged = bench.judge(columns(rare, every), THRESHOLDS)
    out.print("each entity scored at the threshold of all others:", _left_out(bench, judged), highlight=False)
    table = Table("number", "value", *PROFILES, "standard, fixed")
    changes = [change for change in _changes() if change[0] != "threshold"]
    step = bar.add_task("other numbers", total=len(changes))
    for name, settings in [("as shipped", SETTINGS), *changes]:
        same = name in ("as shipped", "rise", "forget", "hold", "boost", "fade")
        told = columns(rare if same else ours(bench.series, settings=settings), every)
        figures = bench.figures(bench.judge(told, THRESHOLDS, settings), bench.splits)
        shipped = bench.judge(told, np.array([settings.threshold]), settings)
        at_shipped = bench.score(shipped, bench.names, 0, PROFILES["standard"])
        value = str(getattr(settings, name)) if name != "as shipped" else ""
        table.add_row(name, value, *(f"{x.mean():.1f}" for x in figures.values()), f"{at_shipped:.1f}")
        bar.advance(step, name != "as shipped")
    out.print(table)


def _left_out(bench: Benchmark, judged: Judged) -> str:
    words = []
    for name, profile in PROFILES.items():
        splits = bench.without_each()
        pieces = [(split["test"], chosen(judged, split["tune"], profile)) for split in splits]
        found = total(judged[one][threshold] for names, threshold in pieces for one in names).score(profile)
        words.append(f"{name} {normalised(found, profile, bench.marks.values()):.1f}")
    return ", ".join(words)


def _changes() -> list[tuple[str, Settings]]:
    found = []
    for name, value in structs.asdict(SETTINGS).items():
        for factor in (1 - CHANGE, 1 + CHANGE):
            if isinstance(value, tuple):
                other: Any = tuple(round(x * factor) for x in value)
            elif isinstance(value, int):
                other = round(value * factor) if round(value * factor) != value else value + (1 if factor > 1 else -1)
            else:
                other = round(value * factor, 6)
            found.append((name, structs.replace(SETTINGS, **{name: other})))
    return found


if __name__ == "__main__":
    main()
