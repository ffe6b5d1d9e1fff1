"""A record's feature row equals one computed from the list of all events, whatever order they come in."""

from __future__ import annotations

import math
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config import settings as conf
from features import events as e
from features.customer import apply_event, feature_row
from features.record import Record, decode_record, encode_record, remember
from features.times import DAY_MS, HOUR_MS, MINUTE_MS, local_day, parse_time
from flows.files import load_catalog
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


def new_record() -> Record:
    return decode_record(None, CATALOG.layout, len(CATALOG.measures))


def differences(row: list[float], wanted: dict[str, float]) -> dict[str, tuple[float, float]]:
    """Features that are not what they should be: whole numbers exactly, the rest to 1e-9."""
    found = dict(zip(CATALOG.names, row, strict=True))
    assert found.keys() == wanted.keys()
    return {name: (found[name], wanted[name]) for name in found if not same(found[name], wanted[name])}


def same(found: float, wanted: float) -> bool:
    if isinstance(wanted, int):
        return found == wanted
    return math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-9) or (math.isnan(found) and math.isnan(wanted))


def order(number: int, at_ms: int, tz: str = "Asia/Shanghai") -> e.Order:
    day = local_day(at_ms, tz)
    return e.Order(id=f"o{number}", at_ms=at_ms, day=day, tz=tz, lines=[e.Line("tea")], total_cents=1800)


def named(record: Record, at_ms: int) -> dict[str, float]:
    return dict(zip(CATALOG.names, feature_row(record, CATALOG, at_ms), strict=True))


@settings(max_examples=35, deadline=None)
@given(logs(("ca",)), st.sampled_from((0, 1, 299_999, HOUR_MS, DAY_MS, 8 * DAY_MS, 91 * DAY_MS)))
def test_a_row_as_of_now_equals_the_brute_force_one(log: list[e.Event], later_ms: int) -> None:
    record, twin = new_record(), Customer(DECLARED)
    for event in log:
        assert apply_event(record, event, CATALOG) == twin.take(event)
        record = decode_record(encode_record(record), CATALOG.layout, len(CATALOG.measures))
    if twin.events:
        at_ms = twin.newest_ms + later_ms
        assert differences(feature_row(record, CATALOG, at_ms), twin.features(at_ms)) == {}


words = st.lists(st.tuples(st.integers(1, 3), st.booleans()), max_size=5)


@given(words)
def test_the_latest_word_on_consent_counts_and_of_two_at_one_instant_the_refusal(words: list[tuple[int, bool]]) -> None:
    record, twin = new_record(), Customer(DECLARED)
    for number, (at_ms, granted) in enumerate(words):
        event = e.Consent(id=str(number), at_ms=at_ms, tz="UTC", purpose="marketing", granted=granted)
        apply_event(record, event, CATALOG)
        twin.take(event)
    assert record.consent.get("marketing", (0, False))[1] == twin.granted("marketing")


@settings(max_examples=30, deadline=None)
@given(logs(("ca",)))
def test_every_event_sees_the_row_as_it_was_then(log: list[e.Event]) -> None:
    """In event-time order; what a late event sees is tested below."""
    record, twin = new_record(), Customer(DECLARED)
    for event in sorted(log, key=lambda event: event.at_ms):
        if apply_event(record, event, CATALOG) and twin.take(event):
            row = feature_row(record, CATALOG, event.at_ms)
            assert differences(row, twin.features(event.at_ms)) == {}


@settings(max_examples=35, deadline=None)
@given(logs(("ca",)), st.randoms(use_true_random=False))
def test_the_order_in_which_orders_refunds_and_visits_arrive_does_not_matter(log: list[e.Event], random) -> None:
    log = [event for event in log if not isinstance(event, e.Complaint | e.ComplaintAnswered)]
    log = [event for event in log if event.tz == log[0].tz]
    shuffled = random.sample(log, len(log))
    one, other = new_record(), new_record()
    for record, events in ((one, log), (other, shuffled)):
        for event in events:
            apply_event(record, event, CATALOG)
    at_ms = max((event.at_ms for event in log), default=STARTS_MS[0])
    assert repr(feature_row(one, CATALOG, at_ms)) == repr(feature_row(other, CATALOG, at_ms))


LATE = [m * MINUTE_MS for m in (1, 60, 64, 65)] + [h * HOUR_MS for h in (24, 25)] + [d * DAY_MS for d in (7, 8, 90, 91)]


