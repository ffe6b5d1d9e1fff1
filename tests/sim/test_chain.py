from __future__ import annotations

import csv
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import json

from features.events import Bind, Consent, Order, Tick, decode_audit, decode_event
from features.stores import read_stores
from features.times import DAY_MS, HOUR_MS, MINUTE_MS, local_hour, parse_time
from sim import Chain, Record, Truth
from sim.stores import weekday

KINDS = ("phone", "card", "app_id", "marketplace_id")
MONDAY_MS = parse_time("2026-05-04T00:00:00+08:00")


def digits(kind: str, identifier: str) -> str:
    return phonenumbers.parse(identifier, "CN").national_number if kind == "phone" else identifier


def identifiers(event) -> list[tuple[str, str]]:
    who = event.who
    return [(kind, digits(kind, getattr(who, kind))) for kind in KINDS if who is not None and getattr(who, kind)]


@pytest.fixture(scope="module")
def owners(run) -> dict[tuple[str, str], str]:
    """app id by identifier, as the bind events tell it."""
    return {name: event.who.app_id for _, event in run.of(Bind) for name in identifiers(event)}


def test_the_same_seed_sends_the_same_bytes(run):
    chain = Chain(7)
    assert list(chain.records()) == run.records
    assert chain.truth == run.truth


def test_a_chain_can_be_walked_again_from_the_beginning():
    chain = Chain(3, stores=4, customers=50, days=0.5)
    first, truth = list(chain.records()), chain.truth
    assert list(chain.records()) == first
    assert chain.truth == truth


def test_another_seed_sends_something_else():
    one, two = (list(Chain(seed, stores=4, customers=50, days=0.5).records()) for seed in (1, 2))
    assert one != two


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    stores=st.integers(1, 12),
    customers=st.integers(1, 80),
    minutes=st.integers(1, 2 * 1440),
    start_ms=st.integers(MONDAY_MS, MONDAY_MS + 7 * DAY_MS),
)
def test_any_chain_sends_in_order_and_each_minute_ends_with_one_tick_a_topic(
    seed, stores, customers, minutes, start_ms
):
    chain = Chain(seed, stores, customers, minutes / 1440, start_ms)
    records = list(chain.records())
    assert all(a.at_ms <= b.at_ms for a, b in pairwise(records))
    assert Counter(record.topic for record in records if not record.tick) == Counter(chain.truth.sent)
    ticks = [(record.topic, record.at_ms) for record in records if record.tick]
    ends = [start_ms + (n + 1) * MINUTE_MS for n in range(minutes)]
    assert ticks == [(topic, end) for end in ends for topic in ("pos.events", "app.events", "audit.events")]


def test_a_tick_says_that_all_before_it_was_sent(run):
    told_ms, ids = 0, set()
    for record in run.records:
        assert record.at_ms >= told_ms
        if record.tick:
            tick = (decode_audit if record.topic == "audit.events" else decode_event)(record.value)
            assert isinstance(tick, Tick)
            assert (tick.time, record.key) == (record.at_ms, "")
            ids.add(tick.id)
            told_ms = record.at_ms
    assert len(ids) == 3 * 5 * 1440


def test_no_event_is_sent_before_it_happened(run):
    assert all(parse_time(event.time) <= record.at_ms for record, event in run.events)


def test_event_ids_are_unique(run):
    assert len({event.id for _, event in run.events}) == len(run.events)


def test_keys_are_store_app_or_actor(run):
    for record, event in run.events:
        if record.topic == "pos.events":
            assert record.key == event.store
        elif event.__struct_config__.tag == "weather":
            assert record.key == event.place
        elif record.topic == "app.events":
            known = event.who.app_id if event.who else "web"  # whoever asks from there is nobody's member
            assert record.key == known or identifiers(event)[0][0] == "marketplace_id"
        else:
            assert record.key == event.actor


def test_a_default_day_has_about_sixteen_thousand_records(run):
    assert 14_000 < sum(run.truth.sent.values()) / 5 < 18_000


def test_no_order_is_placed_while_its_store_is_closed(run):
    orders = run.of(Order)
    assert orders
    assert all(run.stores[order.store].is_open(parse_time(order.time)) for _, order in orders)


def test_orders_peak_at_lunch_and_in_the_afternoon_of_their_own_zone(run):
    by_region: dict[str, Counter[int]] = {}
    for _, order in run.of(Order):
        store = run.stores[order.store]
        by_region.setdefault(store.region, Counter())[local_hour(parse_time(order.time), store.timezone)] += 1
    assert len(by_region) == 4
    for hours in by_region.values():
        assert hours[12] > 1.3 * hours[10]
        assert hours[15] > 1.3 * hours[21]


