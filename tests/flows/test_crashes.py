"""Ingest and customers are killed, paused and succeeded again and again; the end is that of an undisturbed run."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
import redis as redis_py
from bytewax.dataflow import Dataflow
from confluent_kafka import Message, TopicPartition

from config.settings import Settings
from features.events import OWN, Event, Tick, decode_event
from features.job import Batch, Job
from features.learning import HOUR
from features.loop import Store, run
from features.trials import START
from flows import customers
from flows.topics import SOURCES, TOPICS
from operators.kafka import consumer
from operators.servers import KafkaServer, MockKafka, RedisServer
from operators.store import PartitionStore
from sim.agenda import Record
from sim.chain import Chain
from tests.flowprocess import COUPON_KEY, Flow, committed, decisions_of, feed, make_topics, read, read_all, settings_for
from tests.tally import stored

pytestmark = [pytest.mark.servers, pytest.mark.slow]
OUTPUTS = ("coupons", "decisions", "examples")


class Blueprint:
    """A house that runs nothing: it keeps the jobs of the flows that are built in it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.partitions = dict.fromkeys(TOPICS, settings.kafka.partitions)
        self.jobs: dict[str, Job] = {}
        self.redis = redis_py.Redis.from_url(settings.redis.url)  # where the flows have noted their layout
        self.tombstones = SimpleNamespace(told=dict)  # nobody's
        self.answered = lambda ask: ask()

    def topic(self, name: str) -> str:
        return self.settings.topic(name)

    def answered(self, ask: Callable[[], Any]) -> Any:
        """Redis is there."""
        return ask()

    def store(self, flow: str) -> None:
        """Nothing is stored."""

    def stage(self, flow: Dataflow, name: str, topic: str, job: Job, refresh: Any = None, *more: Any) -> None:
        self.jobs[name] = job


