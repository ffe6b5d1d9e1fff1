"""The benchmark of actors counts them, and what is told to their devices, and forgets none."""

from __future__ import annotations

from benchmarks.actors import measured


def test_each_actor_and_each_device_is_heard_of_once() -> None:
    figures = measured(60)
    assert (figures["actors"], figures["events"]) == (60, 120)
    assert figures["groups_evicted"] == figures["actor_records_evicted"] == 0
    assert figures["redis_mb"] > 0
