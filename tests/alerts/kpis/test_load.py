"""How full a store is: by the minutes of the KPI flow, against the same hour of former weeks."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import msgpack

from alerts.kpis.closing import Ways
from alerts.kpis.hour import CLOSING_MS
from alerts.kpis.kpi import COUNTERS, ClockMark, Partial, encode_partial
from alerts.kpis.ledger import Topics
from alerts.kpis.load import (
    ENOUGH_WEEKS,
    EVERY,
    LEAST_USUAL,
    WINDOW,
    Seen,
    Usual,
    Watch,
    decode_watch,
    encode_watch,
    pause,
    step,
)
from alerts.kpis.merge import MergedMinutes
from features.job import Message
from features.load import SLOT_MS, decode_load, load_key
from features.loop import batches, run
from features.outgoing import StoreLoad
from features.times import HOUR_MS, MINUTE_MS

WEEK = 7 * 24 * 60
START = WEEK * 2_900
Orders = Callable[[int], int]


def seen(orders: Orders, minutes: int, gaps: dict[int, int] | None = None) -> dict[int, Seen]:
    """By minute, what is said; a gap leaps over so many minutes."""
    usual, found, minute = Usual(), {}, START
    while minute < START + minutes:
        if gaps and minute - START in gaps:
            minute += gaps[minute - START]
            pause(usual)
        if said := step(usual, minute, orders(minute)):
            found[minute] = said
        minute += 1
    return found


def twin(orders: Orders, minute: int) -> Seen | None:
    """The last fifteen minutes; and their hours, in all weeks in which these have ended, each the mean of the whole."""

    def rate(of: int) -> float | None:
        hour = of // 60 * 60
        ended = [h for h in range(hour, START - 1, -WEEK) if h + 60 <= minute]
        means = [sum(map(orders, range(h, h + 60))) / 60 for h in ended][::-1]
        known = means[0] if means else None
        for number, mean in enumerate(means[1:], 2):
            known = known + (mean - known) / min(number, ENOUGH_WEEKS)
        return known

    rates = [rate(each) for each in range(minute - WINDOW + 1, minute + 1)]
    if (minute + 1) % EVERY or minute - START < WINDOW - 1 or None in rates or sum(rates) < LEAST_USUAL:
        return None
    return Seen(sum(map(orders, range(minute - WINDOW + 1, minute + 1))), pytest.approx(sum(rates)))


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(0, WEEK - 1))
def test_it_is_as_by_looking_at_all_minutes_again(seed: int, weeks: int, more: int) -> None:
    def orders(minute: int) -> int:
        return (minute * 7919 + seed) % 5 // 3 if minute // 60 % 24 > 2 else 0

    last = START + weeks * WEEK + more
    found = seen(orders, last - START)
    assert min(found, default=last) >= START + WEEK
    for minute in range(last - 300, last):
        assert found.get(minute) == twin(orders, minute)


def test_nothing_is_said_of_an_hour_that_was_never_seen_or_is_always_quiet() -> None:
    assert seen(lambda _: 1, WEEK) == {}
    assert seen(lambda _: 1, WEEK + 2 * WINDOW)
    assert seen(lambda minute: minute % 60 == 0, 3 * WEEK) == {}, "an order an hour is too little to tell by"


def test_after_a_gap_the_window_fills_anew_and_its_hour_is_not_learned() -> None:
    found = seen(lambda _: 1, WEEK + 400, {WEEK + 100: 50, 90: 50})
    assert not [minute - START for minute in found if WEEK + 150 <= minute - START < WEEK + 150 + WINDOW - 1]
    hours = {(minute - START) // 60 for minute in found}
    assert 7 * 24 + 4 in hours
    assert 7 * 24 + 1 not in hours, "of the hour of the gap, a week before, not all was known"


def test_a_refund_of_more_than_was_sold_is_no_less_than_nothing() -> None:
    found = seen(lambda minute: -1 if minute >= START + WEEK else 1, WEEK + 30)
    assert {one.orders for minute, one in found.items() if minute > START + WEEK + WINDOW} == {0}


class Kpis:
    """The merging job over one source, with so many orders a minute; what is said of loads."""

    def __init__(self, dim: str) -> None:
        self.job = MergedMinutes(Topics("m", "c", "d", "store.load"), 2, Ways(COUNTERS, ["p0"], 1))
        self.dim, self.values = dim, list[bytes]()
        self.stores = run(self.job, [])

    def pass_hours(self, first: int, hours: int, orders: int, beats: int = 0) -> list[Message]:
        for hour in range(first, first + hours):
            values = []
            for minute in range(START + 60 * hour, START + 60 * hour + 60):
                row = [orders, *[0] * (len(COUNTERS) - 2), beats]
                values.append(encode_partial(Partial(0, self.dim, minute * MINUTE_MS, row, minute)))
                values.append(encode_partial(ClockMark(0, 1, (minute + 1) * MINUTE_MS)))
            self.values += values
            first_offset = len(self.values) - len(values)
            run(self.job, batches("kpi.partials", 0, values, first=first_offset), self.stores)
        return [message for message in self.stores[0].sent if message.topic == "store.load"]

    def close(self) -> list[Message]:
        """What is said when the last minute has closed for all stores."""
        before = len(self.stores[0].sent)
        mark = encode_partial(ClockMark(0, 1, self.stores[0].position.clock.now_ms + CLOSING_MS))
        run(self.job, batches("kpi.partials", 0, [mark], first=len(self.values)), self.stores)
        return [message for message in self.stores[0].sent[before:] if message.topic == "store.load"]


def test_the_flow_says_every_five_minutes_how_full_a_store_is_under_a_key_that_keeps_a_day() -> None:
    kpis = Kpis("store:s1")
    assert kpis.pass_hours(0, 7 * 24, 2) == []
    said = kpis.pass_hours(7 * 24, 3, 1) + kpis.close()
    assert len(said) == 3 * 60 // EVERY
    at_ms = (START + WEEK + 60) * MINUTE_MS
    last = {one.at_ms: one for one in map(decode_load, [message.value for message in said])}
    assert last[at_ms] == StoreLoad("s1", at_ms, 15, 30.0, 0.5)
    [message] = [one for one in said if decode_load(one.value).at_ms == at_ms]
    whole: dict[str, Any] = json.loads(message.value)
    assert (whole["id"], whole["type"], message.key) == (f"s1|{at_ms}", "brewline.store.load", load_key("s1", at_ms))
    keys = {load_key("s1", START * MINUTE_MS + hour * HOUR_MS // 60) for hour in range(72 * 60)}
    assert len(keys) == (24 * HOUR_MS + 20 * MINUTE_MS) // SLOT_MS


def test_of_a_store_whose_till_is_offline_nothing_is_said_nor_learned_until_it_is_back() -> None:
    kpis = Kpis("store:s1")
    kpis.pass_hours(0, 7 * 24, 2, beats=1)
    before = len(kpis.pass_hours(7 * 24, 3, 2, beats=1))
    kpis.pass_hours(7 * 24 + 3, 2, 0)
    said = [decode_load(message.value) for message in kpis.pass_hours(7 * 24 + 5, 1, 2, beats=1)[before:]]
    minutes = [one.at_ms // MINUTE_MS - START - WEEK - 3 * 60 for one in said]
    assert minutes == [0, *range(120 + WINDOW, 180, EVERY)]
    assert {one.load for one in said} == {1.0}
    watch = decode_watch(kpis.stores[0].records["watch|store:s1"])
    assert [watch.load.rate(hour) for hour in (3, 4, 5)] == [2.0, 2.0, 2.0]
    assert [*watch.load.weeks[2:6]] == [2, 1, 1, 1]


def test_of_regions_and_the_chain_nothing_is_said() -> None:
    kpis = Kpis("region:east")
    kpis.pass_hours(0, 7 * 24 + 1, 2)
    assert kpis.pass_hours(7 * 24 + 1, 1, 2) == []


def test_a_watch_that_was_stored_with_what_was_judged_there_once_goes_on() -> None:
    usual = Usual()
    step(usual, START, 3)
    usual.learn(0, 0.1)
    usual.learn(167, 2.5)
    rates, weeks = [0.1, *[0.0] * 166, 2.5], [1, *[0] * 166, 1]
    kept = [usual.window, usual.known, usual.sum, rates, weeks]
    former = msgpack.encode([START, START, START + 1, START, [["of a series"]] * 4, kept])
    assert decode_watch(former) == Watch(START, START, START + 1, START, kept=usual)
    assert decode_watch(msgpack.encode([1, 2, 3, 4, []])) == Watch(1, 2, 3, 4)
    assert decode_watch(msgpack.encode([1, 2, 3, 4, [], None])).load == Usual()
    assert decode_watch(encode_watch(decode_watch(former))) == decode_watch(former)
