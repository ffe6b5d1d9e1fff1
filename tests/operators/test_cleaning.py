"""The ingest step: identities that all processes agree on, a Redis it waits for, and ticks that never run ahead."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
import redis as redis_py
from msgspec.structs import replace
from redis.backoff import NoBackoff
from redis.retry import Retry

from features import events as e
from features.check import Limits
from features.clean import Cleaner
from features.identity import Pseudonyms, Table
from features.job import Batch
from features.partitions import partition_keys
from features.stores import Stores
from features.times import DAY_MS
from operators.cleaning import CleanStep
from operators.health import Pulse
from operators.identities import IdentityTable
from operators.kafka import ensure_topics, producer
from operators.servers import KafkaServer, MockKafka, RedisServer, redis_server
from operators.transactions import Cleaned

pytestmark = pytest.mark.servers
WAIT_S = 20.0
NOW_MS = 1_800_000_000_000
CLEANER = Cleaner(
    Limits(1_000_000, 0, DAY_MS),
    Pseudonyms(b"a key of sixteen", "CN"),
    Stores("Asia/Shanghai"),
    "events",
    "dead-letters",
    "identities",
    partition_keys(3),
    sources=4,
)


@pytest.fixture
def own_redis(workdir: Path) -> Iterator[RedisServer]:
    """A Redis that forgets everything at a restart."""
    with redis_server(workdir, appendonly=None) as server:
        yield server


@pytest.fixture
def start(kafka: KafkaServer | MockKafka, topic_prefix: str) -> Callable[..., CleanStep]:
    """Makes the step of a new process over a Redis."""
    topic = topic_prefix + "identities"
    ensure_topics({"bootstrap.servers": kafka.brokers}, [topic], 1, 1, {})

    def start(redis: RedisServer, tick_ms: int | None = None) -> CleanStep:
        client = redis_py.Redis.from_url(redis.url, retry=Retry(NoBackoff(), 0))
        table = IdentityTable(client, topic, {"bootstrap.servers": kafka.brokers}, topic)
        return CleanStep(CLEANER, table, tick_ms, Pulse(stall_s=60), Event())

    return start


def view(id: str, **who: str) -> bytes:
    return written("app_open", id, who)


def bind(id: str, **who: str) -> bytes:
    return written("bind", id, who)


def written(type: str, id: str, who: dict[str, str]) -> bytes:
    return json.dumps({"type": type, "id": id, "time": NOW_MS, "who": who}).encode()


def batch(*values: bytes, first: int = 0, stamp_ms: int = NOW_MS, at_ms: int = NOW_MS) -> Batch:
    size = len(values)
    return Batch("app.events", 2, first - 1, [*range(first, first + size)], list(values), [stamp_ms] * size, at_ms)


def customers(cleaned: Cleaned) -> list[str]:
    return [message.key for message in cleaned.messages if message.topic == "events"]


def ticks(cleaned: Cleaned) -> list[e.Tick]:
    events = [e.decode_event(message.value) for message in cleaned.messages if message.topic == "events"]
    return [event for event in events if isinstance(event, e.Tick)]


def publish(step: CleanStep, cleaned: Cleaned) -> None:
    """What ingest's transaction does with new links."""
    plain = producer(step.identities.client)
    for message in cleaned.messages:
        if message.topic == "identities":
            plain.produce(step.identities.topic, message.value, message.key)
    assert plain.flush(WAIT_S) == 0


def test_one_customer_stays_one_under_all_identifiers(redis: RedisServer, start: Callable[..., CleanStep]) -> None:
    step, other = start(redis), start(redis)
    linked = step(batch(view("1", phone="13800138000", card="K1")))
    assert customers(step(batch(view("2", card="K1")))) == customers(linked)
    assert customers(other(batch(view("3", card="k1 "), view("4", phone="+86 138 0013 8000")))) == customers(linked) * 2


def preceded(step: CleanStep, first: Callable[[], object]) -> None:
    """Lets something happen between this step's look at the table and what it writes there."""
    plain_add, waiting = step.identities.add, [first]

    def add(table: Table) -> bool:
        while waiting:
            waiting.pop()()
        return plain_add(table)

    step.identities.add = add  # type: ignore[method-assign]


def test_a_customer_whom_another_process_names_meanwhile_gets_that_name(
    redis: RedisServer, start: Callable[..., CleanStep]
) -> None:
    step, rival, before = start(redis), start(redis), []
    preceded(step, lambda: before.extend(customers(rival(batch(view("1", phone="13800138000", card="K1"))))))
    assert customers(step(batch(view("2", card="K1"), view("3", card="K1")))) == before * 2


