"""Kafka to Kafka: a batch's messages and its offset appear together, once, and only from the partition's owner."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from threading import Event
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from redis import Redis

from config import settings as conf
from config.settings import Settings
from features.job import Batch, Message
from operators.health import Pulse
from operators.kafka import ensure_topics, producer
from operators.owners import Owners
from operators.servers import KafkaServer, RedisServer
from operators.store import Fenced
from operators.transactions import Cleaned, TransactionFence, Transactions, TransactionWorker
from tests.flowprocess import read

pytestmark = pytest.mark.servers
WAIT_S = 30.0
IN = "in"  # no record is read from it: what a batch becomes is given


class Ingest:
    """One process's share: it owns partition 0 of a topic and writes batches of it."""

    def __init__(self, brokers: str, redis: RedisServer, prefix: str) -> None:
        self.pulse, self.stop = Pulse(stall_s=60), Event()
        owners = Owners(Redis.from_url(redis.url), prefix, "ingest", self.stop)
        self.fence = TransactionFence("ingest", {"bootstrap.servers": brokers}, prefix, owners, self.pulse, self.stop)
        self.topic, self.out = prefix + IN, prefix + "out"
        self.committed: list[Batch] = []
        self.worker: TransactionWorker = Transactions(self.fence, self.committed.append).build("out", 0, 1)
        self.at = self.claim()

    def claim(self) -> int:
        """The offset of the last record whose transaction was committed."""
        return self.fence.claim(self.topic, 0)

    def batch(self, first: int, last: int, *values: bytes) -> Cleaned:
        offsets = [*range(first, last + 1)]
        batch = Batch(self.topic, 0, first - 1, offsets, [b""] * len(offsets), [1] * len(offsets))
        return Cleaned(batch, [Message(self.out, "", v) for v in values], [7] * len(values), {"cleaned": len(values)})

    def write(self, *batches: Cleaned) -> None:
        self.worker.write_batch(list(batches))


@pytest.fixture
def written(real_kafka: KafkaServer, topic_prefix: str) -> Callable[[], list[bytes | None]]:
    """All that a reader of committed messages sees."""
    ensure_topics({"bootstrap.servers": real_kafka.brokers}, [topic_prefix + IN, topic_prefix + "out"], 1, 1, {})
    place = Settings(kafka=conf.Kafka(brokers=real_kafka.brokers, topic_prefix=topic_prefix, partitions=1))
    return lambda: [message.value() for message in read(place, "out")[0]]


@pytest.fixture
def start(
    real_kafka: KafkaServer, redis: RedisServer, topic_prefix: str, written: Callable[[], list[bytes | None]]
) -> Callable[[], Ingest]:
    return lambda: Ingest(real_kafka.brokers, redis, topic_prefix)


Start = Callable[[], Ingest]
Written = Callable[[], list[bytes | None]]


def test_a_successor_starts_behind_the_last_batch_whose_messages_can_be_read(start: Start, written: Written) -> None:
    first = start()
    assert first.at == -1
    first.write(first.batch(0, 4, b"a", b"b"), first.batch(5, 9, b"c"))
    assert written() == [b"a", b"b", b"c"]
    assert start().at == 9


def test_a_batch_whose_records_all_vanish_still_moves_on(start: Start, written: Written) -> None:
    first = start()
    first.write(first.batch(0, 4))
    assert start().at == 4


def test_messages_without_records_are_written_and_move_nothing(start: Start, written: Written) -> None:
    first = start()
    first.write(first.batch(0, 4, b"a"), first.batch(5, 4, b"tick"), first.batch(5, 4))
    assert written() == [b"a", b"tick"]
    assert start().at == 4


def test_messages_keep_the_kafka_timestamp_of_their_record(
    real_kafka: KafkaServer, topic_prefix: str, start: Start
) -> None:
    first = start()
    first.write(first.batch(0, 0, b"a"))
    place = Settings(kafka=conf.Kafka(brokers=real_kafka.brokers, topic_prefix=topic_prefix, partitions=1))
    assert [message.timestamp()[1] for message in read(place, "out")[0]] == [7]


