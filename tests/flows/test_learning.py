"""From events to scores, through the flows as processes: rows wait, labels settle, models are learned and published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from io import StringIO
from pathlib import Path
from signal import SIGTERM
from typing import Any

import polars as pl
import pytest
from redis import Redis
from rich.console import Console

from brewline.training import write_training_set
from config.settings import Settings
from features import events as e
from features.labels import decode_examples, labels_of
from features.learning import HOUR
from features.models import input_layouts
from features.partitions import partition_keys
from features.times import DAY_MS
from flows.files import load_catalog
from flows.topics import TOPICS
from operators.kafka import producer
from operators.models import published
from operators.servers import KafkaServer, MockKafka, RedisServer
from tests.flowprocess import WAIT_S, Flow, make_topics, read_all, settings_for

pytestmark = [pytest.mark.servers, pytest.mark.slow]
NOON_MS = 1_777_867_200_000
PEOPLE, DAYS = 24, 200


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def lives() -> Iterator[tuple[str, e.Event]]:
    """Some order weekly, some every twenty days, some once: with the clock, day by day."""
    for day in range(DAYS):
        at_ms = NOON_MS + day * DAY_MS
        for n in range(PEOPLE):
            every = (7, 20, 999)[n % 3]
            if day % every == n % min(every, 7):
                id, lines = f"o{n}-{day}", [e.Line("tea")]
                yield f"c{n}", e.Order(id=id, customer=f"c{n}", at_ms=at_ms, tz="UTC", lines=lines, total_cents=900 + n)
        yield "", e.Tick(id=f"t{day}", at_ms=at_ms, source="pos/0", of=1)


def fill(settings: Settings) -> None:
    keys, sender = partition_keys(settings.kafka.partitions), producer(settings.kafka.librdkafka())
    for customer, event in lives():
        for key in [customer] if customer else keys:
            sender.produce(settings.topic("events"), e.encode(event), key, timestamp=event.at_ms)
            sender.poll(0)
    assert sender.flush(WAIT_S) == 0


def sent(settings: Settings, model: str) -> Counter[Any]:
    """The rows of a model on the topic `examples`."""
    values = [message.value() or b"" for message in read_all(settings, "examples")]
    found = [decode_examples(value) for value in values if not value.startswith(HOUR)]
    rows = (zip(t.at_ms, t.known_ms, t.labels, map(repr, t.rows), strict=True) for t in found if t.model == model)
    return Counter(row for some in rows for row in some)


def test_what_the_flow_sends_is_the_training_set_and_its_models_tell_who_stays(
    kafka: KafkaServer | MockKafka, redis: RedisServer, workdir: Path, processes: ExitStack
) -> None:
    settings = settings_for(kafka.brokers, redis.url)
    settings.metrics.learning, settings.learning.publish_every = 0, 20
    catalog = load_catalog(settings)
    make_topics(settings, TOPICS)
    fill(settings)
    wanted = {}
    for model in labels_of(catalog).taught:
        file = workdir / f"{model}.parquet"
        write_training_set(settings, model, "kafka", file, None, None, Console(file=StringIO()))
        rows = pl.read_parquet(file)
        told, values = (
            rows.select("at_ms", "known_ms", "label").rows(),
            rows.select(catalog.tasks[model].features).rows(),
        )
        wanted[model] = Counter((*one, repr([*row])) for one, row in zip(told, values, strict=True))
    flows = []
    for name in ("customers", "learning"):
        flows.append(Flow(name, settings, workdir / f"{name}.log").opened())
        processes.callback(flows[-1].kill)
    flows[0].until(lambda: all(sent(settings, model).total() >= n.total() for model, n in wanted.items()))
    assert {model: sent(settings, model) for model in wanted} == wanted
    client, layouts = Redis.from_url(redis.url), input_layouts(catalog)
    flows[1].until(
        lambda: published(client, settings.redis.prefix, layouts).keys() >= {"churn_risk", "next_order_days"}
    )
    for flow in flows:
        assert flow.end(SIGTERM) == 0
