"""The source: each record of a partition once, in order, from where the fence says; no claim about unread ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from features.job import Batch
from operators.health import LAG, Pulse
from operators.kafka import ensure_topics, producer, require_kafka
from operators.servers import KafkaServer, MockKafka, mock_kafka
from operators.source import KafkaBatches, OffsetExpired, Partition

pytestmark = pytest.mark.servers
WAIT_S = 60.0


class Book:
    """A fence in memory: starts behind `at`, rewinds to `back` once."""

    def __init__(self, at: int = -1) -> None:
        self.at = at
        self.back: int | None = None
        self.open = False  # a commit waits to be taken up
        self.released = False

    def claim(self, topic: str, partition: int) -> int:
        return self.at

    def rewind(self, topic: str, partition: int) -> int | None:
        back, self.back = self.back, None
        return back

    def awaits(self, topic: str, partition: int) -> bool:
        return self.open

    def release(self, topic: str, partition: int) -> None:
        self.released = True


class Reader:
    """A partition of a source as Bytewax turns it; `batches` is all it gave."""

    def __init__(self, brokers: str, topic: str, at: int = -1, batch_events: int = 1_000) -> None:
        self.book, self.pulse, self.stop = Book(at), Pulse(stall_s=60), Event()
        client = {"bootstrap.servers": brokers}
        self.source = KafkaBatches(
            "test", client, {topic: 1}, self.book, self.pulse, self.stop, batch_events=batch_events, poll_ms=10
        )
        (part,) = self.source.list_parts()
        self.partition: Partition = self.source.build_part("in", part, None)
        self.batches: list[Batch] = []

    def until(self, what: Callable[[], object]) -> None:
        end = time.monotonic() + WAIT_S
        while not what():
            assert time.monotonic() < end, "waited in vain"
            found = list(self.partition.next_batch())
            self.batches += found
            if not found:
                time.sleep(0.01)

    def read(self, count: int) -> list[bytes]:
        """The values up to the `count`-th."""
        self.until(lambda: len(self.values) >= count)
        return self.values

    def heartbeat(self) -> Batch:
        """The next empty batch."""
        self.batches.clear()
        self.until(lambda: any(not batch.offsets for batch in self.batches))
        return next(batch for batch in self.batches if not batch.offsets)

    @property
    def values(self) -> list[bytes]:
        return [value for batch in self.batches for value in batch.values]

    @property
    def offsets(self) -> list[int]:
        return [offset for batch in self.batches for offset in batch.offsets]


@pytest.fixture
def reader(kafka: KafkaServer | MockKafka, topic_prefix: str) -> Iterator[Callable[..., Reader]]:
    """Makes readers of this test's topic, which has one partition, and closes them."""
    topic = topic_prefix + "in"
    ensure_topics({"bootstrap.servers": kafka.brokers}, [topic], 1, 1, {})
    made: list[Reader] = []

    def make(**options: Any) -> Reader:
        made.append(Reader(kafka.brokers, topic, **options))
        return made[-1]

    yield make
    for one in made:
        one.partition.close()


@pytest.fixture
def write(kafka: KafkaServer | MockKafka, topic_prefix: str) -> Callable[..., None]:
    """Writes values to this test's topic, each with a Kafka timestamp of so many ms."""
    return writing(kafka.brokers, topic_prefix + "in")


def writing(brokers: str, topic: str) -> Callable[..., None]:
    plain = producer({"bootstrap.servers": brokers})

    def write(*values: bytes | None, stamp_ms: int = 1_000) -> None:
        for value in values:
            plain.produce(topic, value, partition=0, timestamp=stamp_ms)
        assert plain.flush(WAIT_S) == 0

    return write


def numbers(start: int, stop: int) -> list[bytes]:
    return [f"{i}".encode() for i in range(start, stop)]


def assert_chained(batches: list[Batch], after: int) -> None:
    """Each batch says where the one before it ended."""
    for batch in batches:
        assert batch.after == after
        after = batch.last


def test_a_partition_is_read_whole_in_order_and_its_batches_are_chained(
    reader: Callable[..., Reader], write: Callable[..., None]
) -> None:
    write(*numbers(0, 250), stamp_ms=5)
    one = reader(batch_events=40)
    assert one.read(250) == numbers(0, 250)
    assert one.offsets == [*range(250)]
    assert max(len(batch.offsets) for batch in one.batches) <= 40
    assert {stamp_ms for batch in one.batches for stamp_ms in batch.stamps_ms} == {5}
    assert_chained(one.batches, -1)


