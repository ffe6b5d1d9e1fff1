"""How well the online learner foretells what real people do, beside batch models that learn from the same rows.

python -m benchmarks.learning [--dev] [--task NAME ...] [--data FILE.csv|FILE.parquet] [--forest]
                              [--draws 300] [--batch 500] [--cache DIR] [--json FILE]

Tasks: `grocery churn` and `coupon` (Complete Journey), `cdnow churn`; `--data` adds `your churn`: a file with a row per
purchase and the columns customer, date, cents and items. Customers are split by a hash of their id. What is printed is
of those that nobody looked at while the learner was made (40 %), at the last three month starts, or campaigns; `--dev`
is for whoever makes it: learns from 45 %, scores 15 %. Everybody learns from labels in the order in which they became
known, and from none that was not known yet. `strangers` learns from none of those who are scored; `everybody` from all
customers' closed labels, as a chain does. One configuration serves all tasks. Beside the calibration error stands what
exactly right probabilities would show on so few people: on the mean, and the share of draws with `as much` as was
found, and with no more than 0.02, `as asked`; then the error over parts of equal width instead of equal size.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.progress import Progress
from rich.table import Table

from benchmarks.foretold import CALIBRATION, FIGURES, figures, paired
from benchmarks.house import out, progress
from benchmarks.people import TIMEZONE, Task, churn, clean_events, coupons, part_of, purchases
from benchmarks.references import Foreteller, Matrix, Ours, install_scikit, references
from brewline.histories import open_history
from brewline.results import circumstances, write_json
from config.settings import load
from features.models import LinearModel, score_rows
from flows.files import load_catalog

Mask = npt.NDArray[np.bool_]
OURS = "ours"
CACHE = Path.home() / ".cache" / "brewline"
TASKS = ("grocery churn", "coupon", "cdnow churn")
SCORED = 20_000  # rows, to see how fast


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dev", action="store_true", help="customers 45 to 59 of 100 instead of 60 to 99")
    parser.add_argument("--task", action="append", choices=TASKS, help="by default all")
    parser.add_argument("--data", type=Path, help="purchases of another shop: customer, date, cents, items")
    parser.add_argument("--forest", action="store_true", help="River's adaptive random forest, too: many minutes")
    parser.add_argument("--draws", type=int, default=300, help="of the bootstrap")
    parser.add_argument("--batch", type=int, default=500, help="labels that are learned from at once")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where scikit-learn is installed")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    install_scikit(asked.cache)
    warnings.filterwarnings("ignore")  # scikit-learn's, of features that are empty
    found = {}
    with progress() as bar:
        step = bar.add_task("reading histories", total=None)
        for task in tasks(() if asked.data and not asked.task else asked.task or TASKS, asked.data):
            found[task.name] = compared(task, asked, bar)
            show(task.name, found[task.name])
        bar.remove_task(step)
    write_json(asked.json, {"tasks": found, "dev": asked.dev})
    for name, value in circumstances().items():
        out.print(f"{name:>18}  {value}", highlight=False, soft_wrap=True)


def tasks(names: tuple[str, ...], data: Path | None) -> Iterator[Task]:
    catalog = load_catalog(load(environ={}))
    if {"grocery churn", "coupon"} & {*names}:
        events = [*clean_events(open_history("completejourney", TIMEZONE))]
        if "grocery churn" in names:
            yield churn("grocery churn", catalog, events)
        if "coupon" in names:
            yield coupons(catalog, events)
    if "cdnow churn" in names:
        yield churn("cdnow churn", catalog, [*clean_events(open_history("cdnow", TIMEZONE))])
    if data:
        yield churn("your churn", catalog, purchases(data))


def compared(task: Task, asked: argparse.Namespace, bar: Progress) -> dict[str, Any]:
    """By whom is learned from, by who foretells: figures."""
    part = np.array([part_of(customer) for customer in task.customers])
    scored = (part >= 45) & (part < 60) if asked.dev else part >= 60
    scored &= np.isin(task.groups, task.tested)
    strangers = part < (45 if asked.dev else 60)
    populations = {"strangers": strangers, "everybody": (part < 60) | ~np.bool_(asked.dev)}
    makers = {OURS: lambda: Ours(task.features), **references(task.features, asked.forest)}
    step = bar.add_task(task.name, total=len(makers) * len(populations) * len(task.tested))
    found: dict[str, Any] = {"n": int(scored.sum()), "positives": int(task.labels[scored].sum())}
    for population, learned in populations.items():
        chances = {
            name: foretold(task, learned, scored, make(), asked.batch, lambda: bar.advance(step))
            for name, make in makers.items()
        }
        found[population] = _judged(task, scored, chances, asked.draws)
    return found | _speed(task, asked.batch)


def foretold(
    task: Task, learned: Mask, scored: Mask, who: Foreteller, batch: int, advance: Callable[[], object] = bool
) -> Matrix:
    """float64[scored]: at each moment that is scored, after learning from what is known by then and no sooner."""
    found, done = np.full(len(task.labels), np.nan), 0
    order = np.flatnonzero(learned)
    order = order[np.argsort(task.known_ms[order], kind="stable")]
    for moment_ms in np.unique(task.moments_ms[scored]):
        until = int(np.searchsorted(task.known_ms[order], moment_ms, side="right"))
        for start in range(done, until, batch):
            rows = order[start : min(start + batch, until)]
            who.learn(task.rows[rows], task.labels[rows])
        done = until
        now = scored & (task.moments_ms == moment_ms)
        found[now] = who.score(task.rows[now])
        advance()
    return found[scored]


def _judged(task: Task, scored: Mask, chances: dict[str, Matrix], draws: int) -> dict[str, Any]:
    labels, customers = task.labels[scored], [task.customers[i] for i in np.flatnonzero(scored)]
    found: dict[str, Any] = {name: figures(labels, foretold) for name, foretold in chances.items()}
    for name in ("log_loss", "mean_foretold", *CALIBRATION):
        del found["best_feature"][name]  # a ranking has none
    for reference in ("batch_logistic", "batch_trees"):
        against = paired(customers, labels, chances[OURS], chances[reference], draws)
        found[f"{OURS} less {reference}"] = against
    return found


def _speed(task: Task, batch: int) -> dict[str, Any]:
    """How many labels a second are learned, what scoring a row costs."""
    order, who = np.argsort(task.known_ms, kind="stable"), Ours(task.features)
    began_s = time.perf_counter()
    for start in range(0, len(order), batch):
        who.learn(task.rows[order[start : start + batch]], task.labels[order[start : start + batch]])
    labels_per_s = len(order) / (time.perf_counter() - began_s)
    model, rows = who.learner.publish(), np.resize(task.rows, (SCORED, len(task.features)))
    return {"labels_per_s": round(labels_per_s), "scoring_us_per_row": round(_scoring_us(model, rows), 3)}


def _scoring_us(model: LinearModel, rows: Matrix) -> float:
    every, columns = np.arange(len(rows)), [*range(rows.shape[1])]
    took_s = []
    for _ in range(5):
        began_s = time.perf_counter()
        score_rows(model, rows, every, columns)
        took_s.append(time.perf_counter() - began_s)
    return min(took_s) / len(rows) * 1e6


def show(name: str, found: dict[str, Any]) -> None:
    for population in ("strangers", "everybody"):
        title = f"{name} ({population}): {found['n']} rows, {found['positives']} positive"
        heads = ("calibration error", "of chance", "as much", "as asked", "by width", "of chance")
        table = Table("", *FIGURES, *heads, title=title)
        for who, of_who in found[population].items():
            if "less" in who:
                out.print(f"{who}: {of_who}", highlight=False, soft_wrap=True)
                continue
            shown = [of_who.get(figure) for figure in (*FIGURES, *CALIBRATION)]
            table.add_row(who, *(f"{value:.4f}" if value is not None else "-" for value in shown))
        out.print(table)
    out.print(
        f"{name}: {found['labels_per_s']} labels/s, {found['scoring_us_per_row']} us a row scored", highlight=False
    )


if __name__ == "__main__":
    main()
