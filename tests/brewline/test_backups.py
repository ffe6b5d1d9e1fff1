"""A back-up that is taken while flows write, and restored elsewhere, leads to the state of those who never lost any."""

from __future__ import annotations

import io
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import redis as redis_py
from bytewax.dataflow import Dataflow
from rich.console import Console

from brewline.backups import back_up, restore
from config.settings import Settings
from features.loop import run
from flows import customers
from flows.topics import SOURCES, TOPICS
from operators.servers import KafkaServer, MockKafka, RedisServer, redis_server
from operators.store import PartitionStore
from sim.chain import Chain
from tests.flowprocess import COUPON_KEY, Flow, feed, make_topics, read, read_all, settings_for
from tests.flows.test_crashes import Blueprint, whole
from tests.tally import stored

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def other_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("other"), appendonly="no") as server:
        yield server


def said(out: Console) -> str:
    return out.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


def at(settings: Settings, server: RedisServer) -> Settings:
    return msgspec.structs.replace(settings, redis=msgspec.structs.replace(settings.redis, url=server.url))


@pytest.mark.slow
def test_after_a_restore_kafka_replays_to_the_state_and_messages_of_an_undisturbed_run(
    kafka: KafkaServer | MockKafka, redis: RedisServer, other_redis: RedisServer, tmp_path: Path
) -> None:
    if not isinstance(kafka, KafkaServer):
        pytest.skip("needs real Kafka: the mock cluster forgets offsets sent in transactions")
    settings = settings_for(kafka.brokers, redis.url, batch_events=60)
    make_topics(settings, TOPICS)
    feed(settings, (r for r in Chain(seed=3, stores=4, customers=200, days=1.2).records() if r.topic in SOURCES))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("BREWLINE_COUPON_KEY", COUPON_KEY)
        before = Flow("ingest", settings, tmp_path / "ingest.log")
        flows = [before]
        try:
            store = PartitionStore(redis_py.Redis.from_url(settings.redis.url), settings.redis.prefix, "customers")
            flows.append(Flow("customers", settings, tmp_path / "customers.log"))
            flows[1].until(lambda: sum(store.position(part).offset for part in range(4)) > 400)
            back_up(settings, tmp_path / "backup", quiet())
            reached = [store.position(part).offset for part in range(4)]
            flows[0].until(lambda: len(read_all(settings, "events")) > sum(reached) + 400)
            for flow in flows:
                flow.kill()
            elsewhere = at(settings, other_redis)
            told = quiet()
            restore(elsewhere, tmp_path / "backup", False, told)
            assert "customers: replays" in said(told)
            store = PartitionStore(redis_py.Redis.from_url(other_redis.url), settings.redis.prefix, "customers")
            kept = [store.position(part).offset for part in range(4)]
            assert 0 < sum(kept) <= sum(reached)
            flows += [Flow(name, elsewhere, tmp_path / f"again-{name}.log") for name in ("ingest", "customers")]
            group = settings.topic("brewline-ingest")
            flows[3].until(lambda: worked_off(elsewhere, group) and caught_up(elsewhere, store))
            assert [flow.end(signal.SIGTERM) for flow in flows[2:]] == [0, 0]
        finally:
            for flow in flows:
                flow.kill()
        house = Blueprint(elsewhere)
        customers.add(Dataflow("oracle"), house)  # type: ignore[arg-type]
    events = read(settings, "events")
    expected = run(house.jobs["customers"], [whole(part, messages) for part, messages in events.items()])
    for part, undisturbed in expected.items():
        found = stored(store, part)
        assert found.records == undisturbed.records
        assert found.timers == undisturbed.timers
        assert found.position == undisturbed.position
        assert found.receipts == undisturbed.receipts
    for topic in ("coupons", "decisions"):
        wanted = {m.value for one in expected.values() for m in one.sent if m.topic == settings.topic(topic)}
        assert {message.value() for message in read_all(settings, topic)} == wanted != set()


def worked_off(settings: Settings, group: str) -> bool:
    """Whether ingest has committed all that was sent."""
    from confluent_kafka import TopicPartition

    from operators.kafka import consumer

    asked = consumer(settings.kafka.librdkafka(), group)
    places = [TopicPartition(settings.topic(topic), part) for topic in SOURCES for part in range(4)]
    ends = [asked.get_watermark_offsets(place, timeout=10)[1] for place in places]
    found = [place.offset for place in asked.committed(places, timeout=10)]
    asked.close()
    return all(max(0, offset) == end for offset, end in zip(found, ends, strict=True))


def caught_up(settings: Settings, store: PartitionStore) -> bool:
    events = read(settings, "events")
    return all(store.position(part).offset == (messages[-1].offset() or 0) for part, messages in events.items())