def test_what_comes_gathers_once_all_is_read_while_commits_are_taken_up_and_a_rewind_waits_for_nothing(
    reader: Callable[..., Reader], write: Callable[..., None]
) -> None:
    write(*numbers(0, 20))
    one = reader(batch_events=8)
    one.read(16)
    one.source.gather_s = 3_600.0
    one.until(lambda: one.partition.gathered_at > time.monotonic())  # full batches have waited for nothing
    read = len(one.values)
    write(*numbers(20, 25))
    one.book.open = True
    one.until(lambda: len(one.batches) > 50)
    assert (len(one.values), one.batches[-1].last) == (read, read - 1)
    one.book.open = False
    assert list(one.partition.next_batch()) == []
    one.source.gather_s, one.book.back = 0.0, 8
    assert one.read(read + 16)[read:] == numbers(9, 25)


def test_a_partition_starts_behind_its_fence(reader: Callable[..., Reader], write: Callable[..., None]) -> None:
    write(*numbers(0, 20))
    one = reader(at=11)
    assert one.read(8) == numbers(12, 20)
    assert_chained(one.batches, 11)


def test_a_partition_told_to_rewind_goes_on_from_there(
    reader: Callable[..., Reader], write: Callable[..., None]
) -> None:
    write(*numbers(0, 20))
    one = reader()
    one.read(20)
    for back in (12, -1):
        one.batches.clear()
        one.book.back = back
        assert one.read(19 - back) == numbers(back + 1, 20)
        assert_chained(one.batches, back)


def test_a_record_without_a_value_is_an_empty_one(reader: Callable[..., Reader], write: Callable[..., None]) -> None:
    write(None, b"", b"1")
    assert reader().read(3) == [b"", b"", b"1"]


def test_a_quiet_partition_says_once_a_second_until_when_it_was_read(
    reader: Callable[..., Reader], write: Callable[..., None]
) -> None:
    started_ms = round(time.time() * 1000)
    write(*numbers(0, 3))
    one = reader()
    one.read(3)
    one.until(lambda: one.batches[-1].at_ms and not one.batches[-1].offsets)
    last = one.batches[-1]
    assert (last.after, last.last) == (2, 2)
    assert started_ms <= last.at_ms <= time.time() * 1000


def test_no_time_passes_on_a_partition_with_unread_records(
    reader: Callable[..., Reader], write: Callable[..., None]
) -> None:
    write(*numbers(0, 5))
    one = reader()
    one.read(5)
    before = one.batches[: next(i for i, batch in enumerate(one.batches) if batch.offsets)]
    assert [batch.at_ms for batch in before] == [0] * len(before)


def test_no_time_passes_on_a_partition_that_was_rewound_until_it_is_read_again(
    reader: Callable[..., Reader], write: Callable[..., None]
) -> None:
    write(*numbers(0, 5))
    one = reader()
    one.read(5)
    one.until(lambda: one.batches[-1].at_ms and not one.batches[-1].offsets)  # its end is known now
    one.book.back = 2
    one.batches.clear()

    def read_again() -> bool:
        one.partition.heartbeat_at = 0.0  # so that each turn speaks
        return bool(one.values)

    one.until(read_again)
    before = one.batches[: next(i for i, batch in enumerate(one.batches) if batch.offsets)]
    assert before, "it spoke before it was read again"
    assert {batch.at_ms for batch in before} == {0}


def test_a_partition_ends_when_told_to_stop(reader: Callable[..., Reader], write: Callable[..., None]) -> None:
    one = reader()
    one.stop.set()
    with pytest.raises(StopIteration):
        one.partition.next_batch()


def test_a_commit_that_waits_is_taken_up_as_soon_as_there_is_nothing_to_read(reader: Callable[..., Reader]) -> None:
    one = reader()
    one.heartbeat()
    one.book.open = True
    for _ in range(2):
        (batch,) = one.partition.next_batch()
        assert (batch.after, batch.offsets, batch.at_ms) == (-1, [], 0), "no time passes with it"
    one.book.open = False
    assert list(one.partition.next_batch()) == []


def test_a_commit_that_waits_is_taken_up_before_a_partition_ends(
    reader: Callable[..., Reader], write: Callable[..., None]
) -> None:
    write(*numbers(0, 5))
    one = reader(batch_events=3)
    one.read(3)
    one.book.open = True
    one.stop.set()
    (batch,) = one.partition.next_batch()
    assert (batch.after, batch.offsets) == (2, [])
    one.book.open = False
    with pytest.raises(StopIteration):
        one.partition.next_batch()


def test_every_partition_of_every_topic_is_a_part() -> None:
    source = KafkaBatches("test", {}, {"a": 2, "b": 1}, Book(), Pulse(60), Event(), 1, 1)
    assert source.list_parts() == ["a/0", "a/1", "b/0"]


