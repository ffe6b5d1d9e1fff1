"""Ingest tells events how full their store was by then."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from features import events as e
from features.identity import Table
from features.job import Batch
from features.load import Loads
from features.messages import cloudevent
from features.outgoing import StoreLoad
from features.times import MINUTE_MS
from tests.features.test_clean import CLEANER, NOW_MS


def load(minute: float, share: float, store: str = "ny-1") -> StoreLoad:
    return StoreLoad(store, NOW_MS + round(minute * MINUTE_MS), 5, 10.0, share)


def told(*loads: StoreLoad, kind: str = "app_open", store: str = "ny-1", **fields: Any) -> tuple[float, float] | None:
    """Minutes from now until which was counted, and how full it was."""
    cleaner = replace(CLEANER, loads=Loads())
    for one in loads:
        cleaner.note_load(cloudevent("store.load", "k", "i", "store.load", "kpis", one.at_ms, one.store, one).value)
    event = {"type": kind, "id": "1", "time": NOW_MS, "who": {"app_id": "a"}, "store": store, **fields}
    batch = Batch("app.events", 0, -1, [0], [json.dumps(event).encode()], [NOW_MS])
    [message] = [m for m in cleaner.finish(cleaner.check(batch), Table())[0] if m.topic == "events"]
    clean = e.decode_event(message.value)
    assert isinstance(clean, e.Placed)
    return ((clean.load_ms - NOW_MS) / MINUTE_MS, clean.store_load) if clean.load_ms else None


@pytest.mark.parametrize("kind", ["app_open", "view", "cart_add", "order"])
def test_an_event_is_told_the_load_of_its_store(kind: str) -> None:
    more = {"cart_add": {"sku": "t"}, "order": {"lines": [{"sku": "t"}], "total_cents": 1}}.get(kind, {})
    assert told(load(-3, 0.4), load(-3, 2.0, "ny-2"), kind=kind, **more) == (-3, 0.4)


@pytest.mark.parametrize(("minute", "known"), [(0, True), (0.01, False), (-20, True), (-20.01, False)])
def test_it_ended_before_the_event_and_not_more_than_twenty_minutes_before(minute: float, known: bool) -> None:
    assert (told(load(minute, 0.4)) is not None) == known


def test_of_several_the_latest_by_then_counts_whatever_order_they_come_in() -> None:
    loads = [load(-18, 0.9), load(-3, 0.4), load(20, 0.1)]
    assert told(*loads) == told(*reversed(loads)) == (-3, 0.4)


def test_an_empty_store_is_known_to_be_empty() -> None:
    assert told(load(-3, 0.0)) == (-3, 0.0)


@pytest.mark.parametrize("store", ["", "ny-2", "nowhere"])
def test_of_no_store_or_another_nothing_is_known(store: str) -> None:
    assert told(load(-3, 0.4), store=store) is None


def test_a_sender_cannot_say_how_full_a_store_is() -> None:
    assert told(store_load=0.1, load_ms=NOW_MS) is None
