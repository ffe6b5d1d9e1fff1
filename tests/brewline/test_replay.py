"""A replay sends a whole history once, also when it is interrupted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from threading import Event

import pytest
from confluent_kafka import TopicPartition
from rich.console import Console

from brewline.histories import History, Record
from brewline.histories.history import TOPICS, topic_of
from brewline.replay import Place, Replayed, WrongProgress, load_place, replay
from config import settings as conf
from features.times import HOUR_MS
from operators.kafka import consumer
from operators.servers import mock_kafka

KINDS = ("order", "coupon_issued", "coupon_redeemed", "order", "view")


@pytest.fixture(scope="module")
def brokers() -> Iterator[str]:
    with mock_kafka() as server:
        yield server.brokers


@pytest.fixture
def settings(brokers: str, topic_prefix: str) -> conf.Settings:
    return conf.Settings(kafka=conf.Kafka(brokers=brokers, topic_prefix=topic_prefix))


def events(count: int, first: int = 0) -> list[Record]:
    kinds = [KINDS[number % len(KINDS)] for number in range(first, count)]
    return [
        Record(1 + number * HOUR_MS, topic_of(kind), f"k{number}", b"e%d" % number, kind)
        for number, kind in enumerate(kinds, first)
    ]


def history(records: list[Record], stop: Event | None = None, after: int = 0) -> History:
    """A history that sets `stop` when the event `after` that many is asked for."""

    def walk() -> Iterator[Record]:
        for number, record in enumerate(records):
            if stop and number == after:
                stop.set()
            yield record

    orders = sum(record.kind == "order" for record in records)
    return History("test", "UTC", len(records), orders, walk)


def run(
    settings: conf.Settings, past: History, file: Path | None, restart: bool = False, stop: Event | None = None
) -> Replayed:
    return replay(settings, past, progress_file=file, restart=restart, stop=stop, console=Console(file=StringIO()))


def arrived(settings: conf.Settings) -> Counter[bytes]:
    """How often each event, ticks apart, lies in Kafka."""
    reader = consumer(settings.kafka.librdkafka(), "test")
    found: Counter[bytes] = Counter()
    for topic in TOPICS:
        for partition in range(4):
            place = TopicPartition(settings.topic(topic), partition, 0)
            _, end = reader.get_watermark_offsets(place, timeout=10)
            reader.assign([place])
            found.update(m.value() or b"" for m in (reader.consume(end, timeout=10) if end else []))
    reader.close()
    return Counter({value: count for value, count in found.items() if value.startswith(b"e")})


def once(count: int) -> Counter[bytes]:
    return Counter(b"e%d" % number for number in range(count))


def test_a_replay_sends_all_and_counts_it_by_type(settings: conf.Settings) -> None:
    done = run(settings, history(events(100)), None)
    assert arrived(settings) == once(100)
    assert (done.events_in, done.orders, done.coupon_issued, done.coupon_redeemed) == (100, 40, 20, 20)
    assert (done.first_ms, done.last_ms, done.skipped, done.complete) == (1, 1 + 99 * HOUR_MS, 0, True)


def test_an_interrupted_replay_goes_on_where_it_stopped(settings: conf.Settings, workdir: Path) -> None:
    stop, file = Event(), workdir / "progress.json"
    first = run(settings, history(events(100), stop, after=61), file, stop=stop)
    assert (first.events_in, first.complete) == (61, False)
    second = run(settings, history(events(100)), file)
    assert (second.skipped, second.events_in, second.complete) == (61, 39, True)
    assert arrived(settings) == once(100)
    assert first.orders + second.orders == 40


def test_after_a_crash_nothing_is_missing_and_only_the_unsaved_comes_again(
    settings: conf.Settings, workdir: Path
) -> None:
    stop, file = Event(), workdir / "progress.json"
    run(settings, history(events(100), stop, after=30), file, stop=stop)
    saved = file.read_bytes()
    stop.clear()
    run(settings, history(events(100), stop, after=50), file, stop=stop)
    file.write_bytes(saved)  # as if the last saves had not happened
    run(settings, history(events(100)), file)
    assert arrived(settings) == once(100) + Counter(b"e%d" % number for number in range(30, 50))


def test_a_replay_that_is_done_sends_nothing_more_until_restarted(settings: conf.Settings, workdir: Path) -> None:
    file = workdir / "progress.json"
    run(settings, history(events(40)), file)
    again = run(settings, history(events(40)), file)
    assert (again.events_in, again.skipped, again.complete) == (0, 40, True)
    assert run(settings, history(events(40)), file, restart=True).events_in == 40
    assert arrived(settings) == once(40) + once(40)


@pytest.mark.parametrize("changed", [events(100, first=1), events(20)])
def test_a_history_that_has_changed_is_not_gone_on_with(
    settings: conf.Settings, workdir: Path, changed: list[Record]
) -> None:
    stop, file = Event(), workdir / "progress.json"
    run(settings, history(events(100), stop, after=61), file, stop=stop)
    with pytest.raises(WrongProgress, match=r"are not those that were sent before.*--restart"):
        run(settings, history(changed), file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"history":"other","kafka":"here/"}', "belongs to other into here/, not to test into here/; .*--restart"),
        (b'{"history":"test","kafka":"there/"}', "belongs to test into there/, not to test into here/"),
        (b'{"history":', "not a progress file"),
        (b'{"history":"test","kafka":"here/","records":"many"}', "not a progress file"),
    ],
)
def test_a_progress_file_of_something_else_is_refused(workdir: Path, content: bytes, message: str) -> None:
    file = workdir / "progress.json"
    file.write_bytes(content)
    with pytest.raises(WrongProgress, match=f"progress.json: {message}"):
        load_place(file, Place("test", "here/"))
