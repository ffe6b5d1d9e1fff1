"""A record's feature row equals one computed from the list of all events, whatever order they come in."""

from __future__ import annotations

import math
import sys
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from config import settings as conf
from features import events as e
from features.kernel.arrays import LATE_MS, RING
from features.times import DAY_MS, HOUR_MS, MINUTE_MS, local_day, parse_time
from flows.files import load_catalog
from tests.features.known import Known
from tests.features.streams import STARTS_MS, logs
from tests.oracle import Customer

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HOUSE = conf.load(environ={})
CATALOG = load_catalog(HOUSE)
DECLARED = tomllib.loads(HOUSE.path(HOUSE.features).read_text("utf-8"))
NOON_MS = parse_time("2026-05-04T12:00:00+08:00")


def differences(found: dict[str, float], wanted: dict[str, float]) -> dict[str, tuple[float, float]]:
    """Features that are not what they should be: whole numbers exactly, the rest to 1e-9."""
    assert found.keys() == wanted.keys()
    return {name: (found[name], wanted[name]) for name in found if not same(found[name], wanted[name])}


def same(found: float, wanted: float) -> bool:
    if isinstance(wanted, int):
        return found == wanted
    return math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-9) or (math.isnan(found) and math.isnan(wanted))


def order(number: int, at_ms: int, tz: str = "Asia/Shanghai") -> e.Order:
    day = local_day(at_ms, tz)
    return e.Order(id=f"o{number}", at_ms=at_ms, day=day, tz=tz, lines=[e.Line("tea")], total_cents=1800)


@settings(max_examples=60, deadline=None)
@given(logs(("c",)), st.sampled_from((0, 1, 299_999, HOUR_MS, DAY_MS, 8 * DAY_MS, 91 * DAY_MS)))
def test_a_row_as_of_now_equals_the_brute_force_one(log: list[e.Event], later_ms: int) -> None:
    known, twin = Known(CATALOG), Customer(DECLARED)
    for event in log:
        assert known.take(event) == [twin.take(event)]
    if twin.events:
        at_ms = twin.newest_ms + later_ms
        assert differences(known.row(at_ms), twin.features(at_ms)) == {}


@settings(max_examples=60, deadline=None)
@given(logs(("c",), longest=60))
def test_every_event_of_a_batch_sees_the_row_as_it_was_then(log: list[e.Event]) -> None:
    """Late events too, as long as they are late by no more than a day; windows of older ones have lost panes."""
    known, twin = Known(CATALOG), Customer(DECLARED)
    known.take(*log)
    rows = iter(known.rows)
    for event in log:
        if twin.take(event):
            row = dict(zip(CATALOG.names, next(rows), strict=True))
            if event.at_ms >= twin.newest_ms - LATE_MS:
                assert differences(row, twin.features(event.at_ms)) == {}
    assert next(rows, None) is None


words = st.lists(st.tuples(st.integers(1, 3), st.booleans()), max_size=5)


@given(words)
def test_the_latest_word_on_consent_counts_and_of_two_at_one_instant_the_refusal(words: list[tuple[int, bool]]) -> None:
    known, twin = Known(CATALOG), Customer(DECLARED)
    for number, (at_ms, granted) in enumerate(words):
        event = e.Consent(id=str(number), at_ms=at_ms, tz="UTC", purpose="marketing", granted=granted)
        known.take(event)
        twin.take(event)
    found = known.record.consent if words else {}
    assert found.get(crc32(b"marketing"), (0, False))[1] == twin.granted("marketing")


@settings(max_examples=35, deadline=None)
@given(logs(("c",)), st.randoms(use_true_random=False))
def test_the_order_in_which_orders_refunds_and_visits_arrive_does_not_matter(log: list[e.Event], random) -> None:
    log = [event for event in log if not isinstance(event, e.Complaint | e.ComplaintAnswered | e.ComplaintConfirmed)]
    log = [event for event in log if event.tz == log[0].tz]
    one, other = Known(CATALOG), Known(CATALOG)
    one.take(*log)
    other.take(*random.sample(log, len(log)))
    at_ms = max((event.at_ms for event in log), default=STARTS_MS[0])
    if log:
        in_order, shuffled = one.row(at_ms), other.row(at_ms)
        for name in ("last_store", "last_star_tenths", "rhythm_spread_days"):  # of two at one instant, the last to come
            del in_order[name], shuffled[name]
        assert differences(shuffled, in_order) == {}


LATE = [m * MINUTE_MS for m in (1, 60, 64, 65)] + [h * HOUR_MS for h in (24, 25)] + [d * DAY_MS for d in (7, 8, 90, 91)]


@pytest.mark.parametrize("late_ms", LATE)
def test_a_late_event_counts_in_every_window_that_reaches_back_to_it(late_ms: int) -> None:
    known, twin = Known(CATALOG), Customer(DECLARED)
    for event in (order(1, NOON_MS), order(2, NOON_MS - late_ms), order(3, NOON_MS)):
        known.take(event)
        twin.take(event)
    assert differences(known.row(NOON_MS), twin.features(NOON_MS)) == {}


