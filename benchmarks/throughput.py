"""Events a second and CPU per event of the customers flow, from Kafka to Redis, beside the floor.

python -m benchmarks.throughput [--events 3000000] [--customers 1000000] [--quick] [--json FILE]
                                [--processes N] [--scaling] [--sweep] [--models]

The flow runs in one process to a core, which share the partitions (as `brewline run customers --share 0/2` does).
The floor consumes and decodes the same topic and does nothing else. CPU is that of the flow's processes alone;
Kafka and Redis run on the same machine. `stages` tells where the flow's time goes, microseconds an event.

`--scaling` runs the same events also in one process: one on all cores, and one that has its part of them with Kafka
and Redis, for what a process costs does not show where cores are short.
`--sweep` runs as many events of 10,000, 100,000 and 1,000,000 customers. Each has one every 11 hours: the fewer they
are, the longer the history of each, and the more decisions there are for an event. So it runs them once more with rules
that never hold: what longer histories cost by themselves (`undecided_...`).
`--models` runs the same events also before any version of the two models is published, in turns with the others: what
scoring, and rules that ask for scores, add. A condition asks for the scores of those rows alone that its other parts
have left; `scores_of_every_event_add` is what both models would add if rules asked for the scores of every event.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from rich.progress import Progress

from benchmarks.house import CORES, House, out, progress
from benchmarks.race import race
from brewline.results import circumstances, write_json
from features.models import LinearModel, score_rows
from features.offers import Offer
from features.scoring import score_offer
from features.tasks import OF_COUPONS
from features.times import DAY_MS

CUSTOMERS = (10_000, 100_000, 1_000_000)
TURNS = 3
BATCH = 5_000  # rows
ALIKE = (
    "customers",
    "decisions_per_event",
    "events_per_s",
    "cpu_us_per_event",
    "redis_cpu_us_per_event",
    "undecided_events_per_s",
    "undecided_cpu_us_per_event",
    "undecided_redis_cpu_us_per_event",
    "rss_mb",
    "redis_mb",
    "stages",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=3_000_000)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--processes", type=int, default=CORES, help=f"of the flow, by default one to a core: {CORES}")
    parser.add_argument("--scaling", action="store_true", help="also in one process: how much more several do")
    parser.add_argument("--sweep", action="store_true", help="also over the number of customers")
    parser.add_argument("--models", action="store_true", help="also without models: what they add")
    parser.add_argument("--quick", action="store_true", help="a smaller run, within 50 seconds")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    if asked.quick:
        asked.events, asked.customers = 400_000, 100_000
    with progress() as bar:
        figures = _measure(asked.events, asked.customers, asked.processes, bar, asked.models, asked.scaling)
        if asked.sweep:
            swept = [_measure(asked.events, each, asked.processes, bar, undecided=True) for each in CUSTOMERS]
            figures["sweep"] = [{name: one[name] for name in ALIKE} for one in swept]
    for name, value in {**figures, **circumstances()}.items():
        for line in value if isinstance(value, list) else [value]:
            out.print(f"{name:>24}  {line}", highlight=False)
    write_json(asked.json, figures)


def _measure(
    events: int,
    customers: int,
    processes: int,
    bar: Progress,
    models: bool = False,
    scaling: bool = False,
    undecided: bool = False,
) -> dict[str, Any]:
    """Servers of their own, filled anew: figures of the floor and of the flow."""
    with ExitStack() as stack:
        house = House(stack, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        house.fill(events, customers, bar)
        floor = orjson.loads(_run("benchmarks.floor", house.topic))
        raced = race(house, events, processes, bar)
        figures = {**house.names, **house.size, "customers": customers, "processes": processes, **raced}
        figures |= _models_add(house, events, bar) if models else {}
        figures |= {"scaling": _scaling(house, events, figures, bar)} if scaling else {}
        figures |= _undecided(house, events, processes, bar) if undecided else {}
    floor_us = floor["cpu_seconds"] / floor["events"] * 1e6
    return figures | {
        "floor_events_per_s": round(floor["events"] / floor["seconds"]),
        "floor_cpu_us_per_event": round(floor_us, 2),
        "cpu_over_floor": round(figures["cpu_us_per_event"] / floor_us, 2),
    }


def _undecided(house: House, events: int, processes: int, bar: Progress) -> dict[str, Any]:
    house.hush()
    house.forget()
    raced = race(house, events, processes, bar)
    if house.decided():
        sys.exit(f"rules that never hold led to {house.decided()} decisions")
    return {f"undecided_{name}": raced[name] for name in ("events_per_s", "cpu_us_per_event", "redis_cpu_us_per_event")}


def _models_add(house: House, events: int, bar: Progress) -> dict[str, Any]:
    """CPU an event with and without models, the least of three runs each: others share the machine."""
    found: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(TURNS):
        for models in found:
            house.forget(models)
            found[models].append(race(house, events, 1, bar)["cpu_us_per_event"])
    with_us, without_us = (min(found[models]) for models in (True, False))
    every_us = _scoring_us(house)
    return {
        "cpu_us_with_models": with_us,
        "cpu_us_without": without_us,
        "models_add": round(with_us / without_us - 1, 3),
        "scores_of_every_event_us": every_us,
        "scores_of_every_event_add": round(sum(every_us.values()) / without_us, 3),
    }


def _scoring_us(house: House) -> dict[str, float]:
    """By model, CPU for a row of a batch whose every row is scored, as conditions ask for scores."""
    catalog, every = house.catalog, np.arange(BATCH)
    rows = np.random.default_rng(7).exponential(20.0, (BATCH, len(catalog.names)))
    offer, found = Offer("winback-60d", 300, 0, 0, 0, 7 * DAY_MS), {}
    for model in house.made_models():
        target, columns = catalog.tasks[model.name].target, catalog.models[model.name]

        def scores(model: LinearModel = model, target: str = target, columns: list[int] = columns) -> None:
            if target in OF_COUPONS:
                score_offer(model, target, rows[every[:, None], np.array(columns)], offer)
            else:
                score_rows(model, rows, every, columns)

        scores()  # compiles
        found[model.name] = round(min(_cpu_s(scores) for _ in range(9)) / BATCH * 1e6, 2)
    return found


def _cpu_s(what: Callable[[], None]) -> float:
    began_s = time.process_time()
    what()
    return time.process_time() - began_s


def _run(module: str, *args: str) -> str:
    return subprocess.run([sys.executable, "-m", module, *args], check=True, capture_output=True, text=True).stdout


def _scaling(house: House, events: int, several: dict[str, Any], bar: Progress) -> dict[str, Any]:
    """One process beside `several`: `alone` on all cores, and on its part of them."""
    cores, processes = sorted(os.sched_getaffinity(0)), several["processes"]
    part = set(cores[: max(1, len(cores) // processes)])
    house.forget()
    alone = race(house, events, 1, bar)
    house.forget()
    house.hold_to(part)
    on_its_part = race(house, events, 1, bar)
    house.hold_to(set(cores))
    return {
        "alone": {name: alone[name] for name in ("events_per_s", "cpu_us_per_event", "redis_cpu_us_per_event")},
        "throughput_ratio": round(several["events_per_s"] / alone["events_per_s"], 2),
        "cpu_ratio": round(several["cpu_us_per_event"] / alone["cpu_us_per_event"], 2),
        "on_its_part": {"cores": len(part), "of": len(cores), "events_per_s": on_its_part["events_per_s"]},
        "throughput_ratio_to_its_part": round(several["events_per_s"] / on_its_part["events_per_s"], 2),
    }


if __name__ == "__main__":
    main()
