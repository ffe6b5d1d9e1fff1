"""The desk ends where it would have, wherever it is broken off: between telling and committing, or before both."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError

from alerts.notices.desk import State
from alerts.notices.sink import Sinks
from alerts.notices.standing import word_message
from config import settings as conf
from features.outgoing import AlertWord
from flows.notify import USED
from operators.desk import DeskKeeper, Topics
from operators.health import Pulse
from operators.kafka import producer
from operators.source import OffsetExpired
from operators.standings import Standings, WrittenByAnother
from tests.alertpost import finding, incident, sent
from tests.flowprocess import WAIT_S, make_topics, read_all, until

pytestmark = pytest.mark.servers


class Broken(Exception):
    """Where a test lets the desk break off."""


@pytest.fixture
def send(settings: conf.Settings) -> Callable[..., None]:
    make_topics(settings, USED)
    sender = producer(settings.kafka.librdkafka())

    def put(*alerts: dict[str, Any]) -> None:
        for alert in alerts:
            message = sent(alert, settings.topic("alerts"))
            sender.produce(message.topic, message.value, message.key)
        assert sender.flush(WAIT_S) == 0

    return put


@pytest.fixture
def since_ms() -> list[int]:
    """When the desk is to have started for the first time."""
    return [0]


@pytest.fixture
def keeper(settings: conf.Settings, since_ms: list[int]) -> Iterator[Callable[[], DeskKeeper]]:
    """Another process's desk each time, from where the former one has left Redis."""
    client, made = settings.kafka.librdkafka(), list[DeskKeeper]()

    def another() -> DeskKeeper:
        standings = Standings(Redis.from_url(settings.redis.url), settings.redis.prefix)
        if not standings.fence():
            standings.begin(since_ms[0])
        names, topics = [*map(settings.topic, USED)], Topics(*map(settings.topic, USED))
        partitions = dict.fromkeys(names, settings.kafka.partitions)
        made.append(DeskKeeper(client, producer(client), topics, partitions, standings, Sinks(most=3).terms))
        return made[-1]

    yield another
    for one in made:
        one.reader.close()


def turn_until(one: DeskKeeper, done: Callable[[], object]) -> None:
    def turned() -> object:
        one._turn(Event())
        return done()

    until(turned)


def notices(settings: conf.Settings) -> list[tuple[str, str]]:
    """(id, action and alert) of all that was told."""
    found = [json.loads(message.value() or b"") for message in read_all(settings, "notices")]
    return sorted((event["id"], f"{event['data']['action']} {event['data']['alert']}") for event in found)


def storm() -> list[dict[str, Any]]:
    """More findings of one actor than are told, and an incident that begins and ends."""
    return [*(finding(f"f{n}", rule=f"r{n}") for n in range(5)), incident("i1"), incident("i2", "resolved")]


def raises(told_or_reached: Any, _: Event) -> None:
    """Not in a round in which nothing was read."""
    if told_or_reached:
        raise Broken


@pytest.mark.parametrize("broken", ["_commit", "_tell"])
def test_a_desk_that_breaks_off_before_it_commits_loses_nothing_and_tells_the_same_under_the_same_ids(
    settings: conf.Settings,
    send: Callable[..., None],
    keeper: Callable[[], DeskKeeper],
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
) -> None:
    send(*storm())
    first = keeper()
    monkeypatch.setattr(first, broken, raises)
    with pytest.raises(Broken):
        turn_until(first, lambda: first.desk.state.book)
    told = notices(settings)
    assert first.standings.load() == State()
    second = keeper()
    turn_until(second, lambda: sum(one.count for one in second.desk.state.book.values()) == 7)
    after = notices(settings)
    assert set(told) <= set(after)
    assert len(set(after)) == 5  # three findings, beginning and end; two are held
    assert second.standings.load() == second.desk.state
    third = keeper()
    third._turn(Event())
    assert (notices(settings), third.desk.state) == (after, second.desk.state)


