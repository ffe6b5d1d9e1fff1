"""Processes of one state in turn: each knows what the others write, and ends before it misreads."""

from __future__ import annotations

from uuid import uuid4

import pytest

from features.job import Batch, Plan, Position
from features.kernel.arrays import VERSION
from features.layout import Layout
from operators.layout import WRITTEN_BY, WrongLayout, follow_layout, known_layouts
from operators.servers import RedisServer
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
    prefix, layout = uuid4().hex, Layout(["a"], [], {})
    follow_layout(client(redis), prefix, layout, 1)
    client(redis).hset(f"{prefix}:layout", WRITTEN_BY, VERSION + 1)
    for ask in (lambda: known_layouts(client(redis), prefix), lambda: follow_layout(client(redis), prefix, layout, 2)):
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
