"""The judge of KPIs is killed while it learns and in the midst of an incident: what it tells is what it would have."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
import redis as redis_py
from msgspec.structs import replace

from alerts.kpis.book import Judging
from alerts.kpis.judge import Judge
from config.settings import Settings
from features.loop import batches, run
from features.times import DAY_MS, HOUR_MS, MINUTE_MS
from flows.files import load_regions
from flows.seasons import load_seasons
from flows.topics import TOPICS
from operators.kafka import producer
from operators.servers import KafkaServer, MockKafka, RedisServer
from operators.store import PartitionStore
from sim.outages import CHAIN, Outage
from tests.alerts.kpis.test_judge import START_MS, closings
from tests.flowprocess import Flow, make_topics, read_all, settings_for

pytestmark = [pytest.mark.servers, pytest.mark.slow]
HOURS = 31
STRUCK_MS = START_MS + DAY_MS + 5 * HOUR_MS
FAULT = Outage(CHAIN, STRUCK_MS, STRUCK_MS + 40 * MINUTE_MS, "chain:*")
STRUCK = (STRUCK_MS - START_MS) // MINUTE_MS


Told = list[tuple[str, bytes]]  # key and value


def by_key(told: Told) -> dict[str, list[bytes]]:
    """Each once, in order: those of one key lie in one partition, and no others need keep step with them."""
    found: dict[str, list[bytes]] = {}
    for key, value in dict.fromkeys(told):
        found.setdefault(key, []).append(value)
    return found


def undisturbed(settings: Settings, values: list[bytes]) -> Told:
    judge = Judge(
        settings.topic("alerts"), "letters", Judging(learn_days=1), load_regions(settings), load_seasons(settings)
    )
    store = run(judge, batches("kpi.closings", 0, values, range(60, len(values), 60)))[0]
    return [(message.key, message.value) for message in store.sent if message.topic == settings.topic("alerts")]


def test_alerts_after_kills_are_those_of_an_undisturbed_run(
    kafka: KafkaServer | MockKafka, redis: RedisServer, workdir: Path
) -> None:
    settings = settings_for(kafka.brokers, redis.url, batch_events=20)
    settings = replace(settings, kpis=replace(settings.kpis, learn_days=1))
    make_topics(settings, TOPICS)
    store = PartitionStore(redis_py.Redis.from_url(redis.url), settings.redis.prefix, "kpis-judge")
    values, sender = [*closings(HOURS, [FAULT])], producer(settings.kafka.librdkafka())
    for value in values:
        sender.produce(settings.topic("kpi.closings"), value, partition=0)
        sender.poll(0)
    assert sender.flush(60) == 0
    struck = []
    for number, least in enumerate((STRUCK // 3, STRUCK + 15)):
        flow = Flow("kpis", settings, workdir / f"{number}.log")
        flow.until(lambda least=least: store.position(0).offset >= least)
        flow.kill()
        struck.append(store.position(0).offset)
    flow = Flow("kpis", settings, workdir / "last.log")
    flow.until(lambda: store.position(0).offset == len(values) - 1 and not store.unsent(0))
    flow.kill()
    assert STRUCK // 3 <= struck[0] < STRUCK < struck[1] < len(values) - 1, "fed too little to be killed in its midst"
    expected = undisturbed(settings, values)
    found = [((message.key() or b"").decode(), message.value() or b"") for message in read_all(settings, "alerts")]
    assert by_key(found) == by_key(expected)
    states = [(data["state"], data["dim"]) for data in (orjson.loads(value)["data"] for _, value in expected)]
    assert ("firing", "chain:*") in states
    assert ("resolved", "chain:*") in states
