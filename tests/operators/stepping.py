"""Steps over real Redis, what can befall them, and the undisturbed run that they are held against."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal
from uuid import uuid4

import pytest
import redis as redis_py
from hypothesis import strategies as st
from redis.backoff import NoBackoff
from redis.retry import Retry

from features.job import Batch, Changes, Job, Message
from features.loop import Store, run
from operators.health import Pulse
from operators.partition import PartitionStep
from operators.servers import RedisServer
from operators.store import Fenced, PartitionStore, Sent
from tests.tally import TOPIC, Entry, Log, Tally, stored

WAIT_S = 30.0
LATE_S = 0.3
Fault = Literal["none", "before sending", "before EXEC", "after EXEC"]

at_leisure = pytest.mark.parametrize("large", [1], ids=["Redis at leisure"], indirect=True)

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
    return replace(store, sent=[], words={})


def assert_as_undisturbed(step: PartitionStep, log: Log, sent: list[Sent]) -> None:
    """Redis ends as the plain loop, each of its messages was handed on, and no other."""
    expected = undisturbed(log)
    assert without_outbox(stored(step.store)) == without_outbox(expected)
    assert {m.value for m in messages(sent)} == {m.value for m in expected.sent}


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


class FaultyStore(PartitionStore):
    """Loses the connection at commits, before or after Redis has done its part, as `faults` say."""

    def __init__(self, redis: redis_py.Redis, prefix: str, faults: list[Fault]) -> None:
        super().__init__(redis, prefix, "tally")
        self.faults = faults
        self.struck: dict[int, Fault] = {}  # by partition, at its latest commit

    def send(self, partition: int, changes: Changes) -> None:
        fault = self.struck[partition] = self.faults.pop(0) if self.faults else "none"
        if fault == "before sending":
            raise redis_py.ConnectionError(fault)
        if fault == "before EXEC":
            self.lines[partition].hang_up()
        else:
            super().send(partition, changes)

    def settle(self, partition: int) -> list[Sent]:
        sent = super().settle(partition)
        if (fault := self.struck.get(partition, "none")) != "none":
            raise redis_py.ConnectionError(fault)
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
        self.store.lines[0].hang_up()
        self.store = FaultyStore(self.store.redis, self.store.prefix, self.store.faults)
        self.step = step_over(self.store)
        self.step.stop.wait = lambda timeout=None: False  # type: ignore[method-assign, assignment]
        self.after = self.step.claim(TOPIC, 0)
        self.other = Batch(TOPIC, 1, self.step.claim(TOPIC, 1))

    def turn(self, size: int, lost_before_relay: bool, trimmed: bool, shared: bool = False) -> bool:
        """One turn of source, step and relay, with `shared` also of another partition, where nothing comes; False when
        there was nothing to read."""
        self.past.append(self.keys())
        batch = self.log.read(self.after, size)
        try:
            sent = self.step(batch)
            sent += self.step(self.other) if shared else []
        except Fenced:
            self.start()
            return True
        if lost_before_relay:
            self.start()
            return True
        self.delivered |= {message.value for message in messages(sent)}
        if sent and trimmed:
            self.store.trim({0: sent[-1].id})
            self.store.trimmed()
        back = self.step.rewind(TOPIC, 0)
        self.after = batch.last if back is None else back
        return back is not None or bool(batch.offsets)

    def fall_back(self, moments: int) -> None:
        """Redis restarts with what it held so many turns ago."""
        then = self.past[max(0, len(self.past) - moments)] if self.past else {}
        for key in self.keys():
            self.store.redis.delete(key)
        for key, value in then.items():
            self.store.redis.restore(key, 0, value)  # type: ignore[arg-type]

    def keys(self) -> dict[bytes, bytes]:
        keys: Any = self.store.redis.keys(f"{self.store.prefix}*")
        return {key: self.store.redis.dump(key) for key in keys}  # type: ignore[misc]


class Cutter:
    """A TCP proxy before Redis that breaks the connection at the n-th `command`, once.

    `when` is "before" (Redis never sees the command), "after" (Redis has done it, the answer is lost) or
    "late" (the client is cut off first, and Redis sees the command a moment later).
    """

    def __init__(self, port: int, when: str, nth: int, command: bytes = b"EXEC\r\n") -> None:
        self.port, self.when, self.left, self.command = port, when, nth, command
        self.server = socket.create_server(("127.0.0.1", 0))
        self.cut = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        _hang_up(self.server)

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
            self.left -= self.command in data
            if self.left == 0 and not self.cut.is_set():
                muted.set()
                self.cut.set()
                if self.when != "after":
                    _hang_up(here)
                if self.when == "late":
                    time.sleep(LATE_S)
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