def test_a_link_that_another_process_crosses_still_makes_one_customer(
    redis: RedisServer, start: Callable[..., CleanStep]
) -> None:
    step, rival, before = start(redis), start(redis), []
    preceded(step, lambda: before.extend(customers(rival(batch(view("1", card="K1"))))))
    linked = batch(bind("2", phone="13800138000", card="K1"), view("3", phone="13800138000"), view("4", card="K1"))
    assert customers(step(linked)) == before * 3


@pytest.mark.parametrize("noticed", ["by an error", "by its run id"])
def test_a_redis_that_comes_back_empty_makes_no_second_customer(
    own_redis: RedisServer, start: Callable[..., CleanStep], noticed: str
) -> None:
    step = start(own_redis)
    linked = step(batch(view("1", phone="13800138000", card="K1")))
    publish(step, linked)
    if noticed == "by its run id":
        own_redis.restart()
        after = step(batch(view("2", card="K1")))
    else:
        own_redis.kill()
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(step, batch(view("2", card="K1")))
            while not step.pulse.complaints():
                assert not waiting.done()
            own_redis.start()
            after = waiting.result(WAIT_S)
    assert customers(after) == customers(linked)
    assert step.pulse.complaints() == []


def test_a_redis_restarted_between_two_looks_makes_no_second_customer(
    own_redis: RedisServer, start: Callable[..., CleanStep]
) -> None:
    step = start(own_redis)
    linked = step(batch(view("1", phone="13800138000", card="K1")))
    publish(step, linked)
    plain_known, restarts = step.identities.known, [own_redis.restart]

    def known_after_restart(pseudonyms: set[str]) -> Table:
        while restarts:
            restarts.pop()()
        return plain_known(pseudonyms)

    step.identities.known = known_after_restart  # type: ignore[method-assign, assignment]
    assert customers(step(batch(view("2", card="K1")))) == customers(linked)


def test_links_of_a_batch_that_is_not_yet_committed_outlive_a_redis_that_forgets(
    own_redis: RedisServer, start: Callable[..., CleanStep]
) -> None:
    step = start(own_redis)
    linked = step(batch(view("1", phone="13800138000", card="K1")))
    own_redis.restart()
    assert customers(step(batch(view("2", card="K1"), first=1))) == customers(linked)


def test_links_are_held_no_longer_than_until_their_batch_is_committed(
    redis: RedisServer, start: Callable[..., CleanStep]
) -> None:
    step = start(redis)
    batches = [batch(view(f"{n}", card=f"K{n}"), first=n) for n in range(3)]
    for one in batches:
        step(one)
    assert len(step.identities.uncommitted) == 3
    for one in batches:
        step.identities.committed(one)
    assert step.identities.uncommitted == {}


# Ticks by the wall clock


@pytest.fixture
def ticking(redis: RedisServer, start: Callable[..., CleanStep]) -> CleanStep:
    return start(redis, tick_ms=1_000)


def test_a_batch_ticks_up_to_its_last_record_in_every_partition(ticking: CleanStep) -> None:
    cleaned = ticking(batch(view("1", card="K1"), stamp_ms=NOW_MS - 5_000))
    assert [(tick.at_ms, tick.source, tick.of) for tick in ticks(cleaned)] == [(NOW_MS - 5_000, "app.events/2", 4)] * 3
    assert [message.key for message in cleaned.messages[-3:]] == partition_keys(3)
    assert len(cleaned.stamps_ms) == len(cleaned.messages)


def test_a_record_from_the_future_moves_time_no_further_than_now(ticking: CleanStep) -> None:
    cleaned = ticking(batch(view("1", card="K1"), stamp_ms=NOW_MS + 5_000))
    assert {tick.at_ms for tick in ticks(cleaned)} == {NOW_MS}


def test_a_quiet_partition_ticks_up_to_now_and_one_with_unread_records_not_at_all(ticking: CleanStep) -> None:
    assert {tick.at_ms for tick in ticks(ticking(batch()))} == {NOW_MS}
    assert ticks(ticking(batch(at_ms=0))) == []


def test_ticks_come_no_closer_than_the_setting_says(ticking: CleanStep) -> None:
    at_ms = [NOW_MS, NOW_MS + 999, NOW_MS + 1_000, NOW_MS + 1_500, NOW_MS + 2_000]
    assert [bool(ticks(ticking(batch(at_ms=at)))) for at in at_ms] == [True, False, True, False, True]


def test_when_ticks_come_with_the_input_none_are_made(redis: RedisServer, start: Callable[..., CleanStep]) -> None:
    step = start(redis)
    assert ticks(step(batch(view("1", card="K1")))) == []
    sent = json.dumps({"type": "tick", "id": "t", "time": NOW_MS - 1}).encode()
    assert {tick.at_ms for tick in ticks(step(batch(sent)))} == {NOW_MS - 1}