def test_who_died_in_a_transaction_leaves_neither_messages_nor_an_offset(start: Start, written: Written) -> None:
    dead = start()
    dead.write(dead.batch(0, 4, b"a"))
    open_producer = dead.fence.producers[dead.topic, 0]
    open_producer.begin_transaction()
    open_producer.produce(dead.out, b"never committed")
    group = dead.fence.consumer.consumer_group_metadata()
    open_producer.send_offsets_to_transaction([TopicPartition(dead.topic, 0, 10)], group, WAIT_S)
    open_producer.flush(WAIT_S)
    successor = start()
    assert successor.at == 4
    successor.write(successor.batch(5, 9, b"b"))
    assert written() == [b"a", b"b"]


@pytest.mark.parametrize("when", ["between transactions", "in a transaction"])
def test_who_was_succeeded_is_fenced_and_writes_nothing_more(start: Start, written: Written, when: str) -> None:
    zombie = start()
    zombie.write(zombie.batch(0, 4, b"a"))
    plain_attempt, successors = zombie.worker._attempt, []

    def attempt_after_a_successor(item: Cleaned) -> None:
        if when == "in a transaction":
            plain_insist = zombie.fence.insist

            def insist(operation: Callable[..., Any], *args: Any) -> Any:
                if not successors:
                    successors.append(start())
                return plain_insist(operation, *args)

            zombie.fence.insist = insist  # type: ignore[method-assign]
        else:
            successors.append(start())
        plain_attempt(item)

    zombie.worker._attempt = attempt_after_a_successor  # type: ignore[method-assign]
    with pytest.raises(Fenced, match=r"ingest: .*in/0: .*fenced"):
        zombie.write(zombie.batch(5, 9, b"of the zombie"))
    (successor,) = successors
    assert successor.at == 4
    successor.write(successor.batch(5, 9, b"of the successor"))
    assert written() == [b"a", b"of the successor"]


def test_who_is_fenced_though_nobody_claimed_the_partition_goes_on(
    real_kafka: KafkaServer, start: Start, written: Written
) -> None:
    """As Kafka does to a producer whose transaction it has timed out: under its name, a later epoch."""
    first = start()
    first.write(first.batch(0, 4, b"a"))
    name = f"{first.fence.prefix}brewline-ingest-{first.topic}-0"
    producer({"bootstrap.servers": real_kafka.brokers}, transactional_id=name).init_transactions(WAIT_S)
    first.write(first.batch(5, 9, b"b"), first.batch(10, 14, b"c"))
    assert written() == [b"a", b"b", b"c"]
    assert first.pulse.complaints() == []
    assert start().at == 14


def test_a_transaction_that_fails_is_repeated_whole_and_seen_once(start: Start, written: Written) -> None:
    first = start()
    plain_insist, failures = first.fence.insist, [KafkaError.NOT_ENOUGH_REPLICAS, KafkaError._TIMED_OUT]

    def insist(operation: Callable[..., Any], *args: Any) -> Any:
        if operation == first.fence.producers[first.topic, 0].commit_transaction and failures:
            assert first.pulse.complaints() == [] or len(failures) == 1
            assert first.committed == []
            raise KafkaException(KafkaError(failures.pop()))
        return plain_insist(operation, *args)

    first.fence.insist = insist  # type: ignore[method-assign]
    batches = first.batch(0, 4, b"a", b"b"), first.batch(5, 9, b"c")
    first.write(*batches)
    assert not failures
    assert first.committed == [item.batch for item in batches]
    assert first.pulse.complaints() == []
    assert written() == [b"a", b"b", b"c"]
    assert start().at == 9


