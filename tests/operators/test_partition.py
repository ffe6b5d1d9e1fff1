"""The partition step: whatever happens to Redis, the process or an event, the end is that of an undisturbed run."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import pytest
import redis as redis_py
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from redis.backoff import NoBackoff
from redis.retry import Retry

from features.job import Batch, Changes, Job, Message, Plan, State
from features.loop import Store, batches, run
from operators import partition
from operators.health import Pulse, configure_logs
from operators.partition import BrokenTimer, PartitionStep
from operators.redis_link import connect_redis
from operators.servers import RedisServer, redis_server
from operators.store import Fenced, PartitionStore, Sent
from tests.tally import TOPIC, Entry, Log, Tally, drive, steps, stored

pytestmark = pytest.mark.servers
WAIT_S = 30.0
Fault = Literal["none", "before sending", "before EXEC", "after EXEC"]


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    configure_logs("critical", "json")
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True, params=[1, partition.LARGE], ids=["Redis at leisure", "Redis waited for"])
def large(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every claim holds for commits that are taken up by the next batch, and for those that are waited for."""
    monkeypatch.setattr(partition, "LARGE", request.param)


@pytest.fixture
def own_redis(workdir: Path) -> Iterator[RedisServer]:
    with redis_server(workdir, appendonly="always") as server:
        yield server


def client(server: RedisServer, port: int = 0) -> redis_py.Redis:
    """Fails fast, as the flows' own client does."""
    return redis_py.Redis("127.0.0.1", port or server.port, socket_timeout=5, retry=Retry(NoBackoff(), 0))


def step_over(store: PartitionStore, job: Job | None = None, pulse: Pulse | None = None) -> PartitionStep:
    return PartitionStep(job or Tally(), store, "dead-letters", pulse or Pulse(stall_s=60), threading.Event())


def step_on(server: RedisServer, port: int = 0, job: Job | None = None, pulse: Pulse | None = None) -> PartitionStep:
    """A step of a process of its own, under keys that no other test uses."""
    return step_over(PartitionStore(client(server, port), f"p{uuid4().hex[:8]}", "tally"), job, pulse)


def undisturbed(log: Log) -> Store:
    """What a plain loop makes of the log in one piece."""
    return run(Tally(), [log.whole()])[0]


def messages(sent: list[Sent]) -> list[Message]:
    return [message for one in sent for message in one.messages]


def without_outbox(store: Store) -> Store:
    return Store(store.position, store.records, store.seen, store.timers)


def assert_as_undisturbed(step: PartitionStep, log: Log, sent: list[Sent]) -> None:
    """Redis ends as the plain loop, each of its messages was handed on, and no other."""
    expected = undisturbed(log)
    assert without_outbox(stored(step.store)) == without_outbox(expected)
    assert {m.value for m in messages(sent)} == {m.value for m in expected.sent}


@pytest.fixture
def log() -> Log:
    return Log(steps(60))


# An undisturbed run


entries = st.lists(
    st.one_of(
        st.builds(
            Entry,
            name=st.sampled_from("abc"),
            id=st.integers(0, 25).map(str),
            wait_ms=st.sampled_from([None, None, 50, 300]),
            forget=st.sampled_from([False, False, False, True]),
        ),
        st.builds(Entry, tick_ms=st.integers(1, 2_000)),
    ),
    min_size=1,
    max_size=30,
)


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


def test_a_gap_in_front_of_a_batch_rewinds_the_source(redis: RedisServer, log: Log) -> None:
    step = step_on(redis)
    step.claim(TOPIC, 0)
    step(log.read(-1, 10))
    before = stored(step.store)
    assert step(log.read(log.offsets[19], 10)) == []
    assert stored(step.store) == before
    assert step.rewind(TOPIC, 0) == log.offsets[9]
    assert step.rewind(TOPIC, 0) is None


# Faults at will


class FaultyStore(PartitionStore):
    """Loses the connection at commits, before or after Redis has done its part, as `faults` say."""

    def __init__(self, redis: redis_py.Redis, prefix: str, faults: list[Fault]) -> None:
        super().__init__(redis, prefix, "tally")
        self.faults = faults
        self.fault: Fault = "none"

    def send(self, partition: int, changes: Changes) -> None:
        self.fault = self.faults.pop(0) if self.faults else "none"
        if self.fault == "before sending":
            raise redis_py.ConnectionError(self.fault)
        if self.fault == "before EXEC":
            self.lines[partition].hang_up()
        else:
            super().send(partition, changes)

    def settle(self, partition: int) -> list[Sent]:
        sent = super().settle(partition)
        if self.fault != "none":
            raise redis_py.ConnectionError(self.fault)
        return sent