class Town:
    """A chain whose day is in Kafka, and the flows that worked it off under fire."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings, self.folder, self.numbers = settings, folder, count()
        self.parts = range(settings.kafka.partitions)
        self.store = PartitionStore(redis_py.Redis.from_url(settings.redis.url), settings.redis.prefix, "customers")
        self.group = consumer(settings.kafka.librdkafka(), f"{settings.kafka.topic_prefix}brewline-ingest")
        self.flows: list[Flow] = []
        self.struck = 0  # kills in mid-stream
        self.ends: dict[str, int] = {}  # exit codes of those that ended by themselves, by what befell them
        self.chain = Chain(seed=3, stores=8, customers=450, days=1.5)
        make_topics(settings, TOPICS)
        records = [record for record in self.chain.records() if record.topic in SOURCES]
        self.morning, self.evening = records[: len(records) // 2], records[len(records) // 2 :]
        self.sources: dict[str, dict[int, list[Message]]] = {}

    def feed(self, records: list[Record]) -> None:
        feed(self.settings, records)
        self.sources = {topic: read(self.settings, topic) for topic in SOURCES}

    def start(self, name: str) -> Flow:
        self.flows.append(Flow(name, self.settings, self.folder / f"{name}-{next(self.numbers)}.log"))
        return self.flows[-1]

    @property
    def sent(self) -> int:
        """Records in the source topics."""
        return sum(len(messages) for partitions in self.sources.values() for messages in partitions.values())

    def ingested(self) -> int:
        """Source records whose transaction is committed."""
        places = [TopicPartition(self.settings.topic(topic), part) for topic in SOURCES for part in self.parts]
        return sum(committed(self.group, places))

    def applied(self) -> int:
        """How far the customers flow has come: the sum over its partitions."""
        return sum(self.store.position(part).offset for part in self.parts)

    def ingest_under_fire(self) -> None:
        """A zombie is paused when it has its partitions; the evening gives it something to do when it wakes."""
        self.feed(self.morning)
        killed = self.start("ingest")
        killed.until(lambda: self.ingested() > 0.2 * self.sent)
        killed.kill()
        zombie = self.start("ingest").opened(len(SOURCES) * len(self.parts))
        zombie.send(signal.SIGSTOP)
        self.feed(self.evening)
        successor = self.start("ingest")
        successor.until(lambda: self.ingested() == self.sent)
        self.before_zombie = Counter(self.clean_ids())
        zombie.send(signal.SIGCONT)
        self.ends["zombie ingest"] = zombie.end()
        self.ends["ingest told to end"] = successor.end(signal.SIGTERM)

    def customers_under_fire(self) -> None:
        self.events = read(self.settings, "events")
        last = {part: messages[-1].offset() or 0 for part, messages in self.events.items()}
        for share in (0.05, 0.2, 0.4):
            flow = self.start("customers")
            flow.until(lambda share=share: self.applied() > share * sum(last.values()))
            flow.kill()
            self.struck += self.applied() < sum(last.values())
        assert self.struck, "each was through before it could be killed: feed it more"
        flow = self.start("customers")
        flow.until(lambda: all(self.store.position(part).offset == last[part] for part in self.parts))
        self.ends["customers told to end"] = flow.end(signal.SIGTERM)

    def clean_ids(self) -> list[str]:
        return [event.id for event in self.clean_events()]

    def clean_events(self) -> list[Event]:
        """What is in the clean topic of what was sent, without ticks."""
        decoded = [decode_event(message.value() or b"") for message in read_all(self.settings, "events")]
        return [event for event in decoded if not isinstance(event, (Tick, *OWN.values()))]

    def undisturbed(self) -> dict[int, Store]:
        """What a plain loop makes of the same records, by partition."""
        house = Blueprint(self.settings)
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("BREWLINE_COUPON_KEY", COUPON_KEY)  # that of the flows
            customers.add(Dataflow("oracle"), house)  # type: ignore[arg-type]
        return run(house.jobs["customers"], [whole(part, messages) for part, messages in self.events.items()])


def whole(part: int, messages: list[Message]) -> Batch:
    """A partition as one batch."""
    values = [message.value() or b"" for message in messages]
    stamps_ms = [message.timestamp()[1] for message in messages]
    return Batch("events", part, -1, [message.offset() or 0 for message in messages], values, stamps_ms)


@pytest.fixture(scope="module")
def town(
    kafka: KafkaServer | MockKafka, redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Town]:
    if not isinstance(kafka, KafkaServer):
        pytest.skip("needs real Kafka: the mock cluster forgets offsets sent in transactions")
    town = Town(settings_for(kafka.brokers, redis.url, batch_events=60), tmp_path_factory.mktemp("town"))
    try:
        town.ingest_under_fire()
        town.customers_under_fire()
        yield town
    finally:
        for flow in town.flows:
            flow.kill()


def test_every_source_record_is_in_the_clean_topic_or_a_dead_letter_exactly_once(town: Town) -> None:
    buried = Counter(
        dict(message.headers() or [])["ce_id"].decode() for message in read_all(town.settings, "dead-letters")
    )
    assert set(buried.values()) == {1}
    expected: Counter[str] = Counter()
    for topic, partitions in town.sources.items():
        for part, messages in partitions.items():
            for message in messages:
                if f"{town.settings.topic(topic)}/{part}/{message.offset()}" not in buried:
                    event = decode_event(message.value() or b"")
                    expected[event.id] += not isinstance(event, Tick)
    assert Counter(town.clean_ids()) == +expected


def test_dead_letters_are_the_records_the_chain_has_spoilt_with_their_bytes(town: Town) -> None:
    letters = read_all(town.settings, "dead-letters")
    spoilt = town.chain.truth.malformed_by_topic
    reasons: Counter[str] = sum((Counter(spoilt.get(topic, {})) for topic in SOURCES), Counter())
    assert Counter(dict(letter.headers() or [])["reason"].decode() for letter in letters) == reasons
    for letter in letters:
        headers = {name: value.decode() for name, value in letter.headers() or []}
        topic = headers["source_topic"].removeprefix(town.settings.kafka.topic_prefix)
        origin = town.sources[topic][int(headers["source_partition"])][int(headers["source_offset"])]
        assert letter.value() == origin.value()


def test_a_zombie_ingest_ends_and_writes_nothing_after_its_successor_has_begun(town: Town) -> None:
    assert town.ends["zombie ingest"] != 0
    assert Counter(town.clean_ids()) == town.before_zombie


def test_flows_told_to_end_do_so_without_error(town: Town) -> None:
    assert town.ends["ingest told to end"] == 0
    assert town.ends["customers told to end"] == 0


def test_records_timers_clocks_and_counts_are_those_of_an_undisturbed_run(town: Town) -> None:
    for part, expected in town.undisturbed().items():
        found = stored(town.store, part)
        assert found.records == expected.records
        assert found.timers == expected.timers
        assert found.receipts == expected.receipts
        assert found.position == expected.position


def test_every_event_with_a_customer_is_applied_or_a_duplicate(town: Town) -> None:
    counts: Counter[str] = Counter()
    for part in town.parts:
        counts.update(town.store.position(part).counts)
    ids = Counter((event.customer, event.id) for event in town.clean_events() if event.customer)
    assert counts["applied"] == len(ids)
    assert counts["duplicates"] == ids.total() - len(ids) > 0
    assert counts["dead_lettered"] == 0
    assert sum(town.chain.truth.sent[topic] for topic in SOURCES) == len(town.clean_ids()) + len(
        read_all(town.settings, "dead-letters")
    )


def test_no_message_is_missing_none_is_new_and_one_id_means_one_content(town: Town) -> None:
    expected = [message for store in town.undisturbed().values() for message in store.sent]
    for topic in OUTPUTS:
        name = town.settings.topic(topic)
        wanted = {(message.key, message.value) for message in expected if message.topic == name}
        found = {((m.key() or b"").decode(), m.value() or b"") for m in read_all(town.settings, topic)}
        if topic == "examples":  # those of a batch go together, and where the log was cut is the crash's doing
            assert rows_of(found) == rows_of(wanted)
            continue
        if topic == "decisions":
            assert decisions_of(value for _, value in found) == decisions_of(value for _, value in wanted)
            continue
        assert found == wanted
        ids = [orjson.loads(value)["id"] for _, value in found]
        assert len(ids) == len(set(ids))
    assert any(message.topic == town.settings.topic("coupons") for message in expected)


def rows_of(messages: set[tuple[str, bytes]]) -> set[str]:
    others = {repr(message) for message in messages if message[1].startswith((START, HOUR))}
    told = [orjson.loads(value) for _, value in messages if not value.startswith((START, HOUR))]
    each = [(m["model"], zip(m["ids"], m["at_ms"], m["known_ms"], m["labels"], m["rows"], strict=True)) for m in told]
    return others | {repr((model, *row)) for model, rows in each for row in rows}


def test_nothing_is_left_to_send(town: Town) -> None:
    assert [sent for part in town.parts for sent in town.store.unsent(part)] == []