@pytest.mark.parametrize("late_ms", LATE)
def test_a_late_event_counts_in_every_window_that_reaches_back_to_it(late_ms: int) -> None:
    record, twin = new_record(), Customer(DECLARED)
    for event in (order(1, NOON_MS), order(2, NOON_MS - late_ms), order(3, NOON_MS)):
        apply_event(record, event, CATALOG)
        twin.take(event)
    assert differences(feature_row(record, CATALOG, NOON_MS), twin.features(NOON_MS)) == {}


def test_a_late_event_does_not_find_the_short_panes_of_its_own_time() -> None:
    """Panes are kept as far back as the newest event needs them; the row as of an older time lacks the rest."""
    record = new_record()
    for event in (order(1, NOON_MS), order(2, NOON_MS - 3 * HOUR_MS)):
        apply_event(record, event, CATALOG)
    late = named(record, NOON_MS - 3 * HOUR_MS)
    assert (late["orders_1h"], late["orders_24h"], late["orders_7d"]) == (0, 1, 2)


def test_a_record_remembers_the_last_64_event_ids() -> None:
    record = new_record()
    for number in range(64):
        assert apply_event(record, order(number, NOON_MS + number), CATALOG)
    assert not any(apply_event(record, order(number, NOON_MS), CATALOG) for number in range(64))
    assert apply_event(record, order(64, NOON_MS), CATALOG)
    assert apply_event(record, order(0, NOON_MS), CATALOG), "the 65th pushed the first one out"
    assert named(record, NOON_MS)["orders_lifetime"] == 66


def test_however_much_an_app_chatters_an_order_is_not_forgotten() -> None:
    record = new_record()
    apply_event(record, order(1, NOON_MS), CATALOG)
    for number in range(200):
        apply_event(record, e.View(id=f"v{number}", at_ms=NOON_MS, day=1, tz="Asia/Shanghai"), CATALOG)
    assert not apply_event(record, order(1, NOON_MS), CATALOG)


def test_bytes_across_two_remembered_ids_are_no_third_id() -> None:
    record = Record(seen=bytes(range(16)))
    assert remember(record, bytes(range(4, 12)))
    assert not remember(record, bytes(range(8, 16)))


def test_a_duplicate_changes_no_byte_of_the_record() -> None:
    record = new_record()
    apply_event(record, order(1, NOON_MS), CATALOG)
    before = encode_record(record)
    apply_event(record, order(1, NOON_MS + DAY_MS), CATALOG)
    assert encode_record(record) == before


def test_a_void_leaves_no_trace_in_orders_items_and_money() -> None:
    record = new_record()
    apply_event(record, order(1, NOON_MS), CATALOG)
    undone = {"ordered_ms": NOON_MS, "ordered_day": local_day(NOON_MS, "Asia/Shanghai")}
    void = e.Void(id="v", order="o1", ordered_time=0, amount_cents=1800, items=1, at_ms=NOON_MS + HOUR_MS, **undone)
    void.day, void.tz = local_day(void.at_ms, "Asia/Shanghai"), "Asia/Shanghai"
    apply_event(record, void, CATALOG)
    row = named(record, void.at_ms)
    assert [row[f"{m}_{w}"] for m in ("orders", "items", "spend_cents") for w in CATALOG.windows] == [0] * 18
    assert row["refunds_1h"] == 1


def test_the_hour_that_new_york_repeats_counts_its_events_twice_as_two_hours() -> None:
    """1:30 before and 1:30 after the clocks fall back are one hour apart, on one business day."""
    before, after = parse_time("2026-11-01T01:30:00-04:00"), parse_time("2026-11-01T01:30:00-05:00")
    record = new_record()
    apply_event(record, order(1, before, "America/New_York"), CATALOG)
    apply_event(record, order(2, after + 5 * MINUTE_MS, "America/New_York"), CATALOG)
    row = named(record, after + 5 * MINUTE_MS)
    assert (row["orders_1h"], row["orders_24h"], row["orders_7d"]) == (1, 2, 2)
    assert record.days.keys() == {local_day(before, "America/New_York")}


def test_a_record_stays_small_however_long_its_customer_stays() -> None:
    record = new_record()
    for number in range(2000):
        apply_event(record, order(number, NOON_MS + number * 6 * HOUR_MS), CATALOG)
    assert len(record.days) <= CATALOG.kept_days + 1
    assert len(record.hours) <= 26
    assert len(record.fives) <= 14
    assert len(record.seen + record.deals) <= 2 * 64 * 8