def test_each_turn_of_a_partition_is_a_beat(reader: Callable[..., Reader]) -> None:
    one = reader()
    now_s = 0.0
    one.pulse.clock = lambda: now_s
    one.heartbeat()
    now_s = 61.0
    (complaint,) = one.pulse.complaints()
    assert complaint.endswith("/0: no turn for 61 s")
    one.heartbeat()
    assert one.pulse.complaints() == []


# Real Kafka only


def test_aborted_records_are_never_read_and_a_marker_at_the_end_is_no_lag(
    real_kafka: KafkaServer, reader: Callable[..., Reader], write: Callable[..., None], topic_prefix: str
) -> None:
    topic = topic_prefix + "in"
    write(b"plain")
    transactional = producer({"bootstrap.servers": real_kafka.brokers}, transactional_id=topic)
    transactional.init_transactions(WAIT_S)
    for value, end in [(b"aborted", transactional.abort_transaction), (b"kept", transactional.commit_transaction)]:
        transactional.begin_transaction()
        transactional.produce(topic, value, partition=0)
        transactional.flush(WAIT_S)
        end(WAIT_S)
    one = reader()
    assert one.read(2) == [b"plain", b"kept"]
    assert_chained(one.batches, -1)
    one.until(lambda: one.batches[-1].at_ms and not one.batches[-1].offsets)
    assert LAG.labels("test", topic, "0")._value.get() == 0


@pytest.mark.parametrize("at", [1, 40], ids=["deleted", "never written"])
def test_an_offset_that_kafka_no_longer_has_ends_the_flow_and_is_never_skipped(
    real_kafka: KafkaServer, reader: Callable[..., Reader], write: Callable[..., None], topic_prefix: str, at: int
) -> None:
    write(*numbers(0, 10))
    admin = AdminClient({"bootstrap.servers": real_kafka.brokers})
    (done,) = admin.delete_records([TopicPartition(topic_prefix + "in", 0, 6)]).values()
    done.result(WAIT_S)
    one = reader(at=at)
    with pytest.raises(OffsetExpired, match=rf"in/0: offset {at + 1} is no longer in Kafka: .*retention"):
        one.read(1)


# A Kafka that goes away


@pytest.mark.slow
@pytest.mark.kills_kafka
def test_a_partition_goes_on_where_it_was_when_its_kafka_is_back(real_kafka: KafkaServer, topic_prefix: str) -> None:
    topic = topic_prefix + "in"
    ensure_topics({"bootstrap.servers": real_kafka.brokers}, [topic], 1, 1, {})
    write, one = writing(real_kafka.brokers, topic), Reader(real_kafka.brokers, topic)
    write(*numbers(0, 5))
    one.read(5)
    real_kafka.kill()
    try:
        one.until(one.pulse.complaints)
    finally:
        real_kafka.start()
    write(*numbers(5, 9))
    assert one.read(9) == numbers(0, 9)
    one.until(lambda: not one.pulse.complaints())
    assert_chained(one.batches, -1)
    one.partition.close()


def test_a_partition_whose_kafka_is_gone_complains_and_lets_no_time_pass(topic_prefix: str) -> None:
    with mock_kafka() as mock:
        Producer({"bootstrap.servers": mock.brokers}).list_topics(topic_prefix, timeout=WAIT_S)
        one = Reader(mock.brokers, topic_prefix)
        one.until(lambda: one.batches and one.batches[-1].at_ms)
        assert one.pulse.complaints() == []
    one.until(one.pulse.complaints)
    (complaint,) = one.pulse.complaints()
    assert complaint.startswith(f"kafka, reading test {topic_prefix}/0: ")
    assert one.heartbeat().at_ms == 0
    one.partition.close()


def test_a_partition_that_can_be_read_does_not_hide_one_that_cannot(
    reader: Callable[..., Reader], write: Callable[..., None], topic_prefix: str
) -> None:
    well = reader()
    with mock_kafka() as mock:
        Producer({"bootstrap.servers": mock.brokers}).list_topics(topic_prefix, timeout=WAIT_S)
        ill = Reader(mock.brokers, topic_prefix)
        ill.pulse = ill.source.pulse = well.pulse
        ill.until(lambda: ill.batches and ill.batches[-1].at_ms)
    ill.until(well.pulse.complaints)
    well.until(lambda: well.batches and well.batches[-1].at_ms)
    (complaint,) = well.pulse.complaints()
    assert complaint.startswith(f"kafka, reading test {topic_prefix}/0: ")
    ill.partition.close()


def test_a_kafka_that_does_not_answer_is_named_with_the_setting_that_names_another() -> None:
    with pytest.raises(
        Exception, match=r"Kafka at 127.0.0.1:1 does not answer .*\[kafka\] brokers or BREWLINE_KAFKA__BROKERS"
    ):
        require_kafka({"bootstrap.servers": "127.0.0.1:1"}, timeout_s=0.5)
