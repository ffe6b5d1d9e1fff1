"""Two customers become one while the flows run, and the key of their pseudonyms is changed meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from signal import SIGTERM

import orjson
import pytest
import redis as redis_py

from features.customer import Core
from features.identity import Pseudonyms
from features.times import parse_time
from flows.files import load_catalog
from flows.topics import TOPICS
from operators.customers import UnknownCustomer, find_customer, read_record
from operators.servers import KafkaServer, MockKafka, RedisServer
from sim.chain import Record
from tests.flowprocess import IDENTITY_KEY, Flow, feed, make_topics, read_all, settings_for

pytestmark = [pytest.mark.servers, pytest.mark.slow]
NOW_MS = parse_time("2026-05-04T12:00:00+08:00")
NEW_KEY = "another key for tests, of 16 and more characters"


def record(type: str, id: str, **who: str) -> Record:
    lines = {"lines": [{"sku": "tea"}], "total_cents": 100} if type == "order" else {}
    value = orjson.dumps({"type": type, "id": id, "time": NOW_MS, "who": who, **lines})
    return Record(topic="pos.events", key="s1", value=value, at_ms=NOW_MS)


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_two_customers_become_one_while_the_flows_run_and_their_key_changes(
    kafka: KafkaServer | MockKafka, redis: RedisServer, workdir: Path, processes: ExitStack
) -> None:
    settings = settings_for(kafka.brokers, redis.url)
    client, prefix = redis_py.Redis.from_url(redis.url), settings.redis.prefix
    core = Core(load_catalog(settings))
    old, new = Pseudonyms(IDENTITY_KEY.encode(), "CN"), Pseudonyms(NEW_KEY.encode(), "CN")

    def orders(pseudonyms: Pseudonyms, id: str) -> float:
        try:
            raw = read_record(client, prefix, find_customer(client, prefix, pseudonyms, id))
        except UnknownCustomer:
            return 0
        return dict(zip(core.catalog.names, core.row(raw, NOW_MS), strict=True))["orders_lifetime"]

    def start(name: str, log: str, **environment: str) -> Flow:
        flow = Flow(name, settings, workdir / log, **environment)
        processes.callback(flow.kill)
        return flow

    make_topics(settings, TOPICS)
    customers, ingest = start("customers", "customers.log"), start("ingest", "ingest.log")
    feed(settings, [record("order", f"p{n}", phone="13800138000") for n in range(3)])
    feed(settings, [record("order", f"k{n}", card="K1") for n in range(4)])
    ingest.until(lambda: (orders(old, "phone:13800138000"), orders(old, "card:K1")) == (3, 4))
    assert ingest.end(SIGTERM) == 0
    renewed = start("ingest", "renewed.log", BREWLINE_IDENTITY_KEY=NEW_KEY, BREWLINE_FORMER_IDENTITY_KEY=IDENTITY_KEY)
    feed(settings, [record("bind", "b", phone="+86 138 0013 8000", card="k1"), record("order", "p9", card="K1")])
    customers.until(lambda: orders(new, "phone:13800138000") == orders(new, "card:K1") == 8)
    for flow in (renewed, customers):
        assert flow.end(SIGTERM) == 0
    links = {str(message.key(), "utf-8"): message.value() for message in read_all(settings, "identities")}
    assert [links[old.one(kind, raw)] for kind, raw in (("phone", "13800138000"), ("card", "K1"))] == [None, None]
    kinds = [orjson.loads(message.value() or b"")["type"] for message in read_all(settings, "events")]
    assert (kinds.count("merge"), kinds.count("history")) == (1, 1)
