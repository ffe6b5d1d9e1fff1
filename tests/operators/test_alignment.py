"""Partitions of one step are read in step: no record goes out while another partition has much older ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from threading import Event
from time import monotonic
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.job import Batch
from operators.alignment import SILENT_S, Alignment, Lane, event_time
from operators.health import Pulse
from operators.kafka import ensure_topics, producer
from operators.servers import KafkaServer, MockKafka
from operators.source import KafkaBatches, Partition

WITHIN = 100
UNTIMED = "no time"
Log = list[Any]  # records are their own times


def time_of(record: Any) -> int | None:
    return None if record == UNTIMED else int(record)


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def alignment(clock: Clock) -> Alignment:
    return Alignment(WITHIN, time_of, clock=clock)


def ended(alignment: Alignment) -> Lane:
    """A lane for which the others do not wait, until it has something."""
    lane = alignment.open()
    lane.met_end()
    return lane


def test_partitions_near_each_other_hand_out_all_and_only_their_last_record_is_looked_at(clock: Clock) -> None:
    asked: list[int] = []
    alignment = Alignment(WITHIN, lambda record: asked.append(record) or record, clock=clock)
    one, other = alignment.open(), alignment.open()
    other.met_end()
    assert one.take([1, 2, 3]) == [1, 2, 3]
    assert other.take([5, 60, 103]) == [5, 60, 103]
    assert asked == [3, 103]


def test_one_alone_is_never_kept_back(alignment: Alignment) -> None:
    assert alignment.open().take([1, 10**9]) == [1, 10**9]


def test_one_far_ahead_hands_out_up_to_the_limit_keeps_the_rest_in_order_and_goes_on_as_the_slowest_does(
    alignment: Alignment,
) -> None:
    slow, fast = ended(alignment), ended(alignment)
    assert slow.take([0]) == [0]
    assert fast.take([40, 100, 101, 150, 300]) == [40, 100]
    assert fast.take([]) == []
    assert slow.take([50]) == [50]
    assert fast.take([301]) == [101, 150]
    assert slow.take([200]) == [200]
    assert fast.take([]) == [300]
    assert slow.take([201]) == [201]
    assert fast.take([]) == [301]


def test_one_that_was_not_read_yet_is_waited_for_but_not_for_ever(alignment: Alignment, clock: Clock) -> None:
    silent, one = alignment.open(), alignment.open()
    assert one.take([7]) == []
    for clock.now_s in (SILENT_S - 1, SILENT_S):
        assert one.take([]) == []
        silent.take([])
    assert one.take([]) == [7]


def test_one_whose_broker_went_away_is_not_waited_for_for_ever_and_waited_for_again_when_it_is_back(
    alignment: Alignment, clock: Clock
) -> None:
    away, one = ended(alignment), ended(alignment)
    away.take([0])
    assert one.take([500]) == []
    clock.now_s = SILENT_S
    assert away.take([]) == []
    assert one.take([]) == [500]
    assert away.take([1]) == [1]
    assert one.take([501]) == []


def test_one_at_its_end_is_not_waited_for(alignment: Alignment) -> None:
    first, _never_had_any, one = ended(alignment), ended(alignment), ended(alignment)
    first.take([0])
    first.met_end()
    assert one.take([500]) == [500]


def test_where_a_sender_is_quick_one_at_its_end_is_waited_for_a_moment(clock: Clock) -> None:
    alignment = Alignment(WITHIN, time_of, at_end_s=1.0, clock=clock)
    first, one = ended(alignment), ended(alignment)
    first.take([0])
    first.met_end()
    assert one.take([500]) == []
    clock.now_s = 1.0
    assert one.take([]) == [], "who knows what has come meanwhile: the other was not looked at again"
    assert first.take([]) == []
    assert one.take([]) == [500]


def test_a_night_in_which_nobody_sends_stops_nobody(alignment: Alignment) -> None:
    one, other = alignment.open(), alignment.open()
    assert one.take([0, 1_000]) == []
    assert other.take([0, 1_001]) == [0]
    assert one.take([]) == [0, 1_000]
    assert other.take([]) == [1_001]


def test_a_record_without_a_time_goes_with_those_before_it(alignment: Alignment) -> None:
    slow, fast = ended(alignment), ended(alignment)
    slow.take([0])
    assert fast.take([50, UNTIMED, 500, UNTIMED]) == [50, UNTIMED]
    slow.take([500])
    assert fast.take([]) == [500, UNTIMED]


@pytest.mark.parametrize("wrong", [1, 2, 5])
def test_records_with_wrong_clocks_and_what_has_no_time_behind_them_stop_their_partition_until_most_are_right(
    alignment: Alignment, wrong: int
) -> None:
    slow, fast = ended(alignment), ended(alignment)
    slow.take([0])
    bad = [10**9, UNTIMED] * wrong
    assert fast.take([10, *bad]) == [10]
    assert fast.take([20, UNTIMED] * wrong) == [*bad, *[20, UNTIMED] * wrong]
    assert slow.take([90]) == [90], "and the others do not wait for what has gone"
    assert fast.take([200]) == []


def test_a_reopened_lane_has_dropped_what_it_kept_and_a_closed_one_is_not_waited_for(alignment: Alignment) -> None:
    slow, fast = ended(alignment), ended(alignment)
    slow.take([0])
    assert fast.take([500]) == []
    fast.reopen()
    assert fast.take([40, 501]) == [40]
    slow.close()
    assert fast.take([]) == [501]


@given(st.lists(st.lists(st.integers(0, 2_000), max_size=30).map(sorted), min_size=2, max_size=4), st.data())
def test_all_is_handed_out_once_in_order_and_never_far_ahead_of_what_another_still_has(
    logs: list[Log], data: st.DataObject
) -> None:
    alignment = Alignment(WITHIN, time_of, clock=Clock())
    lanes = [alignment.open() for _ in logs]
    unread, handed = [list(log) for log in logs], [Log() for _ in logs]
    turns = 0
    while [*handed] != logs:
        turns += 1
        assert turns < 2_000, "nobody may go on"
        for i, lane in enumerate(lanes):
            count = data.draw(st.integers(1, 12), label="read") if unread[i] else 0
            fresh, unread[i] = unread[i][:count], unread[i][count:]
            out = lane.take(fresh)
            handed[i] += out
            if not (unread[i] or lane.records):
                lane.met_end()
            left = [
                log[len(done)] for j, (log, done) in enumerate(zip(logs, handed, strict=True)) if j != i and done != log
            ]
            assert max(out, default=-inf) <= min(left, default=inf) + WITHIN


# Kafka


class Fence:
    """Starts at the beginning; `back` is where the partition of that topic must go back to, once."""

    def __init__(self) -> None:
        self.back: dict[str, int] = {}

    def claim(self, topic: str, partition: int) -> int:
        return -1

    def rewind(self, topic: str, partition: int) -> int | None:
        return self.back.pop(topic, None)

    def awaits(self, topic: str, partition: int) -> bool:
        return False

    def release(self, topic: str, partition: int) -> None:
        """Nothing is held."""


def turn(partitions: Iterable[Partition], what: Callable[[Batch], object], until: Callable[[], object]) -> None:
    end = monotonic() + 20
    while not until():
        assert monotonic() < end, "waited in vain"
        for partition in partitions:
            for batch in partition.next_batch():
                what(batch)


@pytest.mark.servers
@pytest.mark.parametrize("rewound", [False, True])
def test_of_two_topics_the_one_far_ahead_waits_for_the_other_and_each_is_read_once_in_order(
    kafka: KafkaServer | MockKafka, topic_prefix: str, rewound: bool
) -> None:
    client = {"bootstrap.servers": kafka.brokers}
    tills, apps = topics = [topic_prefix + "tills", topic_prefix + "apps"]
    ensure_topics(client, topics, 1, 1, {})
    plain = producer(client)
    hours = {tills: [*range(300)], apps: [*range(0, 300, 20)]}
    for topic in topics:
        for hour in hours[topic]:
            body = b'{"type":"view","time":%d}' % (hour * 3_600_000)
            plain.produce(topic, body, partition=0)
    assert plain.flush(20) == 0
    fence = Fence()
    source = KafkaBatches(
        "test", client, dict.fromkeys(topics, 1), fence, Pulse(60), Event(), 50, 1,
        alignment=Alignment(6 * 3_600_000, event_time, at_end_s=1.0),
    )  # fmt: skip
    parts = [source.build_part("in", part, None) for part in source.list_parts()]
    found: dict[str, list[int]] = {topic: [] for topic in topics}

    def take(batch: Batch) -> None:
        assert batch.after == len(found[batch.topic]) - 1
        assert batch.offsets or not parts[topics.index(batch.topic)].lane.records or batch.at_ms == 0
        found[batch.topic] += [hours[batch.topic][offset] for offset in batch.offsets]
        for topic, done in found.items() if not rewound else ():  # what was handed out cannot be taken back
            others = [hours[o][len(found[o])] for o in topics if o != topic and len(found[o]) < len(hours[o])]
            assert max(done, default=-inf) <= min(others, default=inf) + 6

    turn(parts, take, lambda: len(found[apps]) >= 5)
    if rewound:
        assert parts[1].lane.records
        fence.back[apps] = 1
        del found[apps][2:]
    turn(parts, take, lambda: found == hours)
    for part in parts:
        part.close()
    assert source.alignment.lanes == []
