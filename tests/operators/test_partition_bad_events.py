"""Events and timers that make the job raise: which are buried, which end the process."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import uuid4

import pytest
from msgspec.structs import replace

from features.job import Batch, Changes, Message, Plan, State
from features.loop import Store
from operators.partition import BrokenTimer, PartitionStep
from operators.servers import RedisServer
from tests.operators.stepping import FaultyStore, client, messages, step_on, step_over, undisturbed
from tests.tally import TOPIC, Entry, Log, Tally, drive, steps, stored

pytestmark = [pytest.mark.servers, pytest.mark.usefixtures("quiet", "large")]


def letters(step: PartitionStep) -> list[Message]:
    """The dead letters in the outbox."""
    return [message for message in stored(step.store).sent if message.topic == "dead-letters"]


def broken(count: int) -> list[Entry]:
    return [Entry("a", f"{i}", broken=True) for i in range(count)]


@pytest.mark.parametrize("size", [1, 4, 7, 60])
def test_an_event_that_makes_the_job_raise_is_buried_and_its_neighbours_are_applied(
    redis: RedisServer, size: int
) -> None:
    made = steps(60)
    good = [*made[:20], Entry(tick_ms=1), *made[21:40], Entry(tick_ms=1), *made[41:]]
    bad = [Entry("a", "bad", broken=True) if entry.tick_ms == 1 else entry for entry in good]
    log, expected = Log(bad), undisturbed(Log(good))
    step = step_on(redis)
    sent = messages(drive(step, log, size))
    found = stored(step.store)
    assert (found.records, found.seen, found.timers) == (expected.records, expected.seen, expected.timers)
    buried = [message for message in sent if message.topic == "dead-letters"]
    assert [message.value for message in buried] == [log.values[20], log.values[40]]
    assert {message.headers["reason"] for message in buried} == {"internal_error"}
    assert [message.headers["source_offset"] for message in buried] == [f"{log.offsets[i]}" for i in (20, 40)]
    assert found.position.counts["dead_lettered:internal_error"] == 2
    assert [message for message in sent if message.topic == "out"] == expected.sent


@pytest.mark.parametrize("size", [1, 7, 300])
def test_a_program_that_always_raises_ends_and_buries_nothing(redis: RedisServer, size: int) -> None:
    step = step_on(redis)
    with pytest.raises(ValueError, match="broken entry"):
        drive(step, Log(broken(300)), size)
    assert stored(step.store) == Store()


def drive_in_turn(step: PartitionStep, batches: Iterable[Batch]) -> None:
    step.claim(TOPIC, 0)
    step.claim(TOPIC, 1)
    for batch in batches:
        step(batch)


@pytest.mark.parametrize("between", ["heartbeats", "good events of another partition"])
def test_a_program_that_always_raises_in_one_partition_ends_whatever_comes_between(
    redis: RedisServer, between: str
) -> None:
    bad, good = Log(broken(300)).whole(), replace(Log(steps(300)).whole(), partition=1)
    others = [good.cut(i, i + 1) if between != "heartbeats" else bad.cut(i + 1, i + 1) for i in range(300)]
    turns = [batch for i in range(300) for batch in (bad.cut(i, i + 1), others[i])]
    with pytest.raises(ValueError, match="broken entry"):
        drive_in_turn(step_on(redis), turns)


def test_a_bad_event_with_nothing_behind_it_is_buried_at_the_next_heartbeat(redis: RedisServer) -> None:
    step, log = step_on(redis), Log([*steps(5), *broken(1)])
    step.claim(TOPIC, 0)
    step(log.whole())
    assert letters(step) == []
    step(log.read(log.offsets[-1], 7))
    assert [letter.value for letter in letters(step)] == [log.values[-1]]
    assert stored(step.store).position.offset == log.offsets[-1]


def test_a_bad_event_that_is_not_yet_buried_is_read_again_by_a_successor(redis: RedisServer) -> None:
    log = Log([*steps(5), *broken(1)])
    step = step_on(redis)
    step.claim(TOPIC, 0)
    step(log.whole())
    drive(step_over(step.store), log)
    assert [letter.value for letter in letters(step)] == [log.values[-1]]


def test_messages_of_the_first_half_of_a_batch_are_relayed_when_redis_goes_away_before_the_second(
    redis: RedisServer,
) -> None:
    good = steps(20)
    log = Log([*good[:15], Entry("a", "bad", broken=True), *good[15:]])
    step = step_over(FaultyStore(client(redis), f"p{uuid4().hex[:8]}", ["none", "before EXEC", "none", "after EXEC"]))
    sent = messages(drive(step, log, size=21))
    expected = undisturbed(Log([*good[:15], Entry(tick_ms=1), *good[15:]]))
    assert {m.value for m in sent if m.topic == "out"} == {m.value for m in expected.sent}
    assert [m.value for m in sent if m.topic == "dead-letters"] == [log.values[15]]
    assert stored(step.store).records == expected.records


class Fragile(Tally):
    """Raises when the timer of `a` is due."""

    def apply(self, plan: Plan, state: State) -> Changes:
        if any(name == "a" for _, name in state.due):
            raise ValueError("broken timer")
        return super().apply(plan, state)


TIMER = [Entry("a", "1", wait_ms=50), Entry("b", "2"), Entry(tick_ms=10), Entry("b", "3"), Entry(tick_ms=100)]


@pytest.mark.parametrize("size", [1, 4])
def test_a_timer_that_makes_the_job_raise_ends_the_process_and_is_named(redis: RedisServer, size: int) -> None:
    step = step_on(redis, job=Fragile())
    log = Log([*TIMER, Entry("b", "4"), Entry(tick_ms=200)])
    with pytest.raises(BrokenTimer, match=r"tally: partition 0: one of 1 due timers \(a\) .* behind offset 10 "):
        drive(step, log, size)
    found = stored(step.store)
    assert (found.position.offset, found.position.clock.now_ms, letters(step)) == (log.offsets[3], 10, [])


def test_a_bad_event_is_buried_although_timers_are_due(redis: RedisServer) -> None:
    step, good = step_on(redis), [*TIMER, Entry(tick_ms=200)]
    drive(step, Log([*TIMER[:-1], Entry(tick_ms=100, broken=True), Entry(tick_ms=200)]), 1)
    assert len(letters(step)) == 1
    assert stored(step.store).records == undisturbed(Log(good)).records