def test_a_word_is_heard_and_one_that_is_none_is_a_dead_letter(
    settings: conf.Settings, send: Callable[..., None], keeper: Callable[[], DeskKeeper]
) -> None:
    sender, topic = producer(settings.kafka.librdkafka()), settings.topic("alert.words")
    word = word_message(topic, AlertWord("silenced", "s1", "anna", 1, "why", {"dim": "x"}, 2**42))
    sender.produce(topic, word.value, word.key)
    sender.produce(topic, b'{"data": {"word": "hushed"}}', "s2")
    assert sender.flush(WAIT_S) == 0
    one = keeper()
    turn_until(one, lambda: one.desk.state.silences and read_all(settings, "dead-letters"))
    [letter] = read_all(settings, "dead-letters")
    assert dict(letter.headers() or [])["reason"] == b"malformed"
    assert one.standings.load().silences["s1"].by == "anna"


def test_a_desk_waits_for_a_redis_that_is_away(
    settings: conf.Settings,
    send: Callable[..., None],
    keeper: Callable[[], DeskKeeper],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    send(incident("i1"))
    one, stop = keeper(), Event()
    commit, failures = one.standings.commit, [ConnectionError("away")]

    def away(*args: Any) -> None:
        if failures:
            raise failures.pop()
        commit(*args)
        stop.set()

    monkeypatch.setattr(stop, "wait", lambda _: False)
    monkeypatch.setattr(one.standings, "commit", away)
    one.keep(Pulse(60.0), stop)
    assert (failures, len(Standings(one.standings.redis, settings.redis.prefix).load().book)) == ([], 1)
    assert [told for _, told in notices(settings)] == ["opened i1"]


def test_when_it_started_for_the_first_time_outlives_a_desk_and_what_is_older_is_never_told(
    send: Callable[..., None], keeper: Callable[[], DeskKeeper], settings: conf.Settings, since_ms: list[int]
) -> None:
    since_ms[0] = 2**42
    send(*storm())
    first = keeper()
    turn_until(first, lambda: sum(one.count for one in first.desk.state.book.values()) == 7)
    assert notices(settings) == []
    second = keeper()
    assert (second.desk.since_ms, second.desk.state) == (2**42, first.desk.state)
    send(finding("late"))
    turn_until(second, lambda: len(second.desk.state.book) == 7)
    assert notices(settings) == []


def test_a_desk_that_starts_for_the_first_time_keeps_when_that_was(
    settings: conf.Settings, send: Callable[..., None]
) -> None:
    standings = Standings(Redis.from_url(settings.redis.url), settings.redis.prefix)
    names, topics = [*map(settings.topic, USED)], Topics(*map(settings.topic, USED))
    partitions, client = dict.fromkeys(names, settings.kafka.partitions), settings.kafka.librdkafka()
    send()
    first, second = (
        DeskKeeper(client, producer(client), topics, partitions, standings, Sinks().terms) for _ in range(2)
    )
    for one in (first, second):
        one.reader.close()
    assert first.desk.since_ms == second.desk.since_ms > 1_700_000_000_000


def test_a_second_desk_is_told_to_stop_and_writes_nothing(
    settings: conf.Settings, send: Callable[..., None], keeper: Callable[[], DeskKeeper]
) -> None:
    send(incident("i1"))
    one, other = keeper(), keeper()
    turn_until(one, lambda: one.desk.state.book)
    with pytest.raises(WrittenByAnother, match="stop one of the two"):
        turn_until(other, lambda: other.desk.state.book)
    assert one.standings.load() == one.desk.state
    assert len(set(notices(settings))) == 1


def test_an_offset_that_is_no_longer_in_kafka_is_told_with_what_to_do(
    settings: conf.Settings, send: Callable[..., None], keeper: Callable[[], DeskKeeper]
) -> None:
    send(incident("i1"))
    first = keeper()
    first.standings.commit(State(), set(), first.fence, {f"{settings.topic('alerts')}/0": 1_000})
    second = keeper()
    with pytest.raises(OffsetExpired, match="delete the field from the hash"):
        turn_until(second, lambda: False)
