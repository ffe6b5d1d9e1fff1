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
from confluent_kafka import Message, TopicPartition
from orjson import loads
from rich.console import Console

from brewline.backups import back_up, restore
from config.settings import Settings
from features.loop import Store, run
from flows import customers
from flows.topics import SOURCES, TOPICS
from operators.kafka import consumer, producer
from operators.servers import KafkaServer, MockKafka, RedisServer, redis_server
from operators.store import PartitionStore
from sim.chain import Chain
from tests.flowprocess import (
    COUPON_KEY,
    WAIT_S,
    Flow,
    committed,
    decisions_of,
    feed,
    make_topics,
    read,
    read_all,
    settings_for,
)
from tests.flows.test_crashes import Blueprint, whole
from tests.tally import stored

pytestmark = [pytest.mark.servers, pytest.mark.slow]
PARTS = range(4)


class Day:
    """A day in the clean topic, and what an undisturbed loop makes of it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = store_of(settings)

    @property
    def events(self) -> dict[int, list[Message]]:
        return read(self.settings, "events")

    def undisturbed(self) -> dict[int, Store]:
        house = Blueprint(self.settings)
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("BREWLINE_COUPON_KEY", COUPON_KEY)
            customers.add(Dataflow("oracle"), house)  # type: ignore[arg-type]
        return run(house.jobs["customers"], [whole(part, messages) for part, messages in self.events.items()])

    def through(self, last: dict[int, int]) -> bool:
        return all(self.store.position(part).offset == offset for part, offset in last.items())


def ingest_all(settings: Settings, log: Path) -> None:
    """Until all that was sent is in the clean topic."""
    group = consumer(settings.kafka.librdkafka(), settings.topic("brewline-ingest"))
    places = [TopicPartition(settings.topic(topic), part) for topic in SOURCES for part in PARTS]
    ends = [group.get_watermark_offsets(place, timeout=10)[1] for place in places]

    def through() -> bool:
        return committed(group, places) == ends

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
    settings = settings_for(kafka.brokers, redis.url, batch_events=50)
    make_topics(settings, TOPICS)
    feed(settings, (r for r in Chain(seed=3, stores=3, customers=120, days=1).records() if r.topic in SOURCES))
    ingest_all(settings, tmp_path_factory.mktemp("day") / "ingest.log")
    return Day(settings)


def last_of(events: dict[int, list[Message]]) -> dict[int, int]:
    return {part: messages[-1].offset() or 0 for part, messages in events.items()}


def store_of(settings: Settings) -> PartitionStore:
    return PartitionStore(redis_py.Redis.from_url(settings.redis.url), settings.redis.prefix, "customers")


def reached(store: PartitionStore) -> int:
    return sum(store.position(part).offset for part in PARTS)


def check(day: Day) -> None:
    """State by the byte, messages by id and content."""
    expected = day.undisturbed()
    for part, undisturbed in expected.items():
        found: Any = stored(day.store, part)
        assert found.records == undisturbed.records
        assert found.timers == undisturbed.timers
        assert found.position == undisturbed.position
        assert found.receipts == undisturbed.receipts
    for name in ("coupons", "decisions"):
        topic = day.settings.topic(name)
        wanted = {message.value for one in expected.values() for message in one.sent if message.topic == topic}
        found = {message.value() or b"" for message in read_all(day.settings, name)}
        if name == "decisions":
            assert decisions_of(found) == decisions_of(wanted) != {}
        else:
            assert found == wanted != set()


def test_a_rolling_restart_of_two_processes_loses_nothing_and_does_nothing_twice(day: Day, tmp_path: Path) -> None:
    again = Day(settings_for(day.settings.kafka.brokers, day.settings.redis.url, batch_events=50))
    make_topics(again.settings, TOPICS)
    halves = [{part: messages[:150] for part, messages in day.events.items()}]
    halves.append({part: messages[150:] for part, messages in day.events.items()})
    tell(again.settings, halves[0])
    with ExitStack() as flows:

        def start(share: str, log: str) -> Flow:
            more = {"BREWLINE_KAFKA__SHARE": share}
            flow = flows.enter_context(running("customers", again.settings, tmp_path / f"{log}.log", **more))
            return flow.opened(2)

        first, second = start("0/2", "first"), start("1/2", "second")
        second.until(lambda: again.through(dict.fromkeys(PARTS, 149)))
        assert first.end(signal.SIGTERM) == 0
        tell(again.settings, halves[1])
        last = last_of(again.events)
        second.until(lambda: again.through({1: last[1], 3: last[3]}))  # it goes on while the other is away
        assert [again.store.position(part).offset for part in (0, 2)] == [149, 149]
        third = start("0/2", "third")
        assert second.end(signal.SIGTERM) == 0
        fourth = start("1/2", "fourth")
        third.until(lambda: again.through(last))
        assert [third.end(signal.SIGTERM), fourth.end(signal.SIGTERM)] == [0, 0]
    check(again)
    ids = [loads(message.value() or b"")["id"] for message in read_all(again.settings, "coupons")]
    assert len(ids) == len(set(ids)) > 0


def tell(settings: Settings, events: dict[int, list[Message]]) -> None:
    """As ingest does."""
    sender = producer(settings.kafka.librdkafka())
    for part, messages in events.items():
        for message in messages:
            at_ms = message.timestamp()[1]
            sender.produce(settings.topic("events"), message.value(), message.key(), partition=part, timestamp=at_ms)
            sender.poll(0)
    assert sender.flush(WAIT_S) == 0


def test_after_a_restore_elsewhere_kafka_replays_to_the_state_and_messages_of_an_undisturbed_run(
    day: Day, tmp_path: Path
) -> None:
    store, backup, last = day.store, tmp_path / "backup", last_of(day.events)
    with running("customers", day.settings, tmp_path / "customers.log") as flow:
        flow.until(lambda: reached(store) > 200)
        flow.send(signal.SIGSTOP)  # in the midst of whatever it does
        back_up(day.settings, backup, Console(file=io.StringIO()))
        before = reached(store)
        flow.send(signal.SIGCONT)
        flow.until(lambda: day.through(last))  # and is lost with the disk of its Redis
    told = Console(file=io.StringIO())
    with redis_server(tmp_path / "redis", appendonly="no") as other:
        kept = msgspec.structs.replace(day.settings.redis, url=other.url)
        elsewhere = Day(msgspec.structs.replace(day.settings, redis=kept))
        restore(elsewhere.settings, backup, False, told)
        assert reached(elsewhere.store) == before
        assert (before < sum(last.values())) == ("customers: replays" in told.file.getvalue())  # type: ignore[attr-defined]
        with running("customers", elsewhere.settings, tmp_path / "again.log") as flow:
            flow.opened(4).until(lambda: elsewhere.through(last))
            assert flow.end(signal.SIGTERM) == 0
        check(elsewhere)
