"""The partition step on an ordinary day: loaded, applied, committed and handed on as in a plain loop."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from features.job import Batch
from features.loop import batches, run
from operators.servers import RedisServer
from operators.store import Sent
from tests.operators.stepping import (
    assert_as_undisturbed,
    at_leisure,
    entries,
    messages,
    step_on,
    step_over,
    undisturbed,
    until,
)
from tests.tally import TOPIC, Entry, Log, Tally, drive, steps, stored

pytestmark = [pytest.mark.servers, pytest.mark.usefixtures("quiet", "large")]


@given(entries, st.lists(st.integers(0, 30)))
def test_the_oracle_itself_does_not_depend_on_how_the_log_is_cut(made: list[Entry], cuts: list[int]) -> None:
    values = Log(made).values
    cut = run(Tally(), batches(TOPIC, 0, values, cuts))[0]
    assert cut == run(Tally(), batches(TOPIC, 0, values))[0]


def test_a_step_leaves_in_redis_what_the_plain_loop_leaves(redis: RedisServer, log: Log) -> None:
    step = step_on(redis)
    sent = drive(step, log)
    assert_as_undisturbed(step, log, sent)
    assert messages(sent) == undisturbed(log).sent
    assert stored(step.store).sent == undisturbed(log).sent


def test_a_successor_starts_where_the_last_commit_ended(redis: RedisServer, log: Log) -> None:
    step = step_on(redis)
    drive(step, Log(steps(30)))
    successor = step_over(step.store)
    assert successor.claim(TOPIC, 0) == log.offsets[29]
    sent = drive(successor, log)
    assert_as_undisturbed(step, log, sent)


def test_records_at_or_below_the_fence_are_skipped(redis: RedisServer, log: Log) -> None:
    step = step_on(redis)
    drive(step, log)
    before = stored(step.store)
    assert step(log.whole()) == []
    assert step(log.read(log.offsets[20], 5)) == []
    assert stored(step.store) == before
    assert step.rewind(TOPIC, 0) is None


@at_leisure
def test_messages_of_a_large_batch_leave_with_the_next_one_or_with_an_empty_one(redis: RedisServer, log: Log) -> None:
    step, expected = step_on(redis), undisturbed(log).sent
    after = step.claim(TOPIC, 0)
    assert step(log.read(after, 20)) == []
    assert step.awaits(TOPIC, 0)
    first = messages(step(log.read(log.offsets[19], 20)))
    second = messages(step(Batch(TOPIC, 0, log.offsets[39])))
    assert not step.awaits(TOPIC, 0)
    assert first + second == expected[: len(first + second)]
    assert second


@at_leisure
def test_messages_of_a_large_batch_leave_with_another_partitions_batch_once_redis_has_confirmed_them(
    redis: RedisServer, log: Log
) -> None:
    step, expected = step_on(redis), undisturbed(log).sent
    after = step.claim(TOPIC, 0)
    other = Batch(TOPIC, 1, step.claim(TOPIC, 1))
    assert step(log.read(after, 20)) == []
    until(lambda: step.store.answered(0))
    first = step(other)
    assert not step.awaits(TOPIC, 0)
    assert step(other) == []
    second = step(log.read(log.offsets[19], 20)) + step(Batch(TOPIC, 0, log.offsets[39]))
    assert {sent.partition for sent in first + second} == {0}
    assert messages(first + second) == expected[: len(messages(first + second))]
    assert messages(first)
    assert messages(second)


@at_leisure
def test_a_commit_that_another_partitions_turn_finds_lost_is_made_again(redis: RedisServer, log: Log) -> None:
    step = step_on(redis)
    after = step.claim(TOPIC, 0)
    other = Batch(TOPIC, 1, step.claim(TOPIC, 1))
    step(log.read(after, 20))
    step.store.lines[0].connection.disconnect()  # the answer never comes, and the commit may stand all the same
    assert step(other) == []
    assert not step.awaits(TOPIC, 0)
    sent, after = [], log.offsets[19]
    while (batch := log.read(after, 20)).offsets or step.awaits(TOPIC, 0):
        sent += step(batch)
        back = step.rewind(TOPIC, 0)
        after = batch.last if back is None else back
    assert_as_undisturbed(step, log, sent)


@at_leisure
def test_partitions_do_not_wait_for_each_other(redis: RedisServer, log: Log) -> None:
    """One's commit may be under way while the other is loaded, applied and committed."""
    step, parts = step_on(redis), range(3)
    after = {part: step.claim(TOPIC, part) for part in parts}
    sent: dict[int, list[Sent]] = {part: [] for part in parts}
    for _ in range(7):
        for part in parts:
            batch = replace(log.read(after[part], 10), partition=part)
            for one in step(batch):
                sent[one.partition].append(one)
            after[part] = batch.last
    for part in parts:
        assert stored(step.store, part).records == undisturbed(log).records
        assert messages(sent[part]) == undisturbed(log).sent


def test_messages_of_an_earlier_commit_that_were_not_relayed_are_relayed_after_a_restart(
    redis: RedisServer, log: Log
) -> None:
    step = step_on(redis)
    never_relayed = messages(drive(step, Log(steps(30))))
    successor = step_over(step.store)
    successor.claim(TOPIC, 0)
    heartbeat = Batch(TOPIC, 0, successor.positions[0].offset)
    assert messages(successor(heartbeat)) == never_relayed
    assert successor(heartbeat) == []
