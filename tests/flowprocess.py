"""Flows as the processes an operator starts, what is fed to them, and what they leave in Kafka."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from benchmarks.decisions import decisions_in
from brewline.cli import module
from config import settings as conf
from config.settings import Settings
from operators.kafka import consumer, ensure_topics, producer
from operators.servers import die_with_parent
from sim.agenda import Record

ROOT = Path(__file__).parent.parent
IDENTITY_KEY = "a key for tests, of 16 and more characters"
COUPON_KEY = "a key for tests that signs coupons"
WAIT_S = 120.0
FLOWS = ("ingest", "customers", "kpis", "security", "learning", "dispatch", "service", "abuse", "notify", "board")


def settings_for(brokers: str, redis_url: str, **kafka: int) -> Settings:
    """Settings under topics and keys of their own, with ticks from the input; for a fixture that outlives a test."""
    prefix = f"t{uuid4().hex[:8]}"
    return conf.Settings(
        kafka=conf.Kafka(brokers=brokers, topic_prefix=f"{prefix}-", **kafka),
        redis=conf.Redis(url=redis_url, prefix=prefix),
        time=conf.Time(clock="event"),
        metrics=conf.Metrics(**dict.fromkeys(FLOWS, 0)),
        folder=str(conf.HERE),
    )


def environ(settings: Settings) -> dict[str, str]:
    """The environment that makes a flow run with these settings."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("BREWLINE_")}
    for section, values in msgspec.structs.asdict(settings).items():
        own |= written(section, values)
    keys = {"BREWLINE_IDENTITY_KEY": IDENTITY_KEY, "BREWLINE_COUPON_KEY": COUPON_KEY}
    return own | keys | {"PYTHONPATH": str(ROOT)}


def written(section: str, values: Any) -> dict[str, str]:
    """A section as the environment has it; tables of names are JSON, what is a section within it has no variable."""
    if not isinstance(values, msgspec.Struct):
        return {}
    told = {f"BREWLINE_{section}__{key}".upper(): value for key, value in msgspec.structs.asdict(values).items()}
    told = {name: value for name, value in told.items() if not isinstance(value, msgspec.Struct)}
    return {
        name: msgspec.json.encode(value).decode() if isinstance(value, dict | list) else f"{value}"
        for name, value in told.items()
        if not name.endswith("__CLIENT")
    }


def until(what: Callable[[], object], wait_s: float = WAIT_S, because: Callable[[], str] = lambda: "") -> None:
    """Waits until it is so."""
    end = time.monotonic() + wait_s
    while not what():
        assert time.monotonic() < end, f"waited {wait_s:g} s in vain; {because()}"
        time.sleep(0.02)


class Flow:
    """One flow as a process of its own, from start to end; `said` is what it wrote to stderr."""

    def __init__(self, name: str, settings: Settings, log: Path, **environment: str) -> None:
        self.name = name
        self.log = log
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *module((name,))],
                cwd=ROOT,
                env=environ(settings) | environment,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                preexec_fn=die_with_parent(),
            )

    @property
    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    def opened(self, partitions: int = 1) -> Flow:
        """Waits until it reads so many partitions."""
        self.until(lambda: self.said.count("partition opened") >= partitions)
        return self

    def until(self, what: Callable[[], object]) -> None:
        """Waits until it is so, while the flow runs."""

        def so() -> object:
            assert self.runs, f"{self.name} ended with code {self.process.returncode}:\n{self.said}"
            return what()

        until(so, because=lambda: self.said[-2_000:])

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, number: signal.Signals | None = None) -> int:
        """Its exit code, after a signal or by itself; killed if it does not end."""
        if number is not None and self.runs:
            self.send(number)
        try:
            return self.process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end in {WAIT_S:g} s:\n{self.said[-4_000:]}") from None
        finally:
            self.kill()

    def kill(self) -> None:
        """SIGKILL, wherever it stands."""
        self.process.kill()
        self.process.wait()


def make_topics(settings: Settings, names: Iterable[str]) -> None:
    """As the flows would make them."""
    kafka = settings.kafka
    config = {"max.message.bytes": str(kafka.max_message_bytes)}
    ensure_topics(kafka.librdkafka(), [settings.topic(name) for name in names], kafka.partitions, 1, config)


def feed(settings: Settings, records: Iterable[Record]) -> None:
    """Sends records as tills and apps do, under their own times; a tick goes to every partition of its topic."""
    sender = producer(settings.kafka.librdkafka())
    for record in records:
        everywhere: Iterable[dict[str, int]] = [{}]
        if record.tick:
            everywhere = ({"partition": partition} for partition in range(settings.kafka.partitions))
        for place in everywhere:
            sender.produce(
                settings.topic(record.topic), record.value, record.key or None, timestamp=record.at_ms, **place
            )
            sender.poll(0)
    assert sender.flush(WAIT_S) == 0


def read(settings: Settings, topic: str) -> dict[int, list[Message]]:
    """All committed messages of a topic by partition, in order."""
    reader: Consumer = consumer(settings.kafka.librdkafka(), "tests", enable_partition_eof=True)
    name, partitions = settings.topic(topic), settings.kafka.partitions
    reader.assign([TopicPartition(name, partition, 0) for partition in range(partitions)])
    found: dict[int, list[Message]] = {partition: [] for partition in range(partitions)}
    ended: set[int] = set()
    while len(ended) < partitions:
        message = reader.poll(WAIT_S)
        assert message is not None, f"{name} could not be read to its end"
        error: Any = message.error()
        if error is None:
            found[message.partition()].append(message)  # type: ignore[index]
        else:
            ended.add(message.partition())  # type: ignore[arg-type]
    reader.close()
    return found


def committed(reader: Consumer, places: list[TopicPartition], wait_s: float = WAIT_S) -> list[int]:
    """The offsets of a reader's group, 0 where there is none; asked again while Kafka has yet to find who knows."""
    end = time.monotonic() + wait_s
    while True:
        try:
            found = reader.committed(places, timeout=wait_s)
            for place in found:
                if place.error is not None:  # no offset known is not the same as none committed
                    raise KafkaException(place.error)
            return [max(0, place.offset) for place in found]
        except KafkaException:
            if time.monotonic() > end:
                raise
        time.sleep(0.1)


def read_all(settings: Settings, topic: str) -> list[Message]:
    return [message for messages in read(settings, topic).values() for message in messages]


def decisions_of(values: Iterable[bytes]) -> dict[str, dict[str, Any]]:
    """Of messages of `decisions`, by id: however often one came, and with which others, it says the same."""
    found: dict[str, dict[str, Any]] = {}
    for told in [told for value in values for told in decisions_in(value)]:
        assert found.setdefault(told["decision"], told) == told
    return found
