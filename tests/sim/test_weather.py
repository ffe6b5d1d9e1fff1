"""The chain's weather is measured every hour and moves its demand."""

from __future__ import annotations

from collections import defaultdict

import pytest

from features.events import Order, Weather
from features.times import HOUR_MS, parse_time
from sim import Chain
from sim.weather import WET_MM
from sim.wire import Deed


@pytest.fixture(scope="module")
def deeds() -> list[Deed]:
    """Of a chain of one region, whose weather and orders so belong together."""
    chain = Chain(5, stores=1, customers=1_500, days=21)
    chain.witness = []
    for _ in chain.records():
        pass
    return [deed for deed in chain.witness if deed.sent_ms < chain.end_ms]


def hours(deeds: list[Deed], wet: bool) -> set[int]:
    readings = [event for _, event in deeds if isinstance(event, Weather)]
    return {parse_time(one.time) // HOUR_MS for one in readings if (one.rain_mm >= WET_MM) == wet}


def test_it_is_measured_every_hour_wet_or_dry(deeds: list[Deed]) -> None:
    wet, dry = hours(deeds, True), hours(deeds, False)
    assert len(wet | dry) == 21 * 24
    assert 15 < len(wet) < 120


def test_whatever_people_do_the_weather_of_a_seed_stays_the_same() -> None:
    def weather(customers: int) -> dict[tuple[str, int], float]:
        chain = Chain(2, stores=2, customers=customers, days=2)
        chain.witness = []
        assert [*chain.records()]
        readings = [event for _, event in chain.witness if isinstance(event, Weather)]
        return {(one.place, parse_time(one.time)): one.temp_c for one in readings}

    assert weather(1) == weather(50)


def test_in_the_rain_fewer_come_and_more_have_it_brought(deeds: list[Deed]) -> None:
    orders = [event for _, event in deeds if isinstance(event, Order)]
    by_hour: dict[bool, list[Order]] = defaultdict(list)
    wet, dry = hours(deeds, True), hours(deeds, False)
    for order in orders:
        by_hour[parse_time(order.time) // HOUR_MS in wet].append(order)

    def walk_ins(rain: bool) -> float:
        open_hours = [hour for hour in (wet if rain else dry) if 10 <= (hour + 8) % 24 < 21]
        return sum(order.channel == "pos" and order.who is None for order in by_hour[rain]) / len(open_hours)

    def brought(rain: bool) -> float:
        in_app = [order.channel for order in by_hour[rain] if order.channel in ("app", "delivery")]
        return in_app.count("delivery") / len(in_app)

    assert walk_ins(True) < 0.75 * walk_ins(False)
    assert brought(True) > 0.6 > 0.45 > brought(False)
