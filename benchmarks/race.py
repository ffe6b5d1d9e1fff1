"""The customers flow, in one process or several, against a topic that is already filled."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from typing import Any

import psutil
from rich.progress import Progress

from benchmarks.house import House, cpu_s
from operators.servers import free_port


class Runner:
    """One process with its share of the partitions. It is held once it has committed, until all have."""

    def __init__(self, house: House, stack: ExitStack, number: int, of: int) -> None:
        self.house, self.port, self.held = house, free_port(), False
        self.parts = range(number, house.partitions, of)
        self.process: psutil.Process = stack.enter_context(house.flow(share=f"{number}/{of}", port=self.port))

    def hold(self) -> bool:
        if not self.held and self.house.applied(self.parts):
            self.stages = self.house.stage_seconds(self.port)
            self.process.suspend()
            self.held = True
            self.first, self.cpu_s = self.house.applied(self.parts), cpu_s(self.process)
        return self.held

    def figures(self) -> dict[str, Any]:
        """Events, CPU seconds and seconds by stage since it was let go, and its memory now."""
        after = self.house.stage_seconds(self.port)
        return {
            "events": self.house.applied(self.parts) - self.first,
            "cpu_s": cpu_s(self.process) - self.cpu_s,
            "stages_s": {name: seconds - self.stages.get(name, 0.0) for name, seconds in after.items()},
            "rss_mb": round(self.process.memory_info().rss / 2**20),
        }


def race(house: House, events: int, processes: int, bar: Progress) -> dict[str, Any]:
    """All events, from the moment that each process has committed for the first time."""
    task = bar.add_task(f"customers flow, {processes} process{'es' * (processes > 1)}", total=events)

    def applied() -> int:
        done = house.applied()
        bar.update(task, completed=done)
        return done

    with ExitStack() as stack:
        runners = [Runner(house, stack, number, processes) for number in range(processes)]
        house.until(
            lambda: sum(runner.hold() for runner in runners) == processes, *[runner.process for runner in runners]
        )
        started, redis_cpu_s = time.perf_counter(), house.redis_cpu_s()
        for runner in runners:
            runner.process.resume()
        house.until(lambda: applied() >= events, *[runner.process for runner in runners])
        seconds, redis_cpu_s = time.perf_counter() - started, house.redis_cpu_s() - redis_cpu_s
        each = [runner.figures() for runner in runners]
    measured = sum(one["events"] for one in each)
    stages_s: Counter[str] = sum((Counter(one["stages_s"]) for one in each), Counter())
    return {
        "events": events,
        "decisions_per_event": round(house.decided() / house.applied(), 3),
        "events_per_s": round(measured / seconds),
        "cpu_us_per_event": _us(sum(one["cpu_s"] for one in each), measured),
        "redis_cpu_us_per_event": _us(redis_cpu_s, measured),
        "rss_mb": sum(one["rss_mb"] for one in each),
        "redis_mb": round(house.redis.info("memory")["used_memory"] / 2**20),  # type: ignore[index]
        "stages": {name: _us(stage_s, measured) for name, stage_s in stages_s.items()},
        "each": [
            {"events": one["events"], "cpu_us_per_event": _us(one["cpu_s"], one["events"]), "rss_mb": one["rss_mb"]}
            for one in each
        ],
    }


def _us(seconds: float, events: int) -> float:
    return round(seconds / events * 1e6, 2)
