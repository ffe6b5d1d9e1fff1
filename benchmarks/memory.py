"""What customers cost: memory of the flow and of Redis, and how soon a restarted flow commits again.

python -m benchmarks.memory [--customers 1000000] [--events-each 3] [--quick] [--json FILE]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.house import House, out, progress
from brewline.results import circumstances, write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--events-each", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="50,000 customers")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    customers = 50_000 if asked.quick else asked.customers
    events = customers * asked.events_each
    with ExitStack() as stack, progress() as bar:
        house = House(stack, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        house.fill(events, customers, bar)
        task = bar.add_task("customers flow", total=events)
        with house.flow() as process:
            house.until(lambda: bar.update(task, completed=house.applied()) or house.applied() >= events, process)
            memory: Any = house.redis.info("memory")
            figures = {
                **house.names,
                **house.size,
                "customers": customers,
                "worker_rss_mb": round(process.memory_info().rss / 2**20),
                "redis_mb": round(memory["used_memory"] / 2**20),
            }
        house.fill(4_000, customers, bar)
        started = time.perf_counter()
        with house.flow() as process:
            house.until(lambda: house.applied() > events, process)
            figures["restart_s"] = round(time.perf_counter() - started, 2)
    for name, value in {**figures, **circumstances()}.items():
        out.print(f"{name:>14}  {value}", highlight=False)
    write_json(asked.json, figures)


if __name__ == "__main__":
    main()
