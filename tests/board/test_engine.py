"""The engine on the board: figures of flows that really serve them, rates, latencies, and who is down."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from redis import Redis

from board.engine import KEPT, Engine, places, quantile
from config import board as boards
from config import settings as conf
from operators import health
from operators.footprint import kind_of, measure
from operators.health import Pulse, serve_health
from operators.layout import RECORDS
from operators.scrape import Silent, scrape
from operators.servers import free_port
from operators.store import partition_key
from tests.board.conftest import SignedIn

pytestmark = pytest.mark.servers
OTHERS = dict.fromkeys(
    ("customers", "kpis", "security", "learning", "dispatch", "service", "abuse", "notify", "board"), 0
)


class Flow:
    """What a flow serves: this process' own metrics, under a name that no other test uses."""

    def __init__(self) -> None:
        self.name, self.port = f"flow-{free_port()}", free_port()
        self.pulse = Pulse(15.0)
        self.server = serve_health("127.0.0.1", self.port, self.pulse)

    def batch(self, records: int, took_s: float = 0.004, latency_s: float = 0.02) -> None:
        health.BATCH.labels(self.name).observe(records)
        health.STAGE.labels(self.name, "plan").observe(took_s)
        health.LATENCY.labels(self.name).observe(latency_s)
        health.FENCE.labels(self.name, "0").set(time.time())
        health.LAG.labels(self.name, "events", "0").set(records)

    def close(self) -> None:
        assert self.server is not None
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def flow() -> Iterator[Flow]:
    flow = Flow()
    yield flow
    flow.close()


@pytest.fixture
def engine(flow: Flow) -> Iterator[Engine]:
    engine = Engine(conf.Settings(metrics=conf.Metrics(ingest=flow.port, **OTHERS)))
    yield engine
    engine.close()


def test_rates_count_from_the_first_look_on(flow: Flow, engine: Engine) -> None:
    for _ in range(3):
        flow.batch(1_000)
    first = mine(engine.look(), flow)
    assert (first.records_per_s, first.p99_ms, first.lag) == (0.0, -1.0, 1_000), "nothing is known of before"
    began_s = time.monotonic()
    for _ in range(4):
        flow.batch(50)
    now = mine(engine.look(), flow)
    took_s = time.monotonic() - began_s
    assert 200 / (took_s + 0.5) < now.records_per_s
    assert (now.batch_records, now.lag) == (50.0, 50)
    assert now.stages_ms == {"plan": 4.0}
    assert 10 <= now.p50_ms <= now.p99_ms <= 25, "all lie in the bucket from 10 to 25 ms"
    [partition] = now.partitions
    assert (partition.partition, partition.lag) == ("events/0", 50)
    assert 0 <= partition.commit_age_s < 30


def mine(now: Any, flow: Flow) -> Any:
    return next(one for one in now.flows if one.name == flow.name)


def test_a_flow_that_does_not_answer_is_down_since_then(flow: Flow, engine: Engine) -> None:
    flow.batch(1)
    flow.pulse.trouble("kafka", "away")
    up = engine.look()
    [process] = up.processes
    assert (process.up, process.complaints) == (True, ["kafka: away"])
    assert flow.name in process.flows
    flow.close()
    down, later = engine.look(), engine.look()
    [process] = later.processes
    assert (process.up, process.since_ms) == (False, down.at_ms)
    assert "does not answer" in process.why
    gone = mine(later, flow)
    assert (gone.up, gone.seen_ms) == (False, up.at_ms)
    flow.server = serve_health("127.0.0.1", flow.port, flow.pulse)
    assert mine(engine.look(), flow).up


def test_a_newcomer_sees_what_was_before_and_it_is_bounded(flow: Flow, engine: Engine) -> None:
    flow.batch(1)
    for _ in range(3):
        engine.look()
    curves = engine.curves()
    assert len(curves.at_ms) == 3
    assert {len(column) for column in curves.flows[flow.name].values()} == {3}
    engine.past.extend([engine.past[-1]] * KEPT)
    assert len(engine.curves().at_ms) == KEPT


def test_another_servers_answer_is_no_figure() -> None:
    with pytest.raises(Silent, match="does not answer"):
        scrape("127.0.0.1", free_port())


def test_processes_are_asked_where_they_can_be_reached() -> None:
    settings = conf.Settings(metrics=conf.Metrics(host="0.0.0.0", ingest=9101, **OTHERS))
    assert places(settings) == {("127.0.0.1", 9101): "ingest"}
    settings.board = boards.Board(flows={"ingest": "one.example:9101", "kpis": "two.example:9103"})
    assert places(settings) == {("one.example", 9101): "ingest", ("two.example", 9103): "kpis"}


@given(st.lists(st.floats(0.001, 9.9), min_size=1, max_size=60), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(seen: list[float], share: float) -> None:
    bounds = [0.005, 0.05, 0.1, 0.5, 1, 5, 10]
    histogram = Histogram("seen", "Seen", registry=CollectorRegistry(), buckets=bounds)
    for value in seen:
        histogram.observe(value)
    samples = [sample for family in histogram.collect() for sample in family.samples if sample.name == "seen_bucket"]
    buckets = sorted((float(sample.labels["le"]), sample.value) for sample in samples)
    true_s = sorted(seen)[math.ceil(share * len(seen)) - 1]
    high = next(bound for bound in bounds if true_s <= bound)
    low = max([0.0, *(bound for bound in bounds if bound < high)])
    assert 1000 * low - 0.01 <= quantile(buckets, share) <= 1000 * high + 0.01


def test_of_nothing_there_is_no_quantile() -> None:
    assert quantile([], 0.5) == quantile([(1.0, 0.0)], 0.5) == -1.0


def test_what_redis_holds_is_told_by_flow_and_kind(board_settings: conf.Settings, signed_in: SignedIn) -> None:
    client = Redis.from_url(board_settings.redis.url)
    prefix = board_settings.redis.prefix
    for partition in range(4):
        key = partition_key(prefix, "customers", partition, RECORDS)
        client.hset(key, mapping={f"c{i}": b"x" * 500 for i in range(100)})
    client.mset({f"{prefix}:{{customers.{i % 4}}}:k:c{i}": b"x" * 50 for i in range(400)})
    found = measure(client, prefix, {"customers": 4, "kpis": 0})
    assert found.keys >= 404
    [records] = [one for one in found.shares if (one.flow, one.kind) == ("customers", "records")]
    assert records.keys == 4
    assert 200_000 < records.bytes < 400_000
    assert sum(one.keys for one in found.shares) == pytest.approx(found.keys, rel=0.05)
    told = signed_in("engineer").get("/api/v1/engine/state").json()
    assert told["versions"]["redis"] == found.version
    assert signed_in("marketing").get("/api/v1/engine/state").status_code == 403


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("bl:{customers.3}:records", ("customers", "records")),
        ("bl:{customers.3}:k:c1", ("customers", "receipts")),
        ("bl:{kpis-judge.0}:outbox", ("kpis-judge", "outbox")),
        ("bl:{alerts}:book", ("alerts", "book")),
        ("bl:layout", ("", "others of ours")),
        ("else:{customers.3}:records", ("", "not ours")),
    ],
)
def test_a_key_says_whose_it_is(key: str, kind: tuple[str, str]) -> None:
    assert kind_of(key, "bl") == kind
