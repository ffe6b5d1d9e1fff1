"""What the customers flow should have made of a log: the same job in a plain loop, on which nothing ever fell."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from confluent_kafka import Consumer, Message, TopicPartition

from benchmarks import house
from features.job import Batch
from features.loop import Store, run
from flows.house import House
from flows.ruled import Ruled
from operators.kafka import consumer

READ_S = 30.0
LARGEST = 4_000


def undisturbed(home: house.House, log: dict[int, list[Message]], seed: int | None = None) -> dict[int, Store]:
    """By partition, what comes of its log; batches are as large as can be, or cut at random by `seed`."""
    ruled = Ruled(House(home.settings))
    ruled.published.refresh()
    return run(ruled.job, (batch for partition, records in log.items() for batch in _cut(partition, records, seed)))


def _cut(partition: int, records: list[Message], seed: int | None) -> Iterator[Batch]:
    rng = Random(seed)
    whole = Batch(
        "events",
        partition,
        -1,
        [record.offset() or 0 for record in records],
        [record.value() or b"" for record in records],
        [record.timestamp()[1] for record in records],
    )
    start = 0
    while start < len(records):
        stop = min(start + (LARGEST if seed is None else rng.randint(1, 400)), len(records))
        yield whole.cut(start, stop)
        start = stop


def read_log(home: house.House, topic: str) -> dict[int, list[Message]]:
    """All records of a topic by partition, in log order."""
    reader: Consumer = consumer(home.settings.kafka.librdkafka(), "brewline-chaos", enable_partition_eof=True)
    parts = range(home.partitions)
    reader.assign([TopicPartition(home.settings.topic(topic), partition, 0) for partition in parts])
    found: dict[int, list[Message]] = {partition: [] for partition in parts}
    ended: set[int] = set()
    while len(ended) < len(found):
        message = reader.poll(READ_S)
        if message is None:
            raise SystemExit(f"{topic} could not be read to its end")
        partition: Any = message.partition()
        if message.error() is None:
            found[partition].append(message)
        else:
            ended.add(partition)
    reader.close()
    return found
