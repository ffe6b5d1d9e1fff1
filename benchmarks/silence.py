"""What the rows that the customers flow keeps teach of silence: those of orders alone, and with later moments.

python -m benchmarks.silence [--dev] [--task NAME ...] [--draws 300] [--json FILE]

Tasks and split are those of benchmarks.learning: churn of two chains' customers, scored at the last three month starts,
when most of them have been silent for a while. The learner learns from the rows that the core has kept of other
customers, in the order in which it has told them. `month starts` learns from rows that were made for the task.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace
from rich.table import Table

from benchmarks.foretold import FIGURES, figures, paired
from benchmarks.house import out, progress
from benchmarks.learning import Mask, foretold
from benchmarks.people import FEATURES, HORIZON_DAYS, TIMEZONE, Matrix, Task, churn, clean_events, part_of
from benchmarks.references import Ours
from brewline.histories import open_history
from brewline.results import circumstances, write_json
from config.settings import load
from features import events as e
from features.catalog import Catalog
from features.customer import Core, Label
from features.job import Batch, Clock
from features.kernel.arrays import A_WHILE, KNOWN, LABEL, SCORED, WHO
from features.times import DAY_MS
from flows.files import load_catalog

HISTORIES = {"grocery churn": "completejourney", "cdnow churn": "cdnow"}
LATEST, BOTH = "month starts", "both"
SHOWN = {figure: figure for figure in FIGURES} | {
    "calibration_error": "calibration",
    "calibration_error_of_chance": "(chance)",
    "mean_foretold": "foretold",
    "mean_label": "came",
}
HISTORY = (1, 2, 3, 5, 10, 100_000)  # orders
BATCH = 100  # labels that are learned from at once, as in the flow


class Kept(Struct):
    """Rows as the customers flow would have sent them."""

    customers: list[str]
    at_ms: npt.NDArray[np.int64]
    known_ms: npt.NDArray[np.int64]
    rows: Matrix
    labels: Matrix
    of_order: Mask


def kept_rows(catalog: Catalog, events: Iterable[e.Event]) -> Kept:
    """Of events in time order; the clock moves with each day."""
    shares: dict[int, list[e.Event]] = {}
    for event in events:
        shares.setdefault(part_of(event.customer), []).append(event)
    parts = [_of_share(catalog, shares[part]) for part in sorted(shares)]
    each = [[getattr(part, name) for part in parts] for name in Kept.__struct_fields__]
    return Kept([who for some in each[0] for who in some], *(np.concatenate(some) for some in each[1:]))


def _of_share(catalog: Catalog, events: list[e.Event]) -> Kept:
    label = Label([catalog.index(name) for name in FEATURES], [(HORIZON_DAYS * DAY_MS, A_WHILE)])
    core, log = Core(catalog, wanted=set(), label=label), [*_with_ticks(events)]
    batch = Batch("events", 0, -1, [*range(len(log))], [*map(e.encode, log)], [event.at_ms for event in log])
    applied = core.apply(core.columns(batch, Clock()), [], {})
    who = [applied.customers[number] for number in applied.labelled[:, WHO].tolist()]
    at_ms = applied.labelled[:, SCORED]
    ordered = {(event.customer, event.at_ms) for event in events if isinstance(event, e.Order)}
    return Kept(
        customers=who,
        at_ms=at_ms,
        known_ms=applied.labelled[:, KNOWN],
        rows=applied.inputs,
        labels=(applied.labelled[:, LABEL] >= HORIZON_DAYS * DAY_MS).astype(np.float64),
        of_order=np.array([one in ordered for one in zip(who, at_ms.tolist(), strict=True)], dtype=np.bool_),
    )


def _with_ticks(events: list[e.Event]) -> Iterator[e.Event]:
    for _, of_day in groupby(events, lambda event: event.at_ms // DAY_MS):
        first, *rest = of_day
        yield e.Tick(id="t", at_ms=first.at_ms, source="history", of=1)
        yield from (first, *rest)


def compared(task: Task, kept: Kept, dev: bool, draws: int) -> dict[str, Any]:
    """By what is learned from: figures."""
    limit = 45 if dev else 60
    part = np.array([part_of(customer) for customer in task.customers])
    scored = (part >= limit) & (part < 60 if dev else part < 100) & np.isin(task.groups, task.tested)
    learned = np.array([part_of(customer) for customer in kept.customers]) < limit
    labels, customers = task.labels[scored], [task.customers[i] for i in np.flatnonzero(scored)]
    chances = {LATEST: foretold(task, part < limit, scored, Ours(task.features), BATCH)}
    for name, mask in {"orders": learned & kept.of_order, BOTH: learned}.items():
        chances[name] = foretold(*_joined(task, kept, mask, scored), Ours(task.features), BATCH)
    found: dict[str, Any] = {name: figures(labels, one) for name, one in chances.items()}
    both, orders = chances[BOTH], chances["orders"]
    orders_so_far = task.rows[scored, FEATURES.index("orders_lifetime")]
    return found | {
        "little history": _by_history(orders_so_far, labels, both),
        "both less orders": paired(customers, labels, both, orders, draws),
        f"both less {LATEST}": paired(customers, labels, both, chances[LATEST], draws),
    }


def _by_history(orders: Matrix, labels: Matrix, chances: Matrix) -> list[str]:
    """By how many orders somebody has had, what was foretold and what came."""
    found = []
    for low, high in pairwise(HISTORY):
        some = (orders >= low) & (orders < high)
        if some.any():
            luck = float(np.sqrt((chances[some] * (1 - chances[some])).sum()) / some.sum())
            told = f"foretold {chances[some].mean():.3f}, came {labels[some].mean():.3f}, one deviation {luck:.3f}"
            found.append(f"{low} to {high - 1} orders: {some.sum()} rows, {told}")
    return found


def _joined(task: Task, kept: Kept, mask: Mask, scored: Mask) -> tuple[Task, Mask, Mask]:
    """The rows that are kept, behind them those of the task that are scored: which are learned from, and which not."""
    count, tail = int(mask.sum()), np.flatnonzero(scored)
    never = np.full(len(tail), 2**62)
    joined = replace(
        task,
        customers=[],
        moments_ms=np.concatenate([kept.at_ms[mask], task.moments_ms[tail]]),
        known_ms=np.concatenate([kept.known_ms[mask], never]),
        rows=np.concatenate([kept.rows[mask], task.rows[tail]]),
        labels=np.concatenate([kept.labels[mask], task.labels[tail]]),
        groups=[],
    )
    of_kept = np.arange(count + len(tail)) < count
    return joined, of_kept, ~of_kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dev", action="store_true", help="customers 45 to 59 of 100 instead of 60 to 99")
    parser.add_argument("--task", action="append", choices=HISTORIES, help="by default both")
    parser.add_argument("--draws", type=int, default=300, help="of the bootstrap")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    catalog, found = load_catalog(load(environ={})), {}
    with progress() as bar:
        step = bar.add_task("learning", total=None)
        for name in asked.task or HISTORIES:
            events = [*clean_events(open_history(HISTORIES[name], TIMEZONE))]
            kept = kept_rows(catalog, events)
            found[name] = compared(churn(name, catalog, events), kept, asked.dev, asked.draws)
            _show(name, kept, found[name])
        bar.remove_task(step)
    write_json(asked.json, {"tasks": found, "dev": asked.dev})
    out.print(circumstances()["machine"], circumstances()["commit"], highlight=False)


def _show(name: str, kept: Kept, found: dict[str, Any]) -> None:
    counts = f"{kept.of_order.sum():,} rows of orders, {(~kept.of_order).sum():,} of later moments"
    table = Table("learned from", *SHOWN.values(), title=f"{name}: {counts}")
    for who, of_who in found.items():
        if who not in (LATEST, "orders", BOTH):
            out.print(f"{who}: {of_who}", highlight=False, soft_wrap=True)
        else:
            table.add_row(who, *(f"{of_who[figure]:.4f}" for figure in SHOWN))
    out.print(table)


if __name__ == "__main__":
    main()
