"""Tickets over the real partition step and a real Redis: processes that die, and a Redis that comes back empty."""

from __future__ import annotations

import threading
from uuid import uuid4

import pytest
import redis as redis_py
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts.service.desk import Desk
from features import events as e
from features.job import Batch, Message
from features.loop import batches
from operators.health import Pulse
from operators.partition import PartitionStep
from operators.servers import RedisServer
from operators.store import PartitionStore, Sent
from tests.alerts.service.cases import PROMISES, TOPICS, about_tickets, live, logs, minute, tick
from tests.tally import stored

pytestmark = pytest.mark.servers
FEW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Processes:
    """One process of the desk after the other, over the same keys."""

    def __init__(self, server: RedisServer, cache_bytes: int) -> None:
        self.redis, self.prefix, self.cache_bytes = (
            redis_py.Redis.from_url(server.url),
            f"s{uuid4().hex[:8]}",
            cache_bytes,
        )
        self.sent: list[Message] = []
        self.start()

    def start(self) -> int:
        """The next one; how far the one before it had come."""
        store = PartitionStore(self.redis, self.prefix, "service-desk", self.cache_bytes)
        self.step = PartitionStep(Desk(TOPICS, PROMISES), store, "dead-letters", Pulse(stall_s=60), threading.Event())
        offset = self.step.claim("service.cases", 0)
        self._send(self.step.unsent.pop(0))
        return offset

    def work(self, batch: Batch) -> None:
        self._send(self.step(batch))
        self._send(self.step(Batch("service.cases", 0, batch.last)))

    def _send(self, sent: list[Sent]) -> None:
        """Nothing is ever trimmed from the outbox, so each process sends all of it again."""
        self.sent += [message for one in sent for message in one.messages]

    def told(self) -> list[Message]:
        """Each message once, as whoever knows its id takes it."""
        return list({message.value: message for message in self.sent}.values())


@FEW
@given(log=logs(), cuts=st.sets(st.integers(1, 20), max_size=4), cache_bytes=st.sampled_from([0, 2**20]))
def test_processes_that_die_after_any_batch_tell_what_one_that_lives_tells(
    redis: RedisServer, log: list[e.Event], cuts: set[int], cache_bytes: int
) -> None:
    processes = Processes(redis, cache_bytes)
    for batch in batches("service.cases", 0, about_tickets(log), cuts):
        processes.work(batch)
        assert processes.start() == batch.last
        processes.work(batch)  # Kafka has it read again: what is behind the fence is cut off
    undisturbed = live(log)
    assert processes.told() == undisturbed.sent
    kept = stored(processes.step.store)
    assert (kept.records, kept.timers, kept.position.counts) == (
        undisturbed.records,
        undisturbed.timers,
        undisturbed.position.counts,
    )


def test_a_redis_that_comes_back_empty_is_filled_by_the_replay_and_nothing_else_is_told(redis: RedisServer) -> None:
    log: list[e.Event] = [
        e.Complaint(id="1", customer="a", case="k", topic="food", **minute(0)),
        tick(6),
        e.Merge(id="m", customer="a", into="b", at_ms=0),
        tick(11),
    ]
    processes = Processes(redis, 0)
    for batch in batches("service.cases", 0, [e.encode(event) for event in log], [2]):
        processes.work(batch)
    told = processes.told()
    processes.redis.delete(*processes.redis.keys(f"{processes.prefix}:*"))  # type: ignore[misc]
    assert processes.start() == -1
    processes.work(batches("service.cases", 0, [e.encode(event) for event in log])[0])
    assert processes.told() == told == live(log).sent