def test_a_saturday_brings_more_orders_than_a_tuesday(week):
    days = Counter(weekday(parse_time(order.time), "Asia/Shanghai") for _, order in week.of(Order))
    assert days[5] > 1.2 * days[1]


def test_all_channels_and_walk_ins_occur(run):
    channels = Counter((order.channel, order.who is None) for _, order in run.of(Order))
    assert min(channels[kind] for kind in (("app", False), ("delivery", False), ("marketplace", False))) > 300
    assert channels["pos", True] > channels["pos", False] > 1_000


def test_identifiers_of_one_event_belong_to_one_person(run, owners):
    for _, event in run.events:
        assert len({owners[name] for name in identifiers(event)}) <= 1


def test_a_binding_leads_every_other_way_to_know_a_member_by_hours(run, owners):
    bound_ms: dict[str, int] = {}
    for record, event in run.events:
        for kind, name in identifiers(event):
            app_id = owners[kind, name]
            if isinstance(event, Bind):
                bound_ms.setdefault(app_id, record.at_ms)
            elif kind != "app_id":
                assert record.at_ms > bound_ms[app_id] + 6 * HOUR_MS


def test_phone_numbers_are_valid_made_up_and_written_in_many_ways(run):
    phones = {event.who.phone for _, event in run.events if event.who is not None and event.who.phone}
    numbers = [phonenumbers.parse(phone, "CN") for phone in phones]
    assert all(phonenumbers.is_valid_number(number) for number in numbers)
    assert all(str(number.national_number).startswith("1650000") for number in numbers)
    assert len({"".join("#" if char.isdigit() else char for char in phone) for phone in phones}) >= 5


def test_about_four_in_five_grant_marketing(run):
    granted = [event.granted for _, event in run.of(Consent)]
    assert 0.75 < sum(granted) / len(granted) < 0.85


def test_times_are_epoch_ms_or_text_with_the_offset_of_the_store(run):
    texts = [(event.time, event.store) for _, event in run.events if isinstance(event.time, str)]
    assert 0.05 < len(texts) / len(run.events) < 0.15
    west = {text[-6:] for text, store in texts if store and run.stores[store].region == "west"}
    assert west == {"+06:00"}


def test_the_store_table_is_one_the_flows_can_read(run):
    stores = read_stores(Chain(7).stores_csv().splitlines(), "UTC", "stores.csv")
    assert {id: stores.place(id) for id in run.stores} == {s.id: (s.region, s.timezone) for s in run.stores.values()}


@pytest.mark.parametrize("shape", [{"stores": 0}, {"customers": 0}, {"days": 0.0}])
def test_a_chain_of_nothing_is_refused(shape):
    with pytest.raises(ValueError, match="expected at least one"):
        Chain(1, **shape)


def test_the_command_writes_topics_stores_and_truth(tmp_path):
    command = [
        sys.executable,
        "-m",
        "sim",
        "--seed",
        "1",
        "--days",
        "0.6",
        "--customers",
        "200",
        "--out",
        str(tmp_path),
    ]
    subprocess.run(command, check=True, capture_output=True)
    truth = json.decode((tmp_path / "truth.json").read_bytes(), type=Truth)
    lines = {topic: (tmp_path / f"{topic}.tsv").read_bytes().split(b"\n")[:-1] for topic in truth.sent}
    assert {topic: len(sent) - 864 for topic, sent in lines.items()} == truth.sent
    parts = [line.partition(b"\t") for line in lines["pos.events"]]
    chain = Chain(1, customers=200, days=0.6)
    assert [(key.decode(), value) for key, _, value in parts] == [
        (record.key, record.value) for record in chain.records() if record.topic == "pos.events"
    ]
    assert len(list(csv.DictReader((tmp_path / "stores.csv").open()))) == 24


def test_records_come_lazily():
    record = next(iter(Chain(1, days=10_000).records()))
    assert isinstance(record, Record)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--out", "/dev/null/sim"], "--out: /dev/null/sim cannot be written"),
        (["--days", "1e9"], "out of range"),
        (
            ["--stores", "10000000000"],
            "expected 1,000,000 stores and 100,000,000 customers at most, found 10,000,000,000",
        ),
        (["--days", "nan"], "expected at least one store, one customer and one minute"),
        (["--days", "inf"], "expected at least one store, one customer and one minute"),
        (["--start", "monday"], "--start: expected RFC 3339 with offset such as"),
    ],
)
def test_a_wrong_word_gets_one_line(tmp_path, words, told):
    command = [sys.executable, "-m", "sim", "--customers", "5", "--out", str(tmp_path), *words]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert told in ended.stderr.splitlines()[-1]
