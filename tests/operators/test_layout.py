"""Processes of one state in turn: each knows what the others write, and ends before it misreads."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from features.job import Batch, Clock, Plan, Position
from features.kernel.arrays import VERSION
from features.layout import Layout
from operators import layout
from operators.layout import (
    RECORDS,
    WRITTEN_BY,
    WrongLayout,
    check_layout,
    follow_layout,
    gather_records,
    known_layouts,
)
from operators.servers import RedisServer
from operators.store import Fenced, PartitionStore
from tests.operators.stepping import client, step_on
from tests.tally import Log, Tally, drive, steps, stored

pytestmark = [pytest.mark.servers, pytest.mark.usefixtures("quiet", "large")]


def test_a_layout_that_another_process_has_begun_with_is_known_from_then_on(redis: RedisServer) -> None:
    prefix, first, second = uuid4().hex, Layout(["a"], [], {}), Layout(["a", "b"], [], {})
    follow_layout(client(redis), prefix, first, 1)
    assert [one.id for one in known_layouts(client(redis), prefix)] == [first.id]
    follow_layout(client(redis), prefix, second, 2)
    assert {one.id for one in known_layouts(client(redis), prefix)} == {first.id, second.id}


def test_who_cannot_read_what_a_later_version_writes_is_refused_by_name(redis: RedisServer) -> None:
    prefix, mine = uuid4().hex, Layout(["a"], [], {})
    follow_layout(client(redis), prefix, mine, 1)
    client(redis).hset(f"{prefix}:layout", WRITTEN_BY, VERSION + 1)
    for ask in (lambda: known_layouts(client(redis), prefix), lambda: follow_layout(client(redis), prefix, mine, 2)):
        with pytest.raises(WrongLayout, match=f"written in version {VERSION + 1}"):
            ask()


class Outdated(Tally):
    def plan(self, batch: Batch, position: Position) -> Plan:
        raise WrongLayout("a later version")


def test_a_process_that_reads_words_of_a_later_version_ends_and_passes_none_over(redis: RedisServer) -> None:
    step = step_on(redis, job=Outdated())
    with pytest.raises(WrongLayout):
        drive(step, Log(steps(20)), 5)
    assert stored(step.store).position.offset == -1


def former(prefix: str, flow: str, partition: int, name: str) -> str:
    """The key under which earlier versions kept a record."""
    return f"{prefix}:{{{flow}.{partition}}}:r:{name}"


def test_records_that_an_earlier_version_kept_are_moved_once_and_its_flows_end(redis: RedisServer) -> None:
    prefix, link = f"[{uuid4().hex[:8]}]*", client(redis)
    names = [f"c{n}" for n in range(2_500)] + ["t|1}:r:2", "of|ü"]
    for name in names:
        link.set(former(prefix, "customers", 1, name), name)
    link.set(former(prefix, "kpis", 0, "five|chain"), b"\0\xff")
    link.set(f"else{former(prefix, 'customers', 1, 'c1')}", b"of others")
    link.hset(f"{prefix}:layout", "partitions of events", 4)
    running = PartitionStore(link, prefix, "customers")
    assert running.claim(1) == Position()
    assert gather_records(link, prefix) == len(names) + 1
    store = PartitionStore(link, prefix, "customers")
    assert store.records(1, names) == [name.encode() for name in names]
    assert PartitionStore(link, prefix, "kpis").record(0, "five|chain") == b"\0\xff"
    assert [key for key in link.scan_iter("*:r:*") if prefix.encode() in key] == [
        f"else{former(prefix, 'customers', 1, 'c1')}".encode()
    ]
    with pytest.raises(Fenced):
        running.load(1, Plan(Position(), Clock()), lambda due: [])
    assert link.exists(f"{prefix}:restoring"), "or flows of earlier versions would start again, and know nobody"
    link.set(former(prefix, "customers", 1, "c1"), b"not looked for again")
    assert gather_records(link, prefix) == 0


def test_a_move_that_broke_off_goes_on_and_overwrites_nothing(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix, link = uuid4().hex, client(redis)
    link.hset(f"{prefix}:layout", "partitions of events", 4)
    for n in range(3_000):
        link.set(former(prefix, "customers", n % 2, f"c{n}"), str(n))
    moves = iter([layout._move])

    def breaks_off(*asked: Any) -> int:
        return next(moves)(*asked)

    with monkeypatch.context() as broken:
        broken.setattr(layout, "_move", breaks_off)
        with pytest.raises(StopIteration):
            gather_records(link, prefix)
    store = PartitionStore(link, prefix, "customers")
    before = sum(len(link.hgetall(store.key(part, RECORDS))) for part in (0, 1))  # type: ignore[arg-type]
    assert 0 < before < 3_000
    assert gather_records(link, prefix) == 3_000 - before
    assert [store.record(n % 2, f"c{n}") for n in range(3_000)] == [str(n).encode() for n in range(3_000)]


def test_where_nothing_is_kept_yet_nobody_is_fenced(redis: RedisServer) -> None:
    prefix, link = uuid4().hex, client(redis)
    check_layout(link, prefix, {"partitions of events": 4})
    store = PartitionStore(link, prefix, "customers")
    store.claim(0)
    check_layout(link, prefix, {"partitions of events": 4, "measures": "abc"})
    assert store.load(0, Plan(Position(), Clock()), lambda due: []).records == {}