class World:
    """A store that can fall back to an earlier moment, processes that die, and Kafka as a set of messages."""

    def __init__(self, server: RedisServer, log: Log, faults: list[Fault]) -> None:
        self.log = log
        self.store = FaultyStore(client(server), f"w{uuid4().hex[:8]}", faults)
        self.past: list[dict[bytes, bytes]] = []
        self.delivered: set[bytes] = set()
        self.start()

    def start(self) -> None:
        """A new process; what the old one had not yet handed to Kafka is only in the outbox."""
        self.step = step_over(self.store)
        self.step.stop.wait = lambda timeout=None: False  # type: ignore[method-assign, assignment]
        self.after = self.step.claim(TOPIC, 0)

    def turn(self, size: int, lost_before_relay: bool, trimmed: bool) -> bool:
        """One turn of source, step and relay; False when there was nothing to read."""
        self.past.append(self._keys())
        batch = self.log.read(self.after, size)
        try:
            sent = self.step(batch)
        except Fenced:
            self.start()
            return True
        if lost_before_relay:
            self.start()
            return True
        self.delivered |= {message.value for message in messages(sent)}
        if sent and trimmed:
            self.store.trim(0, sent[-1].id)
            self.store.trimmed()
        back = self.step.rewind(TOPIC, 0)
        self.after = batch.last if back is None else back
        return back is not None or bool(batch.offsets)

    def fall_back(self, moments: int) -> None:
        """Redis restarts with what it held so many turns ago."""
        then = self.past[max(0, len(self.past) - moments)] if self.past else {}
        for key in self._keys():
            self.store.redis.delete(key)
        for key, value in then.items():
            self.store.redis.restore(key, 0, value)  # type: ignore[arg-type]

    def _keys(self) -> dict[bytes, bytes]:
        keys: Any = self.store.redis.keys(f"{self.store.prefix}*")
        return {key: self.store.redis.dump(key) for key in keys}  # type: ignore[misc]


turns = st.lists(
    st.tuples(
        st.integers(1, 8),  # records in the batch
        st.sampled_from([0, 0, 0, 0, 1, 2, 5, 100]),  # turns that Redis falls back before it
        st.sampled_from([False, False, False, True]),  # the process dies between commit and relay
        st.booleans(),  # the relay gets to trim
    ),
    max_size=25,
)
faults = st.lists(st.sampled_from(["none", "none", "none", "before sending", "before EXEC", "after EXEC"]), max_size=25)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(entries, turns, faults)
def test_no_order_of_faults_changes_the_end_or_loses_a_message(
    redis: RedisServer, made: list[Entry], plan: list[tuple[int, int, bool, bool]], planned: list[Fault]
) -> None:
    log = Log(made)
    world = World(redis, log, planned)
    for size, back, dies, trimmed in plan:
        if back:
            world.fall_back(back)
        world.turn(size, dies, trimmed)
    while world.turn(5, lost_before_relay=False, trimmed=True) or world.past[-1] != world._keys():
        pass
    expected = undisturbed(log)
    assert without_outbox(stored(world.store)) == without_outbox(expected)
    assert world.delivered == {message.value for message in expected.sent}


# Redis at leisure


at_leisure = pytest.mark.parametrize("large", [1], ids=["Redis at leisure"], indirect=True)


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


@at_leisure
def test_partitions_do_not_wait_for_each_other(redis: RedisServer, log: Log) -> None:
    """One's commit may be under way while the other is loaded, applied and committed."""
    step, parts = step_on(redis), range(3)
    after = {part: step.claim(TOPIC, part) for part in parts}
    sent: dict[int, list[Sent]] = {part: [] for part in parts}
    for _ in range(7):
        for part in parts:
            batch = replace(log.read(after[part], 10), partition=part)
            sent[part] += step(batch)
            after[part] = batch.last
    for part in parts:
        assert stored(step.store, part).records == undisturbed(log).records
        assert messages(sent[part]) == undisturbed(log).sent


# A connection that breaks around EXEC


