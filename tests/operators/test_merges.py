"""Merges over the real partition step and a real Redis: processes that die, and a Redis that comes back empty."""

from __future__ import annotations

import threading
from uuid import uuid4

import pytest
import redis as redis_py
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.identity import Pseudonyms
from features.job import Position
from features.loop import batches
from features.partitions import partition_of
from operators.customers import UnknownCustomer, find_customer, read_record
from operators.health import Pulse
from operators.layout import WrongLayout, check_layout, renew_layout
from operators.partition import PartitionStep
from operators.servers import RedisServer
from operators.store import PartitionStore, Sent
from tests.alerts.triggers.test_merging import DECLARED, JOB, NOW_MS, PLAIN, Story, order
from tests.world import PARTITIONS, World

pytestmark = pytest.mark.servers


class StoredWorld(World):
    """Nothing is ever trimmed from the outbox: each process sends all of it again when it starts."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__(JOB)
        self.redis = redis_py.Redis.from_url(server.url)
        self.prefix = f"m{uuid4().hex[:8]}"
        self.start()

    def start(self) -> None:
        """A new process takes all partitions over."""
        store = PartitionStore(self.redis, self.prefix, "customers", 2**20)
        self.step = PartitionStep(JOB, store, "dead-letters", Pulse(stall_s=60), threading.Event())
        for partition in range(PARTITIONS):
            self.step.claim("events", partition)
            self.send(self.step.unsent.pop(partition))

    def send(self, sent: list[Sent]) -> None:
        for message in [message for one in sent for message in one.messages if message.topic == "events"]:
            self.logs[partition_of(message.key, PARTITIONS)].append(message.value)

    def work(self, partition: int, events: int) -> None:
        first = self.position(partition).offset + 1
        values = self.logs[partition][first : first + events]
        if values:
            self.send(self.step(batches("events", partition, values, first=first)[0]))

    def relay(self, partition: int, again: int = 0) -> None:
        self.start()

    def forget(self) -> None:
        """Redis comes back empty, and all is read again from the beginning."""
        self.redis.delete(*self.redis.keys(f"{self.prefix}:*"))  # type: ignore[misc]
        self.start()

    def position(self, partition: int) -> Position:
        return self.step.positions[partition]

    def stored(self, customer: str) -> bytes:
        store = self.step.store
        return store.record(partition_of(customer, PARTITIONS), customer) or b""


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_processes_that_die_and_a_redis_that_comes_back_empty_change_nothing(
    redis: RedisServer, data: st.DataObject
) -> None:
    world = StoredWorld(redis)
    story = Story(data, world)
    story.tell(30)
    world.settle()
    story.check(world, PLAIN.core, DECLARED)
    world.forget()
    story.tell(10)
    world.settle()
    story.check(world, PLAIN.core, DECLARED)


def test_a_process_that_dies_between_the_history_and_its_sending_loses_none(redis: RedisServer) -> None:
    world = StoredWorld(redis)
    world.tell(order("1", "cb", NOW_MS))
    world.merge("ca", "cb")
    place = partition_of("cb", PARTITIONS)
    world.step(batches("events", place, world.logs[place])[0])  # committed, and never sent
    assert world.stored("ca") == b""
    world.start()
    world.settle()
    assert world.record("cb")[0] == "ca"
    assert world.count("taken_in") == 1


def test_who_was_merged_away_is_looked_up_as_the_one_he_is_now(redis: RedisServer) -> None:
    world = StoredWorld(redis)
    check_layout(world.redis, world.prefix, {"partitions of events": PARTITIONS})
    for name in ("ca", "cb", "cc"):
        world.tell(order(name, name, NOW_MS))
    world.merge("cb", "cc")
    world.settle()
    world.merge("ca", "cb")
    world.settle()
    records = {read_record(world.redis, world.prefix, name) for name in ("ca", "cb", "cc")}
    assert records == {world.stored("ca")}
    with pytest.raises(UnknownCustomer):
        read_record(world.redis, world.prefix, "cz")


def test_an_identifier_under_a_former_key_or_of_one_who_was_merged_away_is_found(redis: RedisServer) -> None:
    client, prefix = redis_py.Redis.from_url(redis.url), f"m{uuid4().hex[:8]}"
    old, now = Pseudonyms(b"a key of sixteen", "CN"), Pseudonyms(b"another key of 16", "CN", (b"a key of sixteen",))
    client.mset({f"{prefix}:id:{old.one('card', 'K1')}": "c2", f"{prefix}:id:customer:c2": "c1"})
    assert find_customer(client, prefix, now, "card:K1") == find_customer(client, prefix, old, "card:K1") == "c1"
    with pytest.raises(UnknownCustomer):
        find_customer(client, prefix, Pseudonyms(now.key, "CN"), "card:K1")


def test_state_under_a_former_key_is_taken_over_and_that_of_another_is_not(redis: RedisServer) -> None:
    client, prefix = redis_py.Redis.from_url(redis.url), f"m{uuid4().hex[:8]}"
    check_layout(client, prefix, {"identity key": "old"})
    renew_layout(client, prefix, "identity key", "new", ["new", "other"])
    with pytest.raises(WrongLayout):
        check_layout(client, prefix, {"identity key": "new"})
    renew_layout(client, prefix, "identity key", "new", ["new", "old"])
    check_layout(client, prefix, {"identity key": "new"})