@pytest.mark.parametrize("when", ["before its commit", "after its commit"])
def test_a_producer_that_breaks_gets_a_successor_and_its_batch_is_seen_once(
    start: Start, written: Written, when: str
) -> None:
    first = start()
    broken = first.fence.producers[first.topic, 0]
    plain_insist, failures = first.fence.insist, [KafkaError(KafkaError.INVALID_TXN_STATE, "lost", True)]

    def insist(operation: Callable[..., Any], *args: Any) -> Any:
        if operation == broken.commit_transaction and failures:
            if when == "after its commit":
                plain_insist(operation, *args)
            raise KafkaException(failures.pop())
        return plain_insist(operation, *args)

    first.fence.insist = insist  # type: ignore[method-assign]
    batches = first.batch(0, 4, b"a"), first.batch(5, 9, b"b")
    first.write(*batches)
    assert first.fence.producers[first.topic, 0] is not broken
    assert first.committed == [item.batch for item in batches]
    assert written() == [b"a", b"b"]
    assert first.pulse.complaints() == []
    assert start().at == 9


def test_a_batch_that_does_not_follow_what_is_committed_is_asked_for_again(start: Start, written: Written) -> None:
    first = start()
    first.write(first.batch(0, 4, b"a"), first.batch(10, 14, b"too early"), first.batch(0, 4, b"again"))
    assert first.fence.rewind(first.topic, 0) == 4
    assert first.fence.rewind(first.topic, 0) is None
    assert written() == [b"a"]


def test_a_coordinator_that_is_just_coming_up_is_waited_for(start: Start) -> None:
    first = start()
    answers: list[Any] = [
        KafkaException(KafkaError(KafkaError.NOT_COORDINATOR)),
        [TopicPartition(first.topic, 0)],
        [TopicPartition(first.topic, 0, 12)],
    ]
    unstable = answers[1][0]
    broken = type("Place", (), {"offset": unstable.offset, "error": KafkaError(KafkaError.UNSTABLE_OFFSET_COMMIT)})
    answers[1] = [broken]

    class Coordinator:
        def committed(self, places: list[TopicPartition], timeout: float) -> list[TopicPartition]:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer  # type: ignore[no-any-return]

    first.fence.consumer = Coordinator()  # type: ignore[assignment]
    assert first.claim() == 11


def test_a_dead_letter_too_large_for_kafka_is_cut_and_says_so(start: Start, written: Written) -> None:
    first = start()
    letter = first.batch(0, 0)
    letter.messages, letter.stamps_ms = [Message(first.out, "", b"x" * 5_000_000, {"reason": "too_large"})], [1]
    first.write(letter, first.batch(1, 1, b"next"))  # a producer takes a million bytes unless told otherwise
    cut, after = written()
    assert cut is not None
    assert 0 < len(cut) < 1_000_000
    assert after == b"next"


@pytest.mark.slow
@pytest.mark.kills_kafka
def test_batches_wait_for_a_kafka_that_is_away_and_are_then_written_once(
    real_kafka: KafkaServer, start: Start, written: Written
) -> None:
    first = start()
    first.write(first.batch(0, 4, b"a"))
    real_kafka.kill()
    writing = threading.Thread(target=first.write, args=(first.batch(5, 9, b"b"), first.batch(10, 14, b"c")))
    writing.start()
    time.sleep(1)  # so that it meets a dead broker
    real_kafka.start()
    writing.join(2 * WAIT_S)
    assert not writing.is_alive()
    assert written() == [b"a", b"b", b"c"]
    assert start().at == 14


def test_a_process_told_to_stop_ends_rather_than_repeat(start: Start, written: Written) -> None:
    first = start()
    first.stop.set()
    refused = first.batch(0, 4)
    refused.messages, refused.stamps_ms = [Message(first.out, "", b"x" * 5_000_000)], [1]
    with pytest.raises(KafkaException, match="MSG_SIZE_TOO_LARGE"):
        first.write(refused)
    assert written() == []
    assert start().at == -1
