"""Customers in the midst of its work: restarted process by process, and restored from a back-up elsewhere."""

from __future__ import annotations

import io
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis as redis_py
from bytewax.dataflow import Dataflow
from confluent_kafka import KafkaException, Message, TopicPartition
from rich.console import Console

from brewline.backups import back_up, restore
from config.settings import Settings
from features.loop import Store, run
from flows import customers
from flows.topics import SOURCES, TOPICS
from operators.kafka import consumer
from operators.servers import KafkaServer, MockKafka, RedisServer, redis_server
from operators.store import PartitionStore
from sim.chain import Chain
from tests.flowprocess import COUPON_KEY, Flow, feed, make_topics, read, read_all, settings_for
from tests.flows.test_crashes import Blueprint, whole
from tests.tally import stored

pytestmark = [pytest.mark.servers, pytest.mark.slow]
PARTS = range(4)


class Day:
    """A day in the clean topic, and what an undisturbed loop makes of it."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        make_topics(settings, TOPICS)
        feed(settings, (r for r in Chain(seed=3, stores=3, customers=120, days=1).records() if r.topic in SOURCES))
        ingest_all(settings, folder / "ingest.log")
        self.events: dict[int, list[Message]] = read(settings, "events")
        self.last = {part: messages[-1].offset() or 0 for part, messages in self.events.items()}

    def undisturbed(self) -> dict[int, Store]:
        house = Blueprint(self.settings)
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("BREWLINE_COUPON_KEY", COUPON_KEY)
            customers.add(Dataflow("oracle"), house)  # type: ignore[arg-type]
        return run(house.jobs["customers"], [whole(part, messages) for part, messages in self.events.items()])

    def settings_at(self, url: str, prefix: str) -> Settings:
        return msgspec.structs.replace(
            self.settings, redis=msgspec.structs.replace(self.settings.redis, url=url, prefix=prefix)
        )


def ingest_all(settings: Settings, log: Path) -> None:
    """Until all that was sent is in the clean topic."""
    group = consumer(settings.kafka.librdkafka(), settings.topic("brewline-ingest"))
    places = [TopicPartition(settings.topic(topic), part) for topic in SOURCES for part in PARTS]
    ends = [group.get_watermark_offsets(place, timeout=10)[1] for place in places]

    def through() -> bool:
        try:
            return [max(0, place.offset) for place in group.committed(places, timeout=10)] == ends
        except KafkaException:  # the coordinator of a group that is new has yet to be found
            return False

    with running("ingest", settings, log) as flow:
        flow.until(through)
        assert flow.end(signal.SIGTERM) == 0
    group.close()


@contextmanager
def running(name: str, settings: Settings, log: Path, **environ: str) -> Iterator[Flow]:
    flow = Flow(name, settings, log, **environ)
    try:
        yield flow
    finally:
        flow.kill()


@pytest.fixture(scope="module")
def day(kafka: KafkaServer | MockKafka, redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Day:
    if not isinstance(kafka, KafkaServer):
        pytest.skip("needs real Kafka: the mock cluster forgets offsets sent in transactions")
    return Day(settings_for(kafka.brokers, redis.url, batch_events=50), tmp_path_factory.mktemp("day"))


def store_of(settings: Settings) -> PartitionStore:
    return PartitionStore(redis_py.Redis.from_url(settings.redis.url), settings.redis.prefix, "customers")


def reached(store: PartitionStore) -> int:
    return sum(store.position(part).offset for part in PARTS)


def check(day: Day, store: PartitionStore) -> None:
    """State by the byte, messages by id and content."""
    expected = day.undisturbed()
    for part, undisturbed in expected.items():
        found: Any = stored(store, part)
        assert found.records == undisturbed.records
        assert found.timers == undisturbed.timers
        assert found.position == undisturbed.position
        assert found.receipts == undisturbed.receipts
    for name in ("coupons", "decisions"):
        topic = day.settings.topic(name)
        wanted = {message.value for one in expected.values() for message in one.sent if message.topic == topic}
        assert {message.value() for message in read_all(day.settings, name)} == wanted != set()


def test_a_rolling_restart_of_two_processes_loses_nothing_and_does_nothing_twice(day: Day, tmp_path: Path) -> None:
    settings = day.settings_at(day.settings.redis.url, f"{day.settings.redis.prefix}-rolling")
    store = store_of(settings)
    with ExitStack() as flows:

        def start(share: str, log: str) -> Flow:
            more = {"BREWLINE_KAFKA__SHARE": share}
            return flows.enter_context(running("customers", settings, tmp_path / f"{log}.log", **more))

        first, second = start("0/2", "first"), start("1/2", "second")
        first.until(lambda: store.position(0).offset > 20)
        assert first.end(signal.SIGTERM) == 0
        third = start("0/2", "third")
        second.until(lambda: store.position(1).offset > 60)
        third.opened(2)
        assert second.end(signal.SIGTERM) == 0
        fourth = start("1/2", "fourth")
        fourth.until(lambda: all(store.position(part).offset == day.last[part] for part in PARTS))
        assert [third.end(signal.SIGTERM), fourth.end(signal.SIGTERM)] == [0, 0]
    check(day, store)


def test_after_a_restore_elsewhere_kafka_replays_to_the_state_and_messages_of_an_undisturbed_run(
    day: Day, tmp_path: Path
) -> None:
    store, backup = store_of(day.settings), tmp_path / "backup"
    with running("customers", day.settings, tmp_path / "customers.log") as flow:
        flow.until(lambda: reached(store) > 200)
        flow.send(signal.SIGSTOP)  # in the midst of whatever it does
        back_up(day.settings, backup, Console(file=io.StringIO()))
        before = reached(store)
        flow.send(signal.SIGCONT)
        flow.until(lambda: reached(store) > before)
    told = Console(file=io.StringIO())
    with redis_server(tmp_path / "redis", appendonly="no") as other:
        elsewhere = day.settings_at(other.url, day.settings.redis.prefix)
        restore(elsewhere, backup, False, told)
        store = store_of(elsewhere)
        assert 200 < reached(store) <= before < sum(day.last.values())
        assert "customers: replays" in told.file.getvalue()  # type: ignore[attr-defined]
        with running("customers", elsewhere, tmp_path / "again.log") as flow:
            flow.until(lambda: all(store.position(part).offset == day.last[part] for part in PARTS))
            assert flow.end(signal.SIGTERM) == 0
        check(day, store)
