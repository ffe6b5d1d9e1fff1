"""Events a second and CPU per event of the customers flow, from Kafka to Redis, beside the floor.

python -m benchmarks.throughput [--events 3000000] [--customers 1000000] [--quick] [--json FILE]

The floor consumes and decodes the same topic and does nothing else. CPU is that of the flow's process alone;
Kafka and Redis run on the same machine. `stages` tells where the flow's time goes, microseconds an event.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
from rich.progress import Progress

from benchmarks.house import House, cpu_s, out, progress
from brewline.results import circumstances, write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=3_000_000)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="a smaller run, within 50 seconds")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    if asked.quick:
        asked.events, asked.customers = 400_000, 100_000
    with ExitStack() as stack, progress() as bar:
        house = House(stack, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        house.fill(asked.events, asked.customers, bar)
        floor = orjson.loads(_run("benchmarks.floor", house.topic))
        figures = {**house.names, **house.size, "customers": asked.customers, **_measure(house, asked.events, bar)}
    figures |= {
        "floor_events_per_s": round(floor["events"] / floor["seconds"]),
        "floor_cpu_us_per_event": round(floor["cpu_seconds"] / floor["events"] * 1e6, 2),
    }
    figures["cpu_over_floor"] = round(figures["cpu_us_per_event"] / figures["floor_cpu_us_per_event"], 2)
    for name, value in {**figures, **circumstances()}.items():
        out.print(f"{name:>24}  {value}", highlight=False)
    write_json(asked.json, figures)


def _run(module: str, *args: str) -> str:
    return subprocess.run([sys.executable, "-m", module, *args], check=True, capture_output=True, text=True).stdout


def _measure(house: House, events: int, bar: Progress) -> dict[str, Any]:
    """Runs the flow until all events are applied; the clock starts with the first commit."""
    task = bar.add_task("customers flow", total=events)

    def applied(least: int) -> bool:
        done = house.applied()
        bar.update(task, completed=done)
        return done >= least

    with house.flow() as process:
        house.until(lambda: applied(1), process)
        first, before = house.applied(), house.stage_seconds()
        started, started_cpu = time.perf_counter(), cpu_s(process)
        house.until(lambda: applied(events), process)
        seconds, cpu, after = time.perf_counter() - started, cpu_s(process) - started_cpu, house.stage_seconds()
        rss_mb = process.memory_info().rss / 2**20
    measured = events - first
    return {
        "events": events,
        "events_per_s": round(measured / seconds),
        "cpu_us_per_event": round(cpu / measured * 1e6, 2),
        "rss_mb": round(rss_mb),
        "redis_mb": round(house.redis.info("memory")["used_memory"] / 2**20),  # type: ignore[index]
        "stages": {name: round((after[name] - before.get(name, 0)) / measured * 1e6, 2) for name in after},
    }


if __name__ == "__main__":
    main()
