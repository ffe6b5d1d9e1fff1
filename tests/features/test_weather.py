"""Ingest tells events the weather of their place and time, and keeps of it what it may need."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from features import events as e
from features.identity import Table
from features.job import Batch, Message
from features.times import HOUR_MS, MINUTE_MS
from features.weather import FRESH_MS, SLOT_MS, SLOTS, Readings, slot_key
from tests.features.test_clean import CLEANER, NOW_MS

WHO = {"app_id": "a1"}


def written(type: str, minute: float = 0, **fields: Any) -> bytes:
    at_ms = NOW_MS + round(minute * MINUTE_MS)
    return json.dumps({"type": type, "id": f"{type}{minute}", "time": at_ms, **fields}).encode()


def cleaned(*values: bytes, readings: Readings | None = None) -> list[Message]:
    batch = Batch("app.events", 0, -1, [*range(len(values))], list(values), [NOW_MS] * len(values))
    cleaner = replace(CLEANER, readings=Readings() if readings is None else readings)
    return cleaner.finish(cleaner.check(batch), Table())[0]


def told(*values: bytes) -> tuple[int, float, float]:
    """When the weather that the last event was told had been measured, in minutes from now; and that."""
    events = [e.decode_event(m.value) for m in cleaned(*values) if m.topic == "events"]
    last = events[-1]
    assert isinstance(last, e.Placed)
    return (last.weather_ms - NOW_MS) // MINUTE_MS if last.weather_ms else 0, last.temp_c, last.rain_mm


HOT = written("weather", -20, place="east", temp_c=34.5)
WET = written("weather", -10, place="ny-1", temp_c=18, rain_mm=2.5)
OPEN = written("app_open", who=WHO, store="ny-1")


@pytest.mark.parametrize("kind", ["app_open", "view", "cart_add", "order"])
def test_an_event_is_told_the_weather_of_its_region(kind: str) -> None:
    more = {"cart_add": {"sku": "t"}, "order": {"lines": [{"sku": "t"}], "total_cents": 1}}.get(kind, {})
    assert told(HOT, written(kind, who=WHO, store="ny-1", **more)) == (-20, 34.5, 0)


def test_what_is_measured_at_the_store_itself_counts_more() -> None:
    assert told(HOT, WET, OPEN) == told(WET, HOT, OPEN) == (-10, 18, 2.5)


@pytest.mark.parametrize(("minute", "known"), [(-180, True), (-180.01, False), (0.01, False), (0, True)])
def test_it_is_as_of_the_event_and_not_older_than_three_hours(minute: float, known: bool) -> None:
    assert (told(written("weather", minute, place="east", temp_c=30), OPEN)[1] == 30) == known


def test_of_several_readings_the_latest_by_then_counts() -> None:
    feed = [written("weather", m, place="east", temp_c=30 + m / 10) for m in (-90, -60, -30, 30)]
    assert told(*feed, OPEN) == (-30, 27, 0)
    assert told(*feed, written("app_open", -31, who=WHO, store="ny-1")) == (-60, 24, 0)


def test_what_comes_behind_the_event_or_from_elsewhere_is_not_told() -> None:
    elsewhere = written("weather", place="west", temp_c=30)
    assert [json.loads(m.value).get("weather_ms") for m in cleaned(elsewhere, OPEN, HOT) if m.key[0] == "c"] == [None]


def test_a_sender_cannot_tell_the_weather_by_an_order() -> None:
    assert told(written("app_open", who=WHO, store="ny-1", temp_c=40.0, rain_mm=9.0, weather_ms=NOW_MS)) == (0, 0, 0)


def test_a_reading_goes_to_the_other_processes_and_to_the_clean_topic() -> None:
    assert [(m.topic, m.key) for m in cleaned(HOT)] == [
        ("events", "east"),
        ("weather", f"east/{(NOW_MS - 20 * MINUTE_MS) // SLOT_MS % SLOTS}"),
    ]


@pytest.mark.parametrize(
    "wrong", [{"temp_c": 100}, {"temp_c": "hot"}, {}, {"temp_c": 3, "rain_mm": -1}, {"temp_c": 3, "place": ""}]
)
def test_a_reading_that_is_none_is_a_dead_letter(wrong: dict[str, Any]) -> None:
    assert [m.topic for m in cleaned(written("weather", **{"place": "east", **wrong}))] == ["dead-letters"]


minutes = st.integers(-36 * 60, 36 * 60)
feeds = st.lists(st.tuples(st.sampled_from(["east", "ny-1"]), minutes), max_size=30)


def reading(place: str, minute: int, number: int = 0) -> e.Weather:
    return e.Weather(id=str(number), place=place, temp_c=float(number), at_ms=NOW_MS + minute * MINUTE_MS)


@given(feeds, feeds, minutes)
def test_a_process_that_begins_anew_knows_from_the_topic_what_the_former_one_knew(
    feed: list[tuple[str, int]], rest: list[tuple[str, int]], minute: int
) -> None:
    lived, topic = Readings(), dict[str, e.Weather]()
    for number, one in enumerate(feed):
        event = reading(*one, number)
        lived.note(event)
        if lived.holds(event):
            topic[slot_key(event)] = event  # as Kafka compacts it
    begun = Readings()
    for event in reversed(topic.values()):
        begun.note(event)
    assert begun.places == lived.places


@given(st.lists(minutes, unique_by=lambda m: m * MINUTE_MS // SLOT_MS, max_size=30), minutes)
def test_the_latest_reading_by_then_is_found_as_by_looking_at_all(feed: list[int], minute: int) -> None:
    readings, newest = Readings(), max(feed, default=0)
    for number, one in enumerate(feed):
        readings.note(reading("east", one, number))
    if minute < newest - 24 * 60:
        return  # late by more than a day
    fresh = [m for m in feed if 0 <= minute - m <= FRESH_MS // MINUTE_MS]
    found = readings.at("east", NOW_MS + minute * MINUTE_MS)
    assert (found and found.at_ms) == (NOW_MS + max(fresh) * MINUTE_MS if fresh else None)


def test_a_place_keeps_no_more_than_a_day_and_three_hours() -> None:
    readings = Readings()
    for minute in range(0, 30 * 24 * 60, 5):
        readings.note(reading("east", minute))
    assert len(readings.places["east"]) == SLOTS == 27 * HOUR_MS // SLOT_MS