def test_an_event_later_than_a_day_does_not_find_the_short_panes_of_its_own_time() -> None:
    """They are kept as far back as the newest event and a day of lateness need them."""
    known = Known(CATALOG)
    known.take(order(1, NOON_MS), order(2, NOON_MS - 3 * HOUR_MS), order(3, NOON_MS - 3 * DAY_MS))
    late, later = (dict(zip(CATALOG.names, row, strict=True)) for row in known.rows[1:])
    assert (late["orders_1h"], late["orders_24h"], late["orders_7d"]) == (1, 1, 2)
    assert (later["orders_1h"], later["orders_24h"], later["orders_7d"]) == (0, 0, 1)


def test_a_record_remembers_the_last_64_event_ids() -> None:
    known = Known(CATALOG)
    for number in range(RING):
        assert known.take(order(number, NOON_MS + number)) == [True]
    assert not any(known.take(*(order(number, NOON_MS) for number in range(RING))))
    assert known.take(order(RING, NOON_MS)) == [True]
    assert known.take(order(0, NOON_MS)) == [True], "the 65th pushed the first one out"
    assert known.row(NOON_MS)["orders_lifetime"] == 66


def test_however_much_an_app_chatters_an_order_is_not_forgotten() -> None:
    known = Known(CATALOG)
    known.take(order(1, NOON_MS))
    known.take(*(e.View(id=f"v{number}", at_ms=NOON_MS, day=1, tz="Asia/Shanghai") for number in range(200)))
    assert known.take(order(1, NOON_MS)) == [False]


def test_a_duplicate_changes_no_byte_of_the_record() -> None:
    known = Known(CATALOG)
    known.take(order(1, NOON_MS))
    before = known.raw
    assert known.take(order(1, NOON_MS + DAY_MS)) == [False]
    assert known.raw == before


def test_a_void_leaves_no_trace_in_orders_items_and_money() -> None:
    known = Known(CATALOG)
    undone = {"ordered_ms": NOON_MS, "ordered_day": local_day(NOON_MS, "Asia/Shanghai")}
    void = e.Void(id="v", order="o1", ordered_time=0, amount_cents=1800, items=1, at_ms=NOON_MS + HOUR_MS, **undone)
    void.day, void.tz = local_day(void.at_ms, "Asia/Shanghai"), "Asia/Shanghai"
    known.take(order(1, NOON_MS), void)
    row = known.row(void.at_ms)
    assert [row[f"{m}_{w}"] for m in ("orders", "items", "spend_cents") for w in CATALOG.windows] == [0] * 18
    assert row["refunds_1h"] == 1


def test_an_order_is_voided_once_under_whatever_id() -> None:
    known, undone = Known(CATALOG), {"ordered_ms": NOON_MS, "ordered_day": local_day(NOON_MS, "Asia/Shanghai")}
    void = e.Void(id="v", order="o1", ordered_time=0, amount_cents=1800, items=1, at_ms=NOON_MS + HOUR_MS, **undone)
    void.day, void.tz = undone["ordered_day"], "Asia/Shanghai"
    other, again = replace(void, id="o1", order="o2"), replace(void, id="again", at_ms=void.at_ms + 1)
    assert known.take(order(1, NOON_MS), order(2, NOON_MS), void, again, other) == [True, True, True, False, True]
    assert [known.row(void.at_ms + 1)[name] for name in ("orders_90d", "spend_cents_90d")] == [0, 0]


def test_the_hour_that_new_york_repeats_counts_its_events_twice_as_two_hours() -> None:
    """1:30 before and 1:30 after the clocks fall back are one hour apart, on one business day."""
    before, after = parse_time("2026-11-01T01:30:00-04:00"), parse_time("2026-11-01T01:30:00-05:00")
    known = Known(CATALOG)
    known.take(order(1, before, "America/New_York"), order(2, after + 5 * MINUTE_MS, "America/New_York"))
    row = known.row(after + 5 * MINUTE_MS)
    assert (row["orders_1h"], row["orders_24h"], row["orders_7d"]) == (1, 2, 2)
    assert {pane.day for pane in known.record.panes} == {local_day(before, "America/New_York")}


def test_a_record_stays_small_however_long_its_customer_stays() -> None:
    known = Known(CATALOG)
    known.take(*(order(number, NOON_MS + number * 6 * HOUR_MS) for number in range(2000)))
    assert len(known.record.panes) <= 90 + 4 + 8
    assert len(known.record.seen + known.record.deals) <= 2 * RING
    assert len(known.raw) < 3_500


def test_panes_that_age_are_merged_and_lose_nothing() -> None:
    """Four orders of one day are four panes of five minutes, and one of a day when it is past."""
    known = Known(CATALOG)
    known.take(*(order(number, NOON_MS + number * HOUR_MS) for number in range(4)))
    assert [pane.level for pane in known.record.panes] == [0, 0, 0, 0]
    known.take(order(9, NOON_MS + 10 * DAY_MS))
    assert sorted(pane.level for pane in known.record.panes) == [0, 2]
    assert known.row(NOON_MS + 10 * DAY_MS)["orders_30d"] == 5
