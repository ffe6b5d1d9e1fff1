"""Ingest and customers as processes over real Kafka, under a few shipped rules: a house to live in for a test."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from itertools import count
from pathlib import Path
from signal import SIGTERM
from typing import Any

import pytest
import redis as redis_py
from rich.console import Console

from brewline.forget import forget_customer
from config import settings as conf
from features.identity import Pseudonyms
from flows.topics import COMPACTED, SOURCES, TOPICS
from operators.kafka import ensure_topics
from operators.servers import KafkaServer, MockKafka, RedisServer
from operators.store import PartitionStore
from sim.agenda import Record
from tests import flowprocess
from tests.flowprocess import IDENTITY_KEY, Flow, feed, read_all, settings_for

PATIENCE_S = 180.0  # for two flows and a broker on a busy machine
KEPT_MS = 240_000 * 3_600_000  # by the broker's clock, to which these events are old
NOON_MS = 1_777_867_200_000
SECRET = Pseudonyms(IDENTITY_KEY.encode(), "CN")


def until(what: Callable[[], object], because: Callable[[], str] = lambda: "") -> None:
    flowprocess.until(what, PATIENCE_S, because)


def sent(number: int, phone: str, at_ms: int, kind: str = "order", **more: Any) -> Record:
    event = {"type": kind, "id": f"{phone}-{number}", "time": at_ms, "who": {"phone": phone}, "store": "s1", **more}
    if kind == "order":
        event |= {"lines": [{"sku": "tea"}], "total_cents": 1800}
    return Record(at_ms, "app.events", phone, json.dumps(event).encode())


def ticks(at_ms: int) -> list[Record]:
    tick = json.dumps({"type": "tick", "id": f"t{at_ms}", "time": at_ms}).encode()
    return [Record(at_ms, topic, "", tick, tick=True) for topic in SOURCES]


class House:
    """Ingest and customers as processes, and what Redis and Kafka hold."""

    def __init__(self, settings: conf.Settings, folder: Path) -> None:
        self.settings, self.folder, self.numbers = settings, folder, count()
        self.redis = redis_py.Redis.from_url(settings.redis.url)
        self.store = PartitionStore(self.redis, settings.redis.prefix, "customers")
        self.parts = range(settings.kafka.partitions)
        self.flows: dict[str, Flow] = {}
        kafka = settings.kafka
        names, compacted = ([settings.topic(topic) for topic in topics] for topics in (TOPICS, COMPACTED))
        ensure_topics(kafka.librdkafka(), names, kafka.partitions, 1, {"retention.ms": str(KEPT_MS)}, compacted)

    def start(self, *names: str) -> None:
        for name in names:
            self.flows[name] = Flow(name, self.settings, self.folder / f"{name}-{next(self.numbers)}.log")

    def stop(self, *names: str) -> None:
        for name in names:
            assert self.flows.pop(name).end(SIGTERM) == 0

    def feed(self, *records: Record, until_ms: int) -> None:
        """Sends records, and ticks behind them; waits until the flows have come to these."""
        feed(self.settings, [*records, *ticks(until_ms)])
        for name in ("ingest", "customers"):
            assert self.flows[name].runs, self.flows[name].said
        clocks = lambda: [self.store.position(part).clock for part in self.parts]  # noqa: E731
        until(lambda: all(clock.now_ms >= until_ms for clock in clocks()), because=lambda: f"{clocks()}, {self.said()}")
        until(lambda: not any(self.store.unsent(part) for part in self.parts), because=self.said)

    def said(self) -> str:
        return "".join(flow.said[-1_500:] for flow in self.flows.values())

    def forget(self, who: str, agreed: bool = True) -> tuple[int, str]:
        out = StringIO()
        code = forget_customer(self.settings, who, Console(file=out, width=200), lambda question: agreed)
        return code, out.getvalue()

    def counts(self, name: str) -> int:
        return sum(self.store.position(part).counts.get(name, 0) for part in self.parts)

    def coupons(self, customer: str) -> list[str]:
        return [
            json.loads(m.value() or b"")["id"]
            for m in read_all(self.settings, "coupons")
            if m.key() == customer.encode()
        ]

    def of(self, customer: str) -> tuple[Any, Any]:
        """Record and timer, wherever they are."""
        records = [self.store.record(part, customer) for part in self.parts]
        timers = [self.redis.zscore(self.store.key(part, "timers"), customer) for part in self.parts]
        return next(filter(None, records), None), next(filter(None, timers), None)

    def receipts(self, customer: str) -> int:
        return sum(self.redis.llen(self.store.key(part, f"k:{customer}")) for part in self.parts)

    def holding(self, *texts: str) -> list[bytes]:
        """Keys under the prefix that hold one of these, by a look of its own: as the server dumps them."""
        found = []
        for key in self.redis.keys(f"{self.settings.redis.prefix}:*"):
            whole = key + repr(self._value(key)).encode()
            found += [key] if any(text.encode() in whole for text in texts) else []
        return found

    def _value(self, key: bytes) -> Any:
        kind = self.redis.type(key).decode()
        reads = {"string": self.redis.get, "hash": self.redis.hgetall, "set": self.redis.smembers}
        reads |= {"stream": self.redis.xrange, "zset": lambda key: self.redis.zrange(key, 0, -1)}
        reads |= {"list": lambda key: self.redis.lrange(key, 0, -1)}
        return reads[kind](key)


@contextmanager
def house_under(
    rules: list[str],
    kafka: KafkaServer | MockKafka,
    redis: RedisServer,
    folder: Path,
    partitions: int = 3,
    holdout_percent: float = 0.0,
) -> Iterator[House]:
    """A house under these shipped rules, its flows running."""
    if not isinstance(kafka, KafkaServer):
        pytest.skip("needs real Kafka: the mock cluster forgets offsets sent in transactions")
    settings = settings_for(kafka.brokers, redis.url, partitions=partitions)
    (folder / "rules").mkdir()
    for name in rules:
        shutil.copy(conf.HERE / f"rules/coupons/{name}.toml", folder / "rules")
    settings.coupons = conf.Coupons(rules=str(folder / "rules"), holdout_percent=holdout_percent)
    house = House(settings, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BREWLINE_IDENTITY_KEY", IDENTITY_KEY)
        try:
            house.start("ingest", "customers")
            yield house
        finally:
            for flow in house.flows.values():
                flow.kill()