class Cutter:
    """A TCP proxy before Redis that breaks the connection at the n-th EXEC, once.

    `when` is "before" (Redis never sees the EXEC), "after" (Redis has done it, the answer is lost) or
    "late" (the client is cut off first, and Redis sees the EXEC a moment later).
    """

    def __init__(self, port: int, when: str, nth: int) -> None:
        self.port, self.when, self.left = port, when, nth
        self.server = socket.create_server(("127.0.0.1", 0))
        self.cut = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self.server.accept()
            except OSError:  # closed: the test is over
                return
            there, muted = socket.create_connection(("127.0.0.1", self.port)), threading.Event()
            threading.Thread(target=self._requests, args=(here, there, muted), daemon=True).start()
            threading.Thread(target=_answers, args=(there, here, muted), daemon=True).start()

    def _requests(self, here: socket.socket, there: socket.socket, muted: threading.Event) -> None:
        while data := _receive(here):
            self.left -= b"EXEC\r\n" in data
            if self.left == 0 and not self.cut.is_set():
                muted.set()
                self.cut.set()
                if self.when != "after":
                    _hang_up(here)
                if self.when == "late":
                    time.sleep(0.3)
                if self.when == "before":
                    break
            there.sendall(data)
        _hang_up(there)


def _answers(there: socket.socket, here: socket.socket, muted: threading.Event) -> None:
    while (data := _receive(there)) and not muted.is_set():
        here.sendall(data)
    _hang_up(here)


def _receive(sock: socket.socket) -> bytes:
    try:
        return sock.recv(1 << 20)
    except OSError:
        return b""


def _hang_up(sock: socket.socket) -> None:
    with suppress(OSError):  # it may have been ended before
        sock.shutdown(socket.SHUT_RDWR)


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
    _hang_up(cutter.server)


# A Redis that is away, falls back, or is full


def until(what: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def drive_on(step: PartitionStep, log: Log, after: int) -> list[Sent]:
    """What `drive` does, from `after` on."""
    sent: list[Sent] = []
    while True:
        batch = log.read(after, 7)
        sent += step(batch)
        back = step.rewind(TOPIC, 0)
        if back is None and not batch.offsets:
            return sent
        after = batch.last if back is None else back


def half(step: PartitionStep, log: Log) -> tuple[int, list[Sent]]:
    """The first half of the log; how far that is, and what was handed on."""
    end = log.offsets[len(log.offsets) // 2]
    step.claim(TOPIC, 0)
    return end, step(log.whole().cut(0, len(log.offsets) // 2 + 1))


def wait_out(step: PartitionStep, log: Log, break_it: Callable[[], object], mend_it: Callable[[], object]) -> str:
    """Breaks Redis at half of the log, mends it once the step complains; the complaint."""
    after, sent = half(step, log)
    break_it()
    with ThreadPoolExecutor() as pool:
        rest = pool.submit(drive_on, step, log, after)
        try:
            until(lambda: step.pulse.complaints() or rest.done())
            complaints = step.pulse.complaints()
        finally:
            mend_it()
        sent += rest.result(WAIT_S)
    assert step.pulse.complaints() == []
    assert_as_undisturbed(step, log, sent)
    return complaints[0]


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
    (tail,) = (workdir / "appendonlydir").glob("*.incr.aof")
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
    world.store = FaultyStore(world.store.redis, world.store.prefix, [])
    world.start()
    world.fall_back(2)
    with pytest.raises(Fenced):
        world.step(log.read(world.after, 7))
    sent = drive(step_over(world.store), log)
    assert_as_undisturbed(world.step, log, sent)


def test_a_step_told_to_stop_while_redis_is_away_ends(own_redis: RedisServer, log: Log) -> None:
    step = step_on(own_redis)
    step.claim(TOPIC, 0)
    own_redis.kill()
    step.stop.set()
    with pytest.raises(redis_py.ConnectionError):
        step(log.whole())


# Bad events


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


def letters(step: PartitionStep) -> list[Message]:
    """The dead letters in the outbox."""
    return [message for message in stored(step.store).sent if message.topic == "dead-letters"]


@pytest.mark.parametrize("size", [1, 7, 300])
def test_a_program_that_always_raises_ends_and_buries_nothing(redis: RedisServer, size: int) -> None:
    step = step_on(redis)
    with pytest.raises(ValueError, match="broken entry"):
        drive(step, Log(broken(300)), size)
    assert stored(step.store) == Store()


def broken(count: int) -> list[Entry]:
    return [Entry("a", f"{i}", broken=True) for i in range(count)]


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


# Messages that wait


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


def test_a_step_in_front_of_a_lost_redis_says_which_when_it_is_opened(workdir: Path) -> None:
    with redis_server(workdir) as server:
        url = server.url
    with pytest.raises(Exception, match=rf"Redis at {url} does not answer .*BREWLINE_REDIS__URL"):
        connect_redis(url, timeout_s=0.1)
