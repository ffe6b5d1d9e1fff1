"""An empty store, from the tills that stay silent to the coupon that fills it, through the flows as processes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
import redis as redis_py

import config
from config.settings import Settings
from features.times import MINUTE_MS, parse_time
from flows.topics import TOPICS
from operators.servers import KafkaServer, MockKafka, RedisServer
from operators.store import PartitionStore
from sim.chain import Record
from tests.flowprocess import Flow, feed, make_topics, read_all, settings_for

pytestmark = [pytest.mark.servers, pytest.mark.slow]
NOW_MS = parse_time("2026-05-11T14:00:00+08:00")
WEEK = 7 * 24 * 60  # minutes
RULE = Path(config.__file__).parent / "rules/coupons/quiet-store.toml"


def record(type: str, minute: int, card: str, **more: Any) -> Record:
    at_ms = NOW_MS + minute * MINUTE_MS
    event = {"type": type, "id": f"{type}{minute}{card}", "time": at_ms, "who": {"card": card}, "store": "s1", **more}
    if type == "order":
        event |= {"lines": [{"sku": "tea"}], "total_cents": 1800}
    return Record(at_ms, "app.events", "s1", orjson.dumps(event))


def ticks(minute: int, second: int = 0) -> list[Record]:
    """All that was sent before has been sent."""
    at_ms = NOW_MS + minute * MINUTE_MS + second * 1_000
    tick = {"type": "tick", "id": f"t{at_ms}", "time": at_ms}
    return [Record(at_ms, topic, "", orjson.dumps(tick), tick=True) for topic in ("app.events", "pos.events")]


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def data(settings: Settings, topic: str) -> list[dict[str, Any]]:
    return [orjson.loads(message.value() or b"")["data"] for message in read_all(settings, topic)]


def test_who_looks_while_a_store_has_fewer_orders_than_usual_gets_a_coupon(
    kafka: KafkaServer | MockKafka, redis: RedisServer, workdir: Path, processes: ExitStack
) -> None:
    (workdir / "rules").mkdir()
    shutil.copy(RULE, workdir / "rules")
    settings = settings_for(kafka.brokers, redis.url)
    kpis = msgspec.structs.replace(settings.kpis, retention_hours=3)
    own = {"holdout_percent": 0.0, "rules": str(workdir / "rules"), "campaigns": ""}
    coupons = msgspec.structs.replace(settings.coupons, **own)
    settings = msgspec.structs.replace(settings, coupons=coupons, kpis=kpis)
    make_topics(settings, TOPICS)
    flows = {name: Flow(name, settings, workdir / f"{name}.log") for name in ("ingest", "kpis", "customers")}
    for flow in flows.values():
        processes.callback(flow.kill)

    clocks = PartitionStore(redis_py.Redis.from_url(redis.url), settings.redis.prefix, "kpis-merge")

    def pass_to(minute: int, second: int = 0) -> None:
        """Until the KPI flow knows that it is so late: with each batch it looks at one hour more of a store."""
        feed(settings, ticks(minute, second))
        at_ms = NOW_MS + minute * MINUTE_MS + second * 1_000
        parts = range(settings.kafka.partitions)
        flows["kpis"].until(lambda: min(clocks.position(part).clock.now_ms for part in parts) >= at_ms)

    usual = [record("order", minute - WEEK, f"w{minute}") for minute in range(-60, 120)]  # one a minute
    known = record("consent", -WEEK, "K1", purpose="marketing", granted=True), record("order", -WEEK, "K1")
    feed(settings, [*usual, *known])
    for minute in range(121 - WEEK, 127 - WEEK):
        pass_to(minute)
    slack = [record("order", minute, f"s{minute}") for minute in (1, 6, 11, 16)]
    feed(settings, [record("order", -30, "s"), *slack])
    for second in range(6):
        pass_to(23, second)
    flows["kpis"].until(lambda: data(settings, "store.load"))
    assert max(said["at_ms"] for said in data(settings, "store.load")) >= NOW_MS + 15 * MINUTE_MS
    feed(settings, [record("app_open", 24, "K1"), record("app_open", 24, "stranger"), *ticks(25)])
    flows["customers"].until(lambda: data(settings, "coupons"))
    [coupon] = data(settings, "coupons")
    assert (coupon["rule"], coupon["coupon"], coupon["cause"]) == ("quiet-store", "QUIET3", "app_open24K1")
    assert 0 < coupon["values"]["store_load"] < 0.6