# Customers who turn out to be one


def merges(cleaned: Cleaned) -> list[tuple[str, str]]:
    """(merged away, into)."""
    words = [json.loads(message.value) for message in cleaned.messages if message.topic == "events"]
    return [(word["customer"], word["into"]) for word in words if word["type"] == "merge"]


def two(step: CleanStep) -> tuple[str, str]:
    """A customer known by phone and one known by card, the one with the smaller id first."""
    one, other = customers(step(batch(view("1", phone="13800138000"), view("2", card="K1"))))
    return min(one, other), max(one, other)


BOTH = bind("3", phone="13800138000", card="K1")


def test_a_bind_makes_one_customer_of_two_for_all_processes(
    redis: RedisServer, start: Callable[..., CleanStep]
) -> None:
    step, other = start(redis), start(redis)
    winner, loser = two(step)
    bound = step(batch(BOTH, first=2))
    assert merges(bound) == [(loser, winner)]
    publish(step, bound)
    step.identities.committed(bound.batch)
    after = other(batch(view("4", card="K1"), view("5", phone="13800138000"), BOTH))
    assert customers(after) == [winner] * 3
    assert merges(after) == []


def test_a_process_that_dies_before_kafka_has_the_merge_leaves_the_next_one_to_say_it(
    redis: RedisServer, start: Callable[..., CleanStep]
) -> None:
    step, successor = start(redis), start(redis)
    winner, loser = two(step)
    step(batch(BOTH, first=2))
    again = successor(batch(BOTH, first=2))
    assert (customers(again)[-1], merges(again)) == (winner, [(loser, winner)])


def test_a_merge_that_kafka_never_had_outlives_a_redis_that_forgets(
    own_redis: RedisServer, start: Callable[..., CleanStep]
) -> None:
    step = start(own_redis)
    known = step(batch(view("1", phone="13800138000"), view("2", card="K1")))
    publish(step, known)
    step.identities.committed(known.batch)
    bound = step(batch(BOTH, first=2))
    own_redis.restart()
    assert set(customers(step(batch(view("4", card="K1"), view("5", phone="13800138000"), first=3)))) == {
        customers(bound)[-1],
        *(loser for loser, _ in merges(bound)),  # the word on the merge, said again
    }


def test_two_processes_that_bind_one_customer_to_different_ones_make_one_of_all(
    redis: RedisServer, start: Callable[..., CleanStep]
) -> None:
    step, rival, said = start(redis), start(redis), []
    names = customers(step(batch(view("1", card="K1"), view("2", app_id="A"), view("3", openid="O"))))
    preceded(step, lambda: said.extend(merges(rival(batch(bind("4", card="K1", app_id="A"))))))
    said += merges(step(batch(bind("5", card="K1", openid="O"), first=3)))
    after = start(redis)(batch(view("6", card="K1"), view("7", app_id="A"), view("8", openid="O")))
    assert {name for name in customers(after) if name not in dict(said)} == {min(names)}
    assert {loser for loser, _ in said} == {*names} - {min(names)}


def test_a_card_that_everybody_shows_is_refused_across_batches_and_processes(
    redis: RedisServer, start: Callable[..., CleanStep]
) -> None:
    steps, reasons = [start(redis), start(redis)], []
    for number in range(12):
        cleaned = steps[number % 2](batch(bind(f"{number}", card="TEST", phone=f"138001380{number:02d}"), first=number))
        reasons += [m.headers["reason"] for m in cleaned.messages if m.topic == "dead-letters"]
    assert reasons == ["identity_limit"] * 4


def test_pseudonyms_are_rewritten_under_a_new_key_as_they_are_met(
    redis: RedisServer, start: Callable[..., CleanStep]
) -> None:
    step, renewed, later = start(redis), start(redis), start(redis)
    before = customers(step(batch(view("1", phone="13800138000"), view("2", card="K1"))))
    renewed.cleaner = replace(CLEANER, pseudonyms=Pseudonyms(b"another key of 16", "CN", (b"a key of sixteen",)))
    met = renewed(batch(view("3", phone="13800138000")))
    renewed.identities.committed(met.batch)
    assert customers(met) == before[:1]
    later.cleaner = replace(CLEANER, pseudonyms=Pseudonyms(b"another key of 16", "CN"))  # the old key is dropped
    kept, stranger = customers(later(batch(view("4", phone="13800138000"), view("5", card="K1"))))
    assert (kept, stranger in before) == (before[0], False)
    assert customers(step(batch(view("6", card="K1")))) == before[1:]
