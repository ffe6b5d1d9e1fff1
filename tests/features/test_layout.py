"""A features file may change: what records already hold is kept, and a new feature says since when it counts."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from features.building import build_catalog
from features.catalog import Catalog
from features.customer import Core, Label
from features.events import Event, Line, Order, View
from features.kernel.arrays import A_WHILE
from features.layout import Layout, decode_layout, encode_layout
from features.record import CorruptRecord, Waiting, WrongLayout
from features.times import DAY_MS, parse_time
from tests.features.known import Known

NOON_MS = parse_time("2026-05-04T12:00:00+08:00")
TOP = {"order": "store", "aggregate": "top", "half_life": "30d"}
STORES = {"order": "store", "aggregate": "distinct", "windows": ["7d"]}
BEFORE: dict[str, Any] = {
    "windows": ["1h", "7d", "lifetime"],
    "measures": {"orders": {"order": 1}, "views": {"view": 1}, "favourite": TOP, "stores": STORES},
}
AFTER: dict[str, Any] = {
    "windows": ["24h", "7d", "lifetime"],
    "measures": {
        "spend": {"order": "total_cents"},
        "least": {"order": "total_cents", "aggregate": "min"},
        "places": STORES,  # another name for the same
        "app_orders": {"order": 1, "where": {"channel": "app"}},
        "last_store": {"order": "store", "aggregate": "last"},
        "orders": {"order": 1},
        "favourite": TOP,
    },
}


def known_as(catalog: Catalog, earlier: list[Layout], raw: bytes) -> Known:
    known = Known(catalog)
    known.core = Core(catalog, earlier=earlier)
    known.raw = raw
    return known


def order(number: int, at_ms: int) -> Event:
    store = f"s{number % 2}"
    return Order(id=f"o{number}", at_ms=at_ms, tz="UTC", store=store, channel="app", lines=[Line("t")], total_cents=700)


def test_a_record_written_before_a_feature_was_added_is_read_and_goes_on() -> None:
    before, after = build_catalog(BEFORE), build_catalog(AFTER)
    known = Known(before)
    known.take(*(order(n, NOON_MS + n) for n in range(3)), View(id="v", at_ms=NOON_MS, tz="UTC"))
    known = known_as(after, [before.layout], known.raw)
    row = known.row(NOON_MS + 9)
    assert (row["orders_7d"], row["places_7d"], row["spend_7d"], row["app_orders_7d"]) == (3, 2, 0, 0)
    assert row["orders_24h"] == 3, "panes serve windows that nobody had asked for"
    assert row["favourite_share"] == pytest.approx(2 / 3)
    known.take(order(3, NOON_MS + 5), order(2, NOON_MS + 6))
    row = known.row(NOON_MS + 9)
    assert (row["orders_7d"], row["places_7d"], row["spend_7d"], row["app_orders_7d"]) == (4, 2, 700, 1)
    assert (row["least_7d"], known.record.layout) == (700, after.layout.id)


def test_what_was_dropped_is_gone_and_counts_anew_when_it_comes_back() -> None:
    with_views, without = build_catalog(BEFORE), build_catalog(AFTER)
    known = Known(with_views)
    known.take(View(id="v1", at_ms=NOON_MS, tz="UTC"))
    known = known_as(without, [with_views.layout], known.raw)
    known.take(View(id="v2", at_ms=NOON_MS + 1, tz="UTC"))
    known = known_as(with_views, [without.layout], known.raw)
    known.take(View(id="v3", at_ms=NOON_MS + 2, tz="UTC"))
    assert known.row(NOON_MS + 3)["views_7d"] == 1


def test_a_layout_tells_since_when_each_of_its_parts_counts() -> None:
    first = build_catalog(BEFORE).layout
    second = build_catalog(AFTER).layout.after(first, NOON_MS)
    assert second.since_ms.get("sum order=1", 0) == 0
    assert second.since_ms["sum order=total_cents"] == NOON_MS
    third = build_catalog(BEFORE).layout.after(second, NOON_MS + DAY_MS)
    assert third.since_ms == {"sum view=1": NOON_MS + DAY_MS}
    assert decode_layout(encode_layout(third)) == third
    assert third.id == first.id, "when it began is not part of what it is"


def test_a_window_that_is_wider_than_what_was_kept_tells_since_when_it_counts() -> None:
    week = build_catalog(BEFORE)
    year = build_catalog(
        BEFORE | {"windows": ["1h", "7d", "365d", "lifetime"], "ratios": {"rate": ["orders_7d", "orders_365d"]}}
    )
    assert (week.days_of["orders_7d"], year.days_of["orders_365d"], year.days_of["rate"]) == (7, 365, 365)
    wider = year.layout.after(week.layout, NOON_MS)
    since = {name: wider.counted_since_ms(year.kept_in[name], year.days_of[name]) for name in year.names}
    assert since["orders_365d"] == since["rate"] == NOON_MS - 8 * DAY_MS
    assert since["orders_7d"] == since["orders_lifetime"] == since["favourite_share"] == 0
    narrow = week.layout.after(wider, NOON_MS + DAY_MS)
    assert narrow.reach == []
    assert year.layout.after(narrow, NOON_MS + 9 * DAY_MS).reach == [(8, NOON_MS + DAY_MS)]


def test_a_record_of_a_layout_that_nobody_knows_is_refused_not_misread() -> None:
    known = Known(build_catalog(BEFORE))
    known.take(order(1, NOON_MS))
    with pytest.raises(WrongLayout):
        known_as(build_catalog(AFTER), [], known.raw).row(NOON_MS)
    same = build_catalog(BEFORE | {"windows": ["30d"]})
    assert same.layout.id == known.core.catalog.layout.id, "panes serve any window"


VERSION_3 = bytes.fromhex(
    "03c541e49533bd34a480c491d7e03380ac9289df3303591be90bd26bb33f70a833ae633b3240f1d1b0c79183f23e01daf564"
    "e35208d49d020082ac9289df330480ac9289df3300000082ac9289df3382c491d7e033000300000000000008400000000000"
    "000000000000000000084003000003009624f19d0100000000000000000000019624f19d0100000000000000000000029624"
    "f19d01000000000000000000000182ac9289df33027b2974d049540800123fdbffffffff3f54b221aa2b2c0600123fdbffff"
    "ffef3f0200027b2974d049540800000000000000000054b221aa2b2c060000000000000000000306020100d0dae9029c932d"
    "07060206"
)


VERSION_5 = bytes.fromhex(
    "05c541e49533bd34a480fcaa80e13380ac9289df3304591be90bd26bb33f70a833ae633b3240f1d1b0c79183f23ec1a7a897"
    "e0b82e3e01daf564e35208d49d020080e4abb2df330480ac9289df3300000080ac9289df3380fcaa80e13300010003000080"
    "3f000000000000803f0082ac9289df3301d2cde99bdf33d29d8293e13300ae96c21601030000000000000000000040400300"
    "0004009624f19d0100000000000000000000019624f19d0100000000000000000000029624f19d0100000000000000000000"
    "00f24af69d01000000000000000000000180e4abb2df33027b2974d049540800df3f90fbe444ff3f54b221aa2b2c0600f01f"
    "c87d72a2ff3f0200027b2974d049540800000000000000000054b221aa2b2c060000000000000000000308020200d0dae902"
    "9c932d0706020600f0dce9029d932d050204"
)


VERSION_4 = bytes.fromhex(
    "04c541e49533bd34a481e4abb2df3380ac9289df3303591be90bd26bb33f70a833ae633b3240f1d1b0c79183f23e01daf564"
    "e35208d49d020082ac9289df330480ac9289df3300000080ac9289df3381e4abb2df33000100030000803f00000000000080"
    "3f0003000003009624f19d0100000000000000000000019624f19d0100000000000000000000029624f19d01000000000000"
    "000000000182ac9289df33027b2974d049540800123fdbffffffff3f54b221aa2b2c0600123fdbffffffef3f0200027b2974"
    "d049540800000000000000000054b221aa2b2c060000000000000000000306020100d0dae9029c932d07060206"
)


def test_a_record_of_version_5_is_what_it_was_and_is_written_shorter() -> None:
    catalog = build_catalog(BEFORE)
    same = Known(catalog)
    same.core = core = Core(catalog, label=Label([0, 1, 2], [(5 * DAY_MS, A_WHILE)]))
    same.take(*(order(n, NOON_MS + n) for n in range(3)), View(id="v", at_ms=NOON_MS, tz="UTC"))
    same.take(order(3, NOON_MS + DAY_MS))
    assert same.record.waiting
    assert same.record.later
    assert core.unpacked(VERSION_5) == same.record
    assert len(same.raw) < len(VERSION_5)
    without = Core(build_catalog(AFTER), earlier=[catalog.layout]).unpacked(VERSION_5)
    assert without == Core(build_catalog(AFTER), earlier=[catalog.layout]).unpacked(same.raw), "also what is dropped"
    for length in range(1, len(VERSION_5)):
        with pytest.raises((CorruptRecord, WrongLayout)):
            core.row(VERSION_5[:length], NOON_MS)


def test_a_record_of_version_4_goes_on_and_has_no_later_moment_until_the_next_order() -> None:
    core = Core(build_catalog(BEFORE), label=Label([0, 1, 2], [(5 * DAY_MS, A_WHILE)]))
    now, known = core.unpacked(VERSION_4), Known(build_catalog(BEFORE))
    assert now.waiting == Waiting(NOON_MS, NOON_MS + DAY_MS + 1, 0, 1, 0, struct.pack("<3f", 1, 0, 1))
    assert now.later is None
    known.core, known.raw = core, VERSION_4
    known.take(order(9, NOON_MS + DAY_MS))
    assert known.record.later
    assert known.record.later.from_ms == NOON_MS + DAY_MS
    for length in range(1, len(VERSION_4)):
        with pytest.raises((CorruptRecord, WrongLayout)):
            core.row(VERSION_4[:length], NOON_MS)


def test_a_record_of_version_3_goes_on_and_loses_the_row_that_waited() -> None:
    catalog = build_catalog(BEFORE)
    core = Core(catalog, label=Label([0, 1, 2], [(5 * DAY_MS, A_WHILE)]))
    same = Known(catalog)
    same.take(*(order(n, NOON_MS + n) for n in range(3)), View(id="v", at_ms=NOON_MS, tz="UTC"))
    now, fresh = core.unpacked(VERSION_3), core.unpacked(same.raw)
    assert now.waiting is None
    now.wake_ms = fresh.wake_ms  # the customer is looked at once more, and nothing is due
    assert now == fresh
    for length in range(1, len(VERSION_3)):
        with pytest.raises((CorruptRecord, WrongLayout)):
            core.row(VERSION_3[:length], NOON_MS)
