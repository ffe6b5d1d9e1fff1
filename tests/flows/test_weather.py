"""Ingest is killed between the weather and the events that are told it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import orjson
import pytest

from features.times import MINUTE_MS, parse_time
from flows.topics import TOPICS
from operators.servers import KafkaServer, MockKafka, RedisServer
from sim.chain import Record
from tests.flowprocess import Flow, feed, make_topics, read_all, settings_for

pytestmark = [pytest.mark.servers, pytest.mark.slow]
NOW_MS = parse_time("2026-05-04T12:00:00+08:00")


def record(type: str, minute: int, key: str, **fields: object) -> Record:
    at_ms = NOW_MS + minute * MINUTE_MS
    value = orjson.dumps({"type": type, "id": f"{type}{minute}", "time": at_ms, **fields})
    return Record(topic="app.events", key=key, value=value, at_ms=at_ms)


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_the_successor_of_a_killed_ingest_tells_the_weather_that_it_had_read(
    kafka: KafkaServer | MockKafka, redis: RedisServer, workdir: Path, processes: ExitStack
) -> None:
    settings = settings_for(kafka.brokers, redis.url)

    def start(log: str) -> Flow:
        flow = Flow("ingest", settings, workdir / log)
        processes.callback(flow.kill)
        return flow

    def clean(type: str) -> list[dict[str, object]]:
        found = [orjson.loads(message.value() or b"") for message in read_all(settings, "events")]
        return sorted((one for one in found if one["type"] == type), key=lambda one: one["at_ms"])

    make_topics(settings, TOPICS)
    ingest = start("first.log")
    feed(settings, [record("weather", n, "s1", place="s1", temp_c=20 + n, rain_mm=0.5) for n in (0, 30)])
    ingest.until(lambda: len(clean("weather")) == 2)
    ingest.kill()
    feed(settings, [record("view", n, f"a{n}", store="s1", who={"app_id": f"a{n}"}) for n in (10, 40, 300)])
    start("second.log").until(lambda: len(clean("view")) == 3)
    assert [(one.get("temp_c"), one.get("rain_mm")) for one in clean("view")] == [
        (20.0, 0.5),
        (50.0, 0.5),
        (None, None),
    ]
    assert len(clean("weather")) == 2
