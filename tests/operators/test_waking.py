"""Who wakes customers for rules that have come: once, in the partitions that it owns, whatever happens in between."""

from __future__ import annotations

from threading import Event
from uuid import uuid4

import pytest

from alerts.triggers.alarms import LACKS
from features.job import Changes, Clock, Plan, Position
from features.records import Records
from operators import waking
from operators.servers import RedisServer
from operators.store import PartitionStore
from operators.waking import Waking
from tests.operators.stepping import client

pytestmark = pytest.mark.servers
NOW_MS = 1_777_824_000_000
NAMES = [f"c{n}" for n in range(40)]


def store_with(redis: RedisServer, prefix: str, partitions: tuple[int, ...] = (0, 1)) -> PartitionStore:
    """Of each partition, twenty customers; claimed anew, as by a process that has just started."""
    store = PartitionStore(client(redis), prefix, "customers")
    for partition in partitions:
        position = store.claim(partition)
        store.load(partition, Plan(position, position.clock), lambda due: [])
        puts = Records.of(dict.fromkeys(NAMES[partition::2], b"r"))
        store.commit(partition, Changes(position=Position(7, Clock(NOW_MS)), puts=puts))
    return claimed(redis, prefix, partitions)


def claimed(redis: RedisServer, prefix: str, partitions: tuple[int, ...]) -> PartitionStore:
    store = PartitionStore(client(redis), prefix, "customers")
    for partition in partitions:
        store.claim(partition)
    return store


def timers(store: PartitionStore, partition: int) -> dict[str, float]:
    return {n.decode(): due for n, due in store.redis.zrange(store.key(partition, "timers"), 0, -1, withscores=True)}


def test_each_customer_is_woken_once_for_rules_that_wait(redis: RedisServer) -> None:
    store = store_with(redis, f"w{uuid4().hex[:8]}")
    waker = Waking(store, [5], Event())
    waker.look()
    assert timers(store, 0) == dict.fromkeys([LACKS + name for name in NAMES[0::2]], NOW_MS)
    assert timers(store, 1) == dict.fromkeys([LACKS + name for name in NAMES[1::2]], NOW_MS)
    forget(store)
    waker.look()
    Waking(claimed(redis, store.prefix, (0, 1)), [5], Event()).look()
    assert timers(store, 0) == timers(store, 1) == {}


def test_a_rule_that_goes_wakes_nobody_and_wakes_all_when_it_comes_back(redis: RedisServer) -> None:
    store = store_with(redis, f"w{uuid4().hex[:8]}", (0,))
    waker = Waking(store, [5, 6], Event())
    waker.look()
    forget(store)
    waker.follow([6])
    waker.look()
    assert timers(store, 0) == {}
    waker.follow([5, 6])
    waker.look()
    assert len(timers(store, 0)) == 20


def test_customers_of_partitions_that_others_own_are_left_alone(redis: RedisServer) -> None:
    store = store_with(redis, f"w{uuid4().hex[:8]}")
    mine = claimed(redis, store.prefix, (1,))
    Waking(mine, [5], Event()).look()
    assert timers(store, 0) == {}
    assert len(timers(store, 1)) == 20


def test_where_nothing_was_known_nobody_is_woken(redis: RedisServer) -> None:
    """Whoever came since has met the rules that were there when the partition was claimed."""
    prefix = f"w{uuid4().hex[:8]}"
    store = claimed(redis, prefix, (0,))
    waker = Waking(store, [5], Event())
    waker.greet()
    store.load(0, Plan(Position(), Clock()), lambda due: [])
    store.commit(0, Changes(position=Position(7, Clock(NOW_MS)), puts=Records.of({"c": b"r"})))
    waker.look()
    assert timers(store, 0) == {}
    waker.follow([5, 6])
    waker.look()
    assert timers(store, 0) == {LACKS + "c": NOW_MS}


def test_who_is_told_to_stop_before_the_end_begins_again(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waking, "CHUNK", 5)
    store, stop = store_with(redis, f"w{uuid4().hex[:8]}", (0,)), Event()
    stop.set()
    Waking(store, [5], stop).look()
    assert 0 < len(timers(store, 0)) < 20
    Waking(store, [5], Event()).look()
    assert len(timers(store, 0)) == 20


def forget(store: PartitionStore) -> None:
    for partition in (0, 1):
        store.redis.delete(store.key(partition, "timers"))
