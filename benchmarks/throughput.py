"""Events a second and CPU per event of the customers flow, from Kafka to Redis, beside the floor.

python -m benchmarks.throughput [--events 500000] [--customers 100000] [--quick] [--json FILE]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import psutil
from redis import Redis
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.load import clean_events
from brewline.results import circumstances, write_json
from config.settings import Settings, load
from flows.topics import TOPICS
from operators.kafka import ensure_topics, producer
from operators.servers import NoKafka, ServerFailed, kafka_server, mock_kafka, redis_server
from operators.store import PartitionStore

out = Console()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--quick", action="store_true", help="a smaller run, within 50 seconds")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    if asked.quick:
        asked.events, asked.customers = 120_000, 30_000
    with (
        ExitStack() as stack,
        Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=out
        ) as progress,
    ):
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings, names = _servers(stack, folder)
        sent = _fill(settings, asked.events, asked.customers, progress)
        floor = orjson.loads(_run("benchmarks.floor", settings.topic("events")))
        figures = {**names, **_measure(settings, sent, folder, progress), **_floor(floor)}
    figures["cpu_over_floor"] = round(figures["cpu_us_per_event"] / figures["floor_cpu_us_per_event"], 2)
    for name, value in {**figures, **circumstances()}.items():
        out.print(f"{name:>24}  {value}", highlight=False)
    write_json(asked.json, figures)


def _servers(stack: ExitStack, folder: Path) -> tuple[Settings, dict[str, str]]:
    """Starts Kafka and Redis and points this process and its children at them."""
    for name in ("kafka", "redis"):
        (folder / name).mkdir()
    redis = stack.enter_context(redis_server(folder / "redis"))
    kafka: Any
    try:
        kafka = stack.enter_context(kafka_server(folder / "kafka"))
    except (NoKafka, ServerFailed) as reason:
        out.print(f"[yellow]no Apache Kafka ({reason}): librdkafka's mock cluster serves, and holds few messages[/]")
        kafka = stack.enter_context(mock_kafka())
    os.environ |= {
        "BREWLINE_KAFKA__BROKERS": kafka.brokers,
        "BREWLINE_REDIS__URL": redis.url,
        "BREWLINE_METRICS__CUSTOMERS": "0",
        "BREWLINE_LOG__LEVEL": "warning",
    }
    return load(), {"kafka": kafka.name, "redis": redis.name}


def _fill(settings: Settings, events: int, customers: int, progress: Progress) -> int:
    """Writes the load into the clean topic; returns how many events, ticks left out."""
    topic = settings.topic("events")
    names = [settings.topic(name) for name in TOPICS]
    size = {"max.message.bytes": str(settings.kafka.max_message_bytes)}
    partitions = ensure_topics(settings.kafka.librdkafka(), names, settings.kafka.partitions, 1, size)[topic]
    sender = producer(settings.kafka.librdkafka(), linger_ms=50)
    for key, value, tick in progress.track(clean_events(events, customers), events, description="filling Kafka"):
        while True:
            try:
                for partition in range(partitions) if tick else (-1,):
                    sender.produce(topic, value, key or None, partition=partition)
                break
            except BufferError:
                sender.poll(0.1)
    sender.flush()
    return events


def _run(module: str, *args: str) -> str:
    return subprocess.run([sys.executable, "-m", module, *args], check=True, capture_output=True, text=True).stdout


def _measure(settings: Settings, events: int, folder: Path, progress: Progress) -> dict[str, Any]:
    """Runs the flow until all events are applied; the clock starts with the first commit."""
    store = PartitionStore(Redis.from_url(settings.redis.url), settings.redis.prefix, "customers")
    task = progress.add_task("customers flow", total=events)
    command = [sys.executable, "-m", "bytewax.run", "flows.customers:flow"]
    with (folder / "flow.log").open("wb") as log, subprocess.Popen(command, stderr=log) as flow:
        process = psutil.Process(flow.pid)
        first: tuple[int, float, float] | None = None
        try:
            while (done := _applied(store, settings.kafka.partitions)) < events:
                progress.update(task, completed=done)
                if done and first is None:
                    first = (done, time.perf_counter(), _cpu_s(process))
                if flow.poll() is not None:
                    sys.exit(f"the customers flow ended early:\n{(folder / 'flow.log').read_text()[-3000:]}")
                time.sleep(0.05)
            assert first is not None
            seconds, cpu_s = time.perf_counter() - first[1], _cpu_s(process) - first[2]
            measured, rss_mb = events - first[0], process.memory_info().rss / 2**20
            progress.update(task, completed=events)
        finally:
            flow.terminate()
    return {
        "events": events,
        "events_per_s": round(measured / seconds),
        "cpu_us_per_event": round(cpu_s / measured * 1e6, 2),
        "rss_mb": round(rss_mb),
    }


def _applied(store: PartitionStore, partitions: int) -> int:
    counts = [store.position(p).counts for p in range(partitions)]
    return sum(c.get("applied", 0) + c.get("duplicates", 0) for c in counts)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _floor(floor: dict[str, float]) -> dict[str, float]:
    return {
        "floor_events_per_s": round(floor["events"] / floor["seconds"]),
        "floor_cpu_us_per_event": round(floor["cpu_seconds"] / floor["events"] * 1e6, 2),
    }


if __name__ == "__main__":
    main()
