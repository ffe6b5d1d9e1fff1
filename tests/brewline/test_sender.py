"""The sender loses nothing, keeps order and pace, and says what has arrived."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from threading import Event

import pytest
from confluent_kafka import Producer, TopicPartition

import brewline.sender
from brewline.histories import Record
from brewline.sender import NotDelivered, Sent, send
from operators.kafka import consumer, partition_count, producer
from operators.servers import mock_kafka

PARTITIONS = 4  # of every topic of the mock cluster
POS = "pos.events"


@pytest.fixture(scope="module")
def client() -> Iterator[dict[str, str]]:
    with mock_kafka() as server:
        yield {"bootstrap.servers": server.brokers}


def event(number: int, at_ms: int = 0, topic: str = POS) -> Record:
    return Record(at_ms or number, topic, f"k{number % 13}", b"e%d" % number, "order")


def tick(at_ms: int) -> Record:
    return Record(at_ms, POS, "", b"t%d" % at_ms, "tick", tick=True)


def partitions_of(client: dict[str, str], topic: str) -> list[list[tuple[bytes | None, bytes | None]]]:
    """(key, value) of every record, partition by partition."""
    reader = consumer(client, "test")
    found = []
    for partition in range(PARTITIONS):
        place = TopicPartition(topic, partition, 0)
        _, end = reader.get_watermark_offsets(place, timeout=10)
        reader.assign([place])
        found.append([(m.key(), m.value()) for m in (reader.consume(end, timeout=10) if end else [])])
        assert len(found[-1]) == end
    reader.close()
    return found


def test_all_arrive_with_their_keys_and_each_partition_keeps_the_order(
    client: dict[str, str], topic_prefix: str
) -> None:
    records = [event(number) for number in range(500)]
    sent = send(records, producer(client), topic_prefix)
    partitions = partitions_of(client, topic_prefix + POS)
    arrived = {(key, value) for partition in partitions for key, value in partition}
    assert arrived == {(record.key.encode(), record.value) for record in records}
    for partition in partitions:
        numbers = [int((value or b"")[1:]) for _, value in partition]
        assert numbers == sorted(numbers)
    assert (sent.counts, sent.events, sent.complete) == ({POS: 500}, 500, True)
    assert (sent.first_ms, sent.last_ms) == (0, 499)


def test_a_tick_reaches_every_partition_behind_all_that_was_sent_before_it(
    client: dict[str, str], topic_prefix: str
) -> None:
    records = [*map(event, range(300)), tick(300), *map(event, range(301, 600)), tick(600)]
    sent = send(records, producer(client), topic_prefix)
    for partition in partitions_of(client, topic_prefix + POS):
        times = [int((value or b"")[1:]) for _, value in partition]
        assert times == sorted(times)
        assert [value for _, value in partition if value and value.startswith(b"t")] == [b"t300", b"t600"]
    assert (sent.events, sent.last_ms) == (599, 599)


def test_a_full_queue_loses_nothing(client: dict[str, str], topic_prefix: str) -> None:
    small = producer(client, queue_buffering_max_messages=10)
    assert send(map(event, range(1000)), small, topic_prefix).complete
    assert sum(map(len, partitions_of(client, topic_prefix + POS))) == 1000


class Clock:
    """Stands in for the wall clock and for a producer whose waiting makes it pass."""

    def __init__(self) -> None:
        self.now_s = 50.0
        self.produced_s: list[float] = []

    def monotonic(self) -> float:
        return self.now_s

    def poll(self, timeout_s: float) -> int:
        self.now_s += timeout_s
        return 0

    def produce(self, *_: object, **__: object) -> None:
        self.produced_s.append(self.now_s)

    def flush(self, timeout_s: float) -> int:
        return 0


def test_a_record_leaves_when_its_time_has_come_at_the_given_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, reports = Clock(), []
    monkeypatch.setattr(brewline.sender, "monotonic", clock.monotonic)
    records = [event(1, 1_000_000), event(2, 1_000_000), event(3, 1_300_000), event(4, 1_900_000)]
    send(records, clock, "", speed=100.0, confirmed=lambda sent: reports.append((clock.now_s, sent.events)))  # type: ignore[arg-type]
    assert clock.produced_s == pytest.approx([50.0, 50.0, 53.0, 59.0])
    assert all(1.0 <= later - sooner <= 1.2 for (sooner, _), (later, _) in pairwise(reports[:-1]))
    assert [reports[0], reports[-1]] == [(pytest.approx(51.0, abs=0.2), 2), (pytest.approx(59.0), 4)]


def test_what_is_confirmed_has_arrived(
    client: dict[str, str], topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brewline.sender, "CONFIRM_EVERY_S", 0.0)
    sender = producer(client)
    partition_count(sender, topic_prefix + POS)  # the first to ask creates it
    arrived: list[tuple[int, int]] = []

    def look(sent: Sent) -> None:
        arrived.append((sent.events, sum(map(len, partitions_of(client, topic_prefix + POS)))))

    send(map(event, range(5)), sender, topic_prefix, confirmed=look)
    assert arrived == [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]


def test_no_key_has_more_unconfirmed_events_than_allowed(client: dict[str, str], topic_prefix: str) -> None:
    reports: list[int] = []
    records = [event(number, 1 + number) for number in range(130)]  # 13 keys in turn
    send(records, producer(client), topic_prefix, confirmed=lambda s: reports.append(s.events), per_key=3)
    assert all(later - sooner <= 13 * 3 for sooner, later in pairwise([0, *reports]))
    assert reports[-1] == 130


def test_a_stopped_sender_takes_no_more_and_confirms_what_it_sent(client: dict[str, str], topic_prefix: str) -> None:
    stop, reports = Event(), []

    def records() -> Iterator[Record]:
        for number in range(1000):
            if number == 100:
                stop.set()
            yield event(number)

    sent = send(records(), producer(client), topic_prefix, stop=stop, confirmed=lambda s: reports.append(s.events))
    assert (sent.events, sent.complete, reports) == (100, False, [100])
    assert sum(map(len, partitions_of(client, topic_prefix + POS))) == 100


def test_a_stopped_sender_does_not_wait_for_a_far_time_to_come(client: dict[str, str], topic_prefix: str) -> None:
    stop = Event()

    def records() -> Iterator[Record]:
        yield event(1, 1)
        stop.set()
        yield event(2, 10**15)

    assert send(records(), producer(client), topic_prefix, speed=1.0, stop=stop).events == 1


def test_an_undelivered_record_is_an_error_that_says_how_many_and_why() -> None:
    nobody = Producer({"bootstrap.servers": "127.0.0.1:1", "message.timeout.ms": 50, "log_level": 0})
    with pytest.raises(NotDelivered, match=r"^3 records were not delivered; the first, to x-pos\.events: .*timed out"):
        send(map(event, range(3)), nobody, "x-")


def test_a_record_larger_than_kafka_takes_is_an_error(client: dict[str, str], topic_prefix: str) -> None:
    large = Record(1, POS, "k", b"x" * 20_000, "order")
    with pytest.raises(NotDelivered, match=r"refused a record for .*pos\.events: .*too large"):
        send([large], producer(client, message_max_bytes=10_000), topic_prefix)
