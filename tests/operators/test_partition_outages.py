"""The partition step in front of a Redis that is away, unsure, full or fallen back: the end is the undisturbed one."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
import redis as redis_py
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from benchmarks.faults import redis_log
from features.job import Batch
from operators import partition
from operators.partition import PartitionStep
from operators.redis_link import connect_redis
from operators.servers import RedisServer, redis_server
from operators.store import Fenced, PartitionStore
from tests.operators.stepping import (
    LATE_S,
    WAIT_S,
    Cutter,
    Fault,
    FaultyStore,
    World,
    assert_as_undisturbed,
    at_leisure,
    client,
    drive_on,
    entries,
    half,
    messages,
    step_on,
    step_over,
    undisturbed,
    until,
    wait_out,
    without_outbox,
)
from tests.tally import TOPIC, Entry, Log, drive, steps, stored

pytestmark = [pytest.mark.servers, pytest.mark.usefixtures("quiet", "large")]


# Unsure answers


turns = st.lists(
    st.tuples(
        st.integers(1, 8),  # records in the batch
        st.sampled_from([0, 0, 0, 0, 1, 2, 5, 100]),  # turns that Redis falls back before it
        st.sampled_from([False, False, False, True]),  # the process dies between commit and relay
        st.booleans(),  # the relay gets to trim
        st.booleans(),  # another partition's turn comes before the next
    ),
    max_size=25,
)
faults = st.lists(st.sampled_from(["none", "none", "none", "before sending", "before EXEC", "after EXEC"]), max_size=25)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(entries, turns, faults)
def test_no_order_of_faults_changes_the_end_or_loses_a_message(
    redis: RedisServer, made: list[Entry], plan: list[tuple[int, int, bool, bool, bool]], planned: list[Fault]
) -> None:
    log = Log(made)
    world = World(redis, log, planned)
    for size, back, dies, trimmed, shared in plan:
        if back:
            world.fall_back(back)
        world.turn(size, dies, trimmed, shared)
    while world.turn(5, lost_before_relay=False, trimmed=True) or world.past[-1] != world.keys():
        pass
    expected = undisturbed(log)
    assert without_outbox(stored(world.store)) == without_outbox(expected)
    assert world.delivered == {message.value for message in expected.sent}


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(entries, entries, st.lists(st.tuples(st.integers(0, 1), st.integers(1, 9)), max_size=30), faults)
def test_partitions_that_take_turns_end_as_each_alone(
    redis: RedisServer, one: list[Entry], other: list[Entry], plan: list[tuple[int, int]], planned: list[Fault]
) -> None:
    logs = [Log(one), Log(other)]
    step = step_over(FaultyStore(client(redis), f"t{uuid4().hex[:8]}", planned))
    step.stop.wait = lambda timeout=None: False  # type: ignore[method-assign, assignment]
    after, delivered = [step.claim(TOPIC, n) for n in (0, 1)], set[tuple[int, bytes]]()

    def turn(n: int, size: int) -> bool:
        batch = replace(logs[n].read(after[n], size), partition=n)
        for sent in step(batch):
            delivered.update((sent.partition, message.value) for message in sent.messages)
        back = step.rewind(TOPIC, n)
        after[n] = batch.last if back is None else back
        return back is not None or bool(batch.offsets) or step.awaits(TOPIC, n)

    for n, size in plan:
        turn(n, size)
    while any([turn(0, 5), turn(1, 5)]) or step.unsure:
        pass
    for n in (0, 1):
        expected = undisturbed(logs[n])
        assert without_outbox(stored(step.store, n)) == without_outbox(expected)
        assert {value for of, value in delivered if of == n} == {message.value for message in expected.sent}


@at_leisure
@pytest.mark.parametrize("fault", ["before sending", "before EXEC", "after EXEC"])
def test_a_commit_that_failed_is_made_up_for_before_the_next_one_without_a_rewind(
    redis: RedisServer, log: Log, fault: Fault
) -> None:
    step = step_over(FaultyStore(client(redis), f"p{uuid4().hex[:8]}", ["none", fault]))
    after, sent = step.claim(TOPIC, 0), []
    for start in range(0, 60, 20):
        sent += step(log.read(after, 20))
        assert step.rewind(TOPIC, 0) is None
        after = log.offsets[start + 19]
    sent += step(Batch(TOPIC, 0, after))
    assert_as_undisturbed(step, log, sent)


@pytest.mark.parametrize("nth", [1, 4])
@pytest.mark.parametrize("when", ["before", "after", "late"])
def test_a_commit_whose_answer_is_lost_is_neither_lost_nor_applied_twice(
    redis: RedisServer, log: Log, when: str, nth: int
) -> None:
    cutter = Cutter(redis.port, when, nth)
    step = step_on(redis, port=cutter.server.getsockname()[1])
    sent = drive(step, log)
    assert cutter.cut.is_set()
    assert_as_undisturbed(step, log, sent)
    cutter.close()


@pytest.mark.parametrize("when", ["before", "after", "late"])
def test_a_claim_whose_answer_is_lost_is_repeated_and_fences_nobody_but_the_former_owner(
    redis: RedisServer, log: Log, when: str
) -> None:
    former = step_on(redis)
    drive(former, Log(steps(30)))
    cutter = Cutter(redis.port, when, nth=1, command=b"SET\r\n")
    step = step_over(PartitionStore(client(redis, cutter.server.getsockname()[1]), former.store.prefix, "tally"))
    assert step.claim(TOPIC, 0) == log.offsets[29]
    assert cutter.cut.is_set()
    time.sleep(2 * LATE_S)
    drive_on(step, log, log.offsets[29])
    assert without_outbox(stored(step.store)) == without_outbox(undisturbed(log))
    with pytest.raises(Fenced):
        former(Batch(TOPIC, 0, log.offsets[29]))
    cutter.close()


# Rewinds, and others who take over


def test_a_gap_in_front_of_a_batch_rewinds_the_source(redis: RedisServer, log: Log) -> None:
    step = step_on(redis)
    step.claim(TOPIC, 0)
    step(log.read(-1, 10))
    step(Batch(TOPIC, 0, log.offsets[9]))
    before = stored(step.store)
    assert step(log.read(log.offsets[19], 10)) == []
    assert stored(step.store) == before
    assert step.rewind(TOPIC, 0) == log.offsets[9]
    assert step.rewind(TOPIC, 0) is None


@at_leisure
def test_a_commit_that_was_sent_before_a_successor_came_is_taken_up_and_the_next_is_not_written(
    redis: RedisServer, log: Log
) -> None:
    step = step_on(redis)
    step(log.read(step.claim(TOPIC, 0), 20))
    until(lambda: step.store.position(0).offset == log.offsets[19])
    step_over(PartitionStore(step.store.redis, step.store.prefix, "tally")).claim(TOPIC, 0)
    sent = step(log.read(log.offsets[19], 20))
    with pytest.raises(Fenced):
        step(Batch(TOPIC, 0, log.offsets[39]))
    assert messages(sent) == stored(step.store).sent
    assert step.store.position(0).offset == log.offsets[19]


def test_a_quiet_partition_notices_a_redis_that_fell_back(redis: RedisServer, log: Log) -> None:
    world = World(redis, log, [])
    while world.turn(7, lost_before_relay=False, trimmed=True):
        pass
    world.fall_back(3)
    assert world.turn(7, lost_before_relay=False, trimmed=True), "a heartbeat finds the fence moved"
    assert world.after < log.offsets[-1]


def test_a_quiet_partition_notices_a_successor(redis: RedisServer, log: Log) -> None:
    step = step_on(redis)
    drive(step, log)
    step_over(step.store.__class__(step.store.redis, step.store.prefix, "tally")).claim(TOPIC, 0)
    with pytest.raises(Fenced):
        step(log.read(log.offsets[-1], 7))


def test_a_redis_restored_from_before_the_process_began_ends_it_and_its_successor_replays(
    redis: RedisServer, log: Log
) -> None:
    world = World(redis, log, [])
    for _ in range(3):
        world.turn(7, lost_before_relay=False, trimmed=False)
    world.start()
    world.fall_back(2)
    with pytest.raises(Fenced):
        world.step(log.read(world.after, 7))
    sent = drive(step_over(world.store), log)
    assert_as_undisturbed(world.step, log, sent)


# A Redis that is away, lost its tail, or is full


def test_a_step_waits_while_redis_is_away_and_says_so(own_redis: RedisServer, log: Log) -> None:
    complaint = wait_out(step_on(own_redis), log, own_redis.kill, own_redis.start)
    assert complaint.startswith("redis: ConnectionError: ")


# What Redis says when it cannot write now, but may soon.
REFUSALS = {"OOM": ("maxmemory", 1, 0), "NOREPLICAS": ("min-replicas-to-write", 1, 0)}


@pytest.mark.parametrize("code", REFUSALS)
def test_a_step_waits_while_redis_refuses_to_write_and_buries_nothing(
    own_redis: RedisServer, log: Log, code: str
) -> None:
    setting, refuse, allow = REFUSALS[code]
    step, admin = step_on(own_redis), client(own_redis)
    complaint = wait_out(step, log, lambda: admin.config_set(setting, refuse), lambda: admin.config_set(setting, allow))
    assert complaint.startswith("redis: ")
    assert "MSET" not in complaint, "a complaint quotes no records"


def test_a_commit_that_fills_redis_midway_is_written_whole_once_there_is_room(own_redis: RedisServer) -> None:
    small = steps(20)
    log = Log([*small[:11], Entry("a", "x" * 3_000_000), *small[11:]])
    step, admin = step_on(own_redis), client(own_redis)
    complaint = wait_out(
        step,
        log,
        lambda: admin.config_set("maxmemory", int(admin.info("memory")["used_memory"]) + 1_500_000),
        lambda: admin.config_set("maxmemory", 0),
    )
    assert "maxmemory" in complaint


@pytest.mark.parametrize("left", [0.95, 0.6, 0.3])
def test_a_redis_that_lost_the_tail_of_its_log_is_replayed(
    own_redis: RedisServer, workdir: Path, log: Log, left: float
) -> None:
    step = step_on(own_redis)
    sent = drive(step, Log(steps(45)))
    own_redis.kill()
    tail = redis_log(workdir)
    with tail.open("r+b") as file:
        file.truncate(int(tail.stat().st_size * left))
    own_redis.start()
    fallen = PartitionStore(client(own_redis), step.store.prefix, "tally").position(0)
    assert fallen.offset < step.positions[0].offset
    sent += drive_on(step, log, log.offsets[44])
    assert_as_undisturbed(step, log, sent)


def test_an_emptied_redis_is_filled_again_by_a_full_replay(workdir: Path, log: Log) -> None:
    with redis_server(workdir, appendonly=None) as forgetful:
        step = step_on(forgetful)
        after, sent = half(step, log)
        forgetful.restart()
        sent += drive_on(step, log, after)
        assert_as_undisturbed(step, log, sent)


def test_a_step_told_to_stop_while_redis_is_away_ends(own_redis: RedisServer, log: Log) -> None:
    step = step_on(own_redis)
    step.claim(TOPIC, 0)
    own_redis.kill()
    step.stop.set()
    with pytest.raises(redis_py.ConnectionError):
        step(log.whole())


def claim_in_vain(step: PartitionStep, then: Callable[[], object]) -> int:
    """Claims while Redis is away, and does what is to be done then once the step complains."""
    with ThreadPoolExecutor() as pool:
        claimed = pool.submit(step.claim, TOPIC, 0)
        try:
            until(lambda: step.pulse.complaints() or claimed.done())
        finally:
            then()
        return claimed.result(WAIT_S)


def test_a_partition_that_is_opened_while_redis_is_away_waits_for_it(own_redis: RedisServer, log: Log) -> None:
    former = step_on(own_redis)
    never_relayed = drive(former, Log(steps(30)))
    step, complaints = step_over(PartitionStore(client(own_redis), former.store.prefix, "tally")), list[str]()

    def mend() -> None:
        complaints.extend(step.pulse.complaints())
        own_redis.start()

    own_redis.kill()
    assert claim_in_vain(step, mend) == log.offsets[29]
    assert complaints[0].startswith("redis: ConnectionError: ")
    assert step.pulse.complaints() == []
    sent = drive_on(step, log, log.offsets[29])
    assert_as_undisturbed(step, log, sent)
    assert messages(sent)[: len(messages(never_relayed))] == messages(never_relayed)


def test_a_partition_that_is_opened_while_redis_refuses_to_write_waits_for_it(own_redis: RedisServer) -> None:
    step, admin = step_on(own_redis), client(own_redis)
    admin.config_set("maxmemory", 1)
    assert claim_in_vain(step, lambda: admin.config_set("maxmemory", 0)) == -1


def test_a_step_told_to_stop_while_it_waits_to_open_a_partition_ends_at_once(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition, "FIRST_WAIT_S", 2 * WAIT_S)
    step = step_on(own_redis)
    own_redis.kill()
    with pytest.raises(redis_py.ConnectionError):
        claim_in_vain(step, step.stop.set)


def test_a_step_in_front_of_a_lost_redis_says_which_when_it_is_opened(workdir: Path) -> None:
    with redis_server(workdir) as server:
        url = server.url
    with pytest.raises(Exception, match=rf"Redis at {url} does not answer .*BREWLINE_REDIS__URL"):
        connect_redis(url, timeout_s=0.1)
