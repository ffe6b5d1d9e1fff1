"""Reading features as of a time: how long a program waits for a hundred customers' rows, Redis included.

python -m benchmarks.reads [--customers 20000] [--events-each 20] [--customers-per-read 100] [--quick] [--json FILE]

Fills a Redis with customers' records through the core, then reads random hundreds as plain dictionaries.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from redis import Redis
from rich.progress import Progress

from benchmarks.house import out, progress
from benchmarks.load import clean_events
from brewline.reading import Features
from brewline.results import circumstances, write_json
from config.settings import Settings, load
from features.customer import Core
from features.job import Batch, Clock
from features.partitions import partition_of
from flows.files import load_catalog
from operators.layout import RECORDS, check_layout
from operators.redis_link import connect_redis
from operators.servers import redis_server
from operators.store import PartitionStore

CHUNK = 4_000
WARM = 50  # reads that do not count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--events-each", type=int, default=20)
    parser.add_argument("--customers-per-read", type=int, default=100)
    parser.add_argument("--reads", type=int, default=2_000)
    parser.add_argument("--quick", action="store_true", help="500 reads")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    reads = 500 if asked.quick else asked.reads
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as server, progress() as bar:
        settings = load(environ={"BREWLINE_REDIS__URL": server.url})
        redis = connect_redis(server.url, settings.redis.start_timeout_s)
        records, words, end_ms = records_of(settings, asked.customers * asked.events_each, asked.customers, bar)
        fill(redis, settings, records, words)
        took_ms = measure(Features(settings, redis), list(records), asked.customers_per_read, reads, end_ms, bar)
        names: dict[str, Any] = {"redis": server.name, "features": len(load_catalog(settings).names)}
    p50_ms, p99_ms = (round(float(value), 2) for value in np.percentile(took_ms, [50, 99]))
    figures = {
        **names,
        "customers": len(records),
        "record_bytes": round(sum(map(len, records.values())) / len(records)),
        "customers_per_read": asked.customers_per_read,
        "reads": len(took_ms),
        "p50_ms": p50_ms,
        "p99_ms": p99_ms,
    }
    for name, value in {**figures, **circumstances()}.items():
        out.print(f"{name:>18}  {value}", highlight=False)
    write_json(asked.json, figures)


def records_of(
    settings: Settings, events: int, customers: int, bar: Progress
) -> tuple[dict[str, bytes], dict[int, str], int]:
    """The records of a stream of events by customer, the words in them, and the time of its newest event."""
    core, records, words, end_ms = Core(load_catalog(settings)), dict[str, bytes](), dict[int, str](), 0
    stream: Iterator[bytes] = (value for _, value, tick in clean_events(events, customers) if not tick)
    task = bar.add_task("events through the core", total=events)
    while values := list(islice(stream, CHUNK)):
        batch = Batch("events", 0, -1, [*range(len(values))], values, [0] * len(values))
        columns = core.columns(batch, Clock())
        applied = core.apply(columns, [], records)
        records |= applied.records
        words |= applied.touches.words(columns.scanned, words)
        end_ms = max(end_ms, int(columns.numbers("at_ms").max()))
        bar.update(task, advance=len(values))
    return records, words, end_ms


def fill(redis: Redis, settings: Settings, records: dict[str, bytes], words: dict[int, str]) -> None:
    """Puts them where the customers flow would."""
    prefix, partitions = settings.redis.prefix, settings.kafka.partitions
    check_layout(redis, prefix, {"partitions of events": partitions})
    store = PartitionStore(redis, prefix, "customers")
    pipe = redis.pipeline(transaction=False)
    for customer, record in records.items():
        pipe.hset(store.key(partition_of(customer, partitions), RECORDS), customer, record)
    for partition in range(partitions):
        pipe.hset(store.key(partition, "words"), mapping={str(code): text for code, text in words.items()})
    pipe.execute()


def measure(
    features: Features, customers: list[str], at_once: int, reads: int, end_ms: int, bar: Progress
) -> list[float]:
    """Milliseconds of each read, the first few left out."""
    rng, took_ms = Random(11), []
    for number in bar.track(range(WARM + reads), WARM + reads, description="reading"):
        asked = rng.sample(customers, min(at_once, len(customers)))
        at_ms = end_ms + rng.randrange(30 * 86_400_000)
        started_s = time.perf_counter()
        rows = features.read_many(asked, at_ms)
        if number >= WARM:
            took_ms.append((time.perf_counter() - started_s) * 1000)
        assert len(rows) == len(asked)
    return took_ms


if __name__ == "__main__":
    main()
