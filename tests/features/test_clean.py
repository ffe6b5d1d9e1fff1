"""Ingest's pure part: nothing is lost, nothing raw gets through, everything is placed."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from features import events as e
from features.check import Limits
from features.clean import Cleaner
from features.identity import Pseudonyms, Table
from features.job import Batch, Message
from features.loop import batches, run
from features.partitions import partition_keys, partition_of
from features.stores import Stores
from features.times import DAY_MS, HOUR_MS, local_day, parse_time
from tests.alerts.triggers.jobs import customers_job

NOW_MS = parse_time("2026-05-04T12:00:00+08:00")
EARLIEST_MS = parse_time("1990-01-01T00:00:00Z")
PARTITIONS = 5
STORES = Stores("Asia/Shanghai", {"ny-1": ("east", "America/New_York")})
CLEANER = Cleaner(
    Limits(4_000, EARLIEST_MS, DAY_MS),
    Pseudonyms(b"a key of sixteen", "CN"),
    STORES,
    "events",
    "dead-letters",
    "identities",
    partition_keys(PARTITIONS),
    sources=3,
)


def clean(values: list[bytes], table: Table | None = None) -> tuple[list[Message], list[int], dict[str, int]]:
    offsets = list(range(100, 100 + 2 * len(values), 2))
    stamps_ms = [NOW_MS + index for index in range(len(values))]
    batch = Batch("pos.events", 7, 99, offsets, values, stamps_ms)
    return CLEANER.finish(CLEANER.check(batch), Table() if table is None else table)


def written(type: str, **fields: Any) -> bytes:
    return json.dumps({"type": type, "id": "e1", "time": NOW_MS, **fields}).encode()


def cleaned(value: bytes) -> tuple[str, e.Event]:
    """Key and event of the one message that came of it, beside what Kafka must remember of identifiers."""
    messages, _, _ = clean([value])
    (message,) = (message for message in messages if message.topic != "identities")
    assert message.topic == "events", message.headers
    return message.key, e.decode_event(message.value)


ORDER = {"lines": [{"sku": "tea", "price_cents": 1800}], "total_cents": 1800}
BACK = {"order": "o", "amount_cents": 5, "who": {"card": "C1"}}
WHO = {"who": {"phone": "13800138000"}}
REFUSED = {
    "too_large": written("view", sku="x" * 100, channel="y" * 4000),
    "malformed": b'{"type": "view", ',
    "malformed: not UTF-8": b'{"type": "view", "id": "\xff"}',
    "malformed: nested": b'{"type": "view", "extra": ' + b"[" * 1800 + b"]" * 1800 + b"}",
    "unknown_type": written("espresso"),
    "wrong_type": written("order", lines=[{"sku": "tea"}], total_cents="1800"),
    "wrong_type: time": written("view", time="yesterday"),
    "wrong_type: ordered_time": written("refund", **BACK, ordered_time="yesterday"),
    "out_of_range": written("rating", stars=6, **WHO),
    "missing_id": json.dumps({"type": "view", "time": NOW_MS}).encode(),
    "missing_id: who": written("cart_add", sku="tea"),
    "missing_id: blank who": written("cart_add", sku="tea", who={"card": "  "}),
    "missing_time": json.dumps({"type": "view", "id": "e1"}).encode(),
    "absurd_time": written("view", time=NOW_MS + 2 * DAY_MS),
    "absurd_time: long ago": written("view", time=EARLIEST_MS - 1),
    "absurd_time: refund before its order": written("refund", **BACK, ordered_time=NOW_MS + 1),
    "wrong_type: promised_time": written("delivery_promised", order="o", promised_time="soon", **WHO),
    "absurd_time: promised in a month": written(
        "delivery_promised", order="o", promised_time=NOW_MS + 31 * DAY_MS, **WHO
    ),
    "absurd_time: order long ago": written("void", **BACK, ordered_time=0),
    "out_of_range: suppressed for nothing": written("suppress", **WHO),
    "absurd_time: suppressed until before": written("suppress", reason="vip", until_time=NOW_MS, **WHO),
    "wrong_type: until_time": written("suppress", reason="vip", until_time="June", **WHO),
    "identity": written("view", who={"phone": "12"}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_a_dead_letter_with_reason_place_and_its_own_bytes(case: str) -> None:
    messages, stamps_ms, counts = clean([written("view"), REFUSED[case], written("view")])
    letter, reason = messages[1], case.partition(":")[0]
    assert [message.topic for message in messages] == ["events", "dead-letters", "events"]
    assert letter.value == REFUSED[case]
    assert (letter.headers["reason"], letter.headers["source_offset"]) == (reason, "102")
    assert letter.key == letter.headers["ce_id"] == "pos.events/7/102"
    assert stamps_ms == [NOW_MS, NOW_MS + 1, NOW_MS + 2]
    assert counts["dead_lettered"] == counts[f"dead_lettered:{reason}"] == 1
    assert "13800138000" not in str(letter.headers)


FRAGMENTS = st.sampled_from([*REFUSED.values(), written("view"), written("order", **ORDER, **WHO), written("tick")])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(max_size=40) | FRAGMENTS | st.tuples(FRAGMENTS, st.integers(0, 60), st.binary(max_size=3))))
def test_every_record_comes_out_once_and_the_counts_add_up(parts: list[Any]) -> None:
    values = [p if isinstance(p, bytes) else p[0][: p[1]] + p[2] + p[0][p[1] + len(p[2]) :] for p in parts]
    messages, stamps_ms, counts = clean(values)
    letters = [message for message in messages if message.topic == "dead-letters"]
    assert counts["read"] == len(values) == counts["cleaned"] + counts["dead_lettered"] + counts["ticks"]
    assert [letter.value for letter in letters] == [values[int(m.headers["source_offset"]) // 2 - 50] for m in letters]
    assert len(letters) == counts["dead_lettered"] == sum(n for name, n in counts.items() if ":" in name)
    events = [message for message in messages if message.topic == "events"]
    ticks = [message for message in events if isinstance(e.decode_event(message.value), e.Tick)]
    assert len(events) - len(ticks) == counts["cleaned"]
    assert len(ticks) % PARTITIONS == 0
    assert bool(counts["ticks"]) <= len(ticks) // PARTITIONS <= counts["ticks"]
    assert stamps_ms == sorted(stamps_ms)
    assert len(stamps_ms) == len(messages)


def test_an_event_is_placed_on_its_stores_own_calendar() -> None:
    _, event = cleaned(written("order", **ORDER, store="ny-1", time="2026-05-04T02:30:00Z"))
    assert (event.region, event.tz) == ("east", "America/New_York")
    assert event.day == local_day(parse_time("2026-05-03T12:00:00Z"), "UTC"), "still the evening of the third"
    assert (event.at_ms, event.time) == (parse_time("2026-05-04T02:30:00Z"), 0)


def test_an_unnamed_store_has_no_region_and_the_default_zone() -> None:
    _, event = cleaned(written("order", **ORDER, store="pop-up"))
    assert (event.region, event.tz) == ("", "Asia/Shanghai")


@pytest.mark.parametrize(
    ("fields", "until_ms"),
    [
        ({"reason": "vip", "until_time": "2026-05-05T12:00:00+08:00"}, NOW_MS + DAY_MS),
        ({"reason": "vip"}, 0),
        ({"lift": True, "until_ms": 5}, 0),
    ],
)
def test_a_suppression_ends_when_its_sender_says_or_when_it_is_lifted(fields: dict[str, Any], until_ms: int) -> None:
    _, event = cleaned(written("suppress", **fields, **WHO))
    assert isinstance(event, e.Suppress)
    assert (event.until_ms, event.lift) == (until_ms, fields.get("lift", False))


def test_a_zone_that_was_sent_counts_only_where_the_store_table_does_not_name_the_store() -> None:
    _, pop_up = cleaned(written("order", **ORDER, store="pop-up", tz="Europe/Paris"))
    _, known = cleaned(written("order", **ORDER, store="ny-1", tz="Europe/Paris"))
    assert (pop_up.tz, known.tz) == ("Europe/Paris", "America/New_York")


@pytest.mark.parametrize("tz", ["China", "../etc/passwd", "/etc/localtime", "America", "a\u0000b", "é", "posix/UTC"])
def test_a_zone_that_is_none_is_refused(tz: str) -> None:
    ((letter,), _, counts) = clean([written("order", **ORDER, tz=tz)])
    assert (letter.topic, counts["dead_lettered:wrong_type"]) == ("dead-letters", 1)


def test_what_a_producer_writes_into_our_own_fields_does_not_count() -> None:
    forged = {"customer": "c-victim", "at_ms": 1, "day": 2, "region": "x", "ordered_ms": 3, "ordered_day": 4}
    _, event = cleaned(written("refund", **BACK, **forged, ordered_time=NOW_MS - DAY_MS))
    assert (event.at_ms, event.tz, event.region) == (NOW_MS, "Asia/Shanghai", "")
    assert event.customer not in ("", "c-victim")
    assert cleaned(written("view", customer="c-victim", store="s1"))[1].customer == ""
    assert (event.ordered_ms, event.ordered_day) == (NOW_MS - DAY_MS, event.day - 1)


@pytest.mark.parametrize(
    "type", [kind for kind, event in e.CUSTOMER_EVENTS.items() if event.anonymous and kind not in ("tick", "weather")]
)
def test_an_event_without_a_customer_is_keyed_by_its_store(type: str) -> None:
    back = {"order": "o", "amount_cents": 5, "ordered_time": NOW_MS}
    fields = {
        "order": ORDER,
        "footfall": {"visitors": 9},
        "refund": back,
        "void": back,
        "lead": {"lead": "l"},
        "lead_contacted": {"lead": "l"},
    }.get(type, {})
    key, event = cleaned(written(type, **fields, store="s1"))
    assert (key, event.customer) == ("s1", "")


def test_a_tick_reaches_every_partition_with_its_source_and_the_number_of_sources() -> None:
    messages, _, counts = clean([written("tick", source="forged", of=1)])
    assert sorted(partition_of(message.key, PARTITIONS) for message in messages) == list(range(PARTITIONS))
    for tick in map(e.decode_event, (message.value for message in messages)):
        assert (tick.source, tick.of, tick.at_ms) == ("pos.events/7", 3, NOW_MS)
    assert (counts["ticks"], counts["cleaned"]) == (1, 0)


def times(messages: list[Message]) -> list[tuple[str, int]]:
    """Types and times of the clean events in the partition of the first tick key; in it is all that has no store."""
    events = [e.decode_event(message.value) for message in messages if message.key in ("e1", CLEANER.tick_keys[0])]
    return [(e.kind_of(event), event.at_ms - NOW_MS) for event in events]


def test_of_ticks_only_those_go_that_another_follows_at_once() -> None:
    values = [written(kind, time=NOW_MS + after) for after, kind in enumerate(("view", *["tick"] * 3, "view", "tick"))]
    messages, _, counts = clean([*values, written("view", time=NOW_MS + 6), written("tick", time=NOW_MS + 7)])
    kept = [("view", 0), ("tick", 3), ("view", 4), ("tick", 5), ("view", 6), ("tick", 7)]
    assert (times(messages), counts["ticks"]) == (kept, 5)


def test_a_tick_of_an_earlier_time_supersedes_none() -> None:
    messages, _, _ = clean([written("tick", time=NOW_MS + 5), written("tick", time=NOW_MS + 4)])
    assert times(messages) == [("tick", 5), ("tick", 4)]


@given(st.lists(st.sampled_from(["view", "tick", "espresso"]), max_size=12), st.lists(st.integers(0, 12)))
def test_every_event_stands_between_the_same_ticks_however_the_records_are_cut(
    kinds: list[str], cuts: list[int]
) -> None:
    values = [written(kind, time=NOW_MS + after) for after, kind in enumerate(kinds)]
    edges = sorted({0, len(values), *(cut for cut in cuts if cut < len(values))})
    parts = [clean(values[start:stop])[0] for start, stop in pairwise(edges)]
    whole, found = times(clean(values)[0]), times([message for part in parts for message in part])
    assert [one for one, after in pairwise([*found, ("end", 0)]) if (one[0], after[0]) != ("tick", "tick")] == whole


def test_live_nobody_who_sends_events_moves_the_clock() -> None:
    batch = batches("pos.events", 0, [written("tick"), written("view")])[0]
    batch.stamps_ms = [NOW_MS, NOW_MS]
    cleaner = replace(CLEANER, live=True)
    messages, _, counts = cleaner.finish(cleaner.check(batch), Table())
    assert [message.topic for message in messages] == ["dead-letters", "events"]
    assert (counts["dead_lettered:unknown_type"], counts["ticks"]) == (1, 0)


def test_a_note_among_the_options_is_not_kept_and_its_order_counts() -> None:
    options = {
        "sugar": "half",
        "ice": "３ cubes 12",
        "toppings": "ring Anna, 138 0013 8000",
        "cup": "x" * 65,
        "size": "x" * 64,
    }
    messages, _, counts = clean([written("order", **ORDER | {"lines": [{"sku": "tea", "options": options}]}, **WHO)])
    event = e.decode_event(messages[0].value)
    assert isinstance(event, e.Order)
    assert event.lines[0].options == {**options, "toppings": "other", "cup": "other"}
    assert (counts["notes_left_out"], counts["cleaned"]) == (2, 1)


def test_a_note_that_stands_as_the_name_of_an_option_is_not_kept_either() -> None:
    lines = [{"sku": "tea", "options": {"ring 13800138000": "yes", "ice": "none"}}]
    messages, _, counts = clean([written("order", **ORDER | {"lines": lines}, **WHO)])
    order = e.decode_event(messages[0].value)
    assert isinstance(order, e.Order)
    assert order.lines[0].options == {"ice": "none", "other": "other"}
    assert counts["notes_left_out"] == 1


def test_unknown_fields_are_counted_and_dropped() -> None:
    messages, _, counts = clean([written("view", loyalty="gold", mood=3), written("view", sku="tea")])
    assert counts["unknown_fields"] == 2
    assert b"loyalty" not in messages[0].value


def test_two_identifiers_that_one_batch_links_are_one_customer_from_then_on() -> None:
    table = Table()
    link = written("bind", who={"phone": "138 0013 8000", "card": "C9"})
    messages, stamps_ms, counts = clean([written("view", **WHO), link, written("view", who={"card": "c9"})], table)
    events = [message for message in messages if message.topic == "events"]
    assert len({message.key for message in events}) == 1
    assert (len(events), len(table.links)) == (counts["cleaned"], 2)
    remembered = {m.key: m.value.decode() for m in messages if m.topic == "identities"}
    assert remembered.pop(f"group:{events[0].key}").split() == sorted(table.links)
    assert remembered == table.links == dict.fromkeys(table.links, events[0].key)
    assert [m.topic for m in messages] == ["events", "identities", "events", *["identities"] * 3, "events"]
    assert stamps_ms == [NOW_MS] * 2 + [NOW_MS + 1] * 4 + [NOW_MS + 2]


BOTH = written("bind", who={**WHO["who"], "card": "C9"})


def test_a_bind_of_two_customers_merges_the_one_with_the_larger_id_into_the_other() -> None:
    table = Table()
    messages, _, counts = clean([written("view", **WHO), written("view", who={"card": "C9"}), BOTH], table)
    winner, loser = sorted(m.key for m in messages if m.topic == "events" and b'"view"' in m.value)
    (merge,) = [m for m in messages if b'"merge"' in m.value]
    (bound,) = [m for m in messages if b'"bind"' in m.value]
    assert (merge.key, e.decode_control(merge.value).into, bound.key) == (loser, winner, winner)
    told = {m.key: m.value.decode() for m in messages if m.topic == "identities"}
    assert told[f"customer:{loser}"] == winner
    assert {table.root(told[p]) for p in told if p.startswith(("phone", "card"))} == {winner}
    assert (counts["dead_lettered"], counts["cleaned"]) == (0, 3)


@pytest.mark.parametrize(
    "word",
    [
        {"into": "c1"},
        {"of": "c1", "offset": 1, "layout": "", "record": ""},
        {"event": {}},
        {"by": "c1", "friend": "c1"},
    ],
)
@pytest.mark.parametrize("type", [*e.CONTROL, *e.OWN])
def test_nobody_who_sends_events_can_merge_customers(type: str, word: dict[str, Any]) -> None:
    ((letter,), _, counts) = clean([written(type, customer="c2", **word)])
    assert (letter.topic, counts["dead_lettered:unknown_type"]) == ("dead-letters", 1)


@pytest.mark.parametrize("type", ["unbind", "unmerge"])
def test_to_take_a_customer_apart_again_is_refused_for_its_own_reason(type: str) -> None:
    ((letter,), _, counts) = clean([written(type, who={**WHO["who"], "card": "C9"})])
    assert letter.headers["reason"] == "unmerge"
    assert counts["dead_lettered:unmerge"] == 1


def test_an_event_bears_the_brand_of_its_store_and_of_nobody_else() -> None:
    cleaner = replace(CLEANER, stores=replace(STORES, brands={"ny-1": "Leaf"}))
    batch = batches("pos.events", 0, [written("view", **WHO, store=store, brand="x") for store in ("ny-1", "sh-1")])[0]
    batch.stamps_ms = [NOW_MS] * 2
    messages, _, _ = cleaner.finish(cleaner.check(batch), Table())
    events = [e.decode_event(message.value) for message in messages if message.topic == "events"]
    assert [event.brand for event in events] == ["Leaf", ""]


def test_a_phone_number_is_read_under_the_country_of_its_store() -> None:
    cleaner = replace(CLEANER, stores=replace(STORES, countries={"ny-1": "US"}))
    numbers = [("2125550123", "ny-1"), ("13800138000", "sh-1"), ("+1 212 555 0123", ""), ("138 0013 8000", "")]
    values = [written("view", store=store, who={"phone": phone}) for phone, store in numbers]
    batch = batches("pos.events", 0, values)[0]
    batch.stamps_ms = [NOW_MS] * 4
    messages, _, _ = cleaner.finish(cleaner.check(batch), Table())
    ny, sh, *same = [message.key for message in messages if message.topic == "events"]
    assert [ny, sh] == same


def test_by_what_is_sent_of_a_delivery_no_coupon_counts_and_its_fields_are_checked() -> None:
    said = {"who": {"card": "K1"}, "coupon": "d1", "campaign": "spring", "issued": 1, "issued_ms": NOW_MS}
    _, event = cleaned(written("coupon_delivered", **said))
    assert isinstance(event, e.CouponDelivered)
    assert (event.coupon, event.campaign, event.issued, event.issued_ms) == ("d1", "spring", 0, 0)
    for wrong in ({"coupon": ""}, {"campaign": "x" * 129}, {"campaign": 5}, {"issued": "yes"}):
        messages, _, _ = clean([written("coupon_delivered", **said | wrong)])
        assert [message.topic for message in messages] == ["dead-letters"]


MEMBERS = [
    {
        "phone": f"1391234{n:04d}",
        "card": f"CARD-{n}X",
        "app_id": f"app-{n}Y",
        "openid": f"oWx{n}q",
        "marketplace_id": f"m-{n}z",
    }
    for n in range(7)
]
JOB = customers_job([])
SECRETS = [form.encode() for member in MEMBERS for raw in member.values() for form in {raw, raw.lower()}]
FIELDS: dict[str, dict[str, Any]] = {
    "order": ORDER,
    "refund": {"order": "o", "amount_cents": 5, "ordered_time": NOW_MS - HOUR_MS},
    "void": {"order": "o", "amount_cents": 5, "ordered_time": NOW_MS - HOUR_MS},
    "cart_add": {"sku": "tea"},
    "coupon_issued": {"coupon": "x"},
    "coupon_redeemed": {"coupon": "x"},
    "coupon_expired": {"coupon": "x"},
    "rating": {"stars": 4.5},
    "complaint": {"case": "k"},
    "complaint_answered": {"case": "k"},
    "delivery_promised": {"order": "o", "promised_time": NOW_MS},
    "delivery_delivered": {"order": "o"},
    "referral": {"friend": MEMBERS[0]["app_id"]},
    "consent": {"purpose": "marketing", "granted": True},
    "footfall": {"visitors": 5},
}
visits = st.tuples(
    st.sampled_from([kind for kind in e.SENT_EVENTS if kind != "tick"]),
    st.sampled_from(MEMBERS),
    st.sets(st.sampled_from(sorted(MEMBERS[0])), min_size=1),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(visits, max_size=25))
def test_no_raw_identifier_leaves_ingest_in_an_event_a_record_or_a_decision(visits: list[Any]) -> None:
    values = [
        written(kind, **{"id": f"e{number}", "who": {name: member[name] for name in names}} | FIELDS.get(kind, {}))
        for number, (kind, member, names) in enumerate(visits)
    ]
    table = Table()
    messages, _, _ = clean(values, table)
    events = [message.value for message in messages if message.topic == "events"]
    stores = run(JOB, batches("events", 0, events))
    left = [(m.key, m.value, m.headers) for m in messages if m.topic != "dead-letters"]
    left += [(store.records, store.timers, store.sent) for store in stores.values()]
    found = repr((left, table, [m.headers for m in messages])).encode()
    assert [secret for secret in SECRETS if secret in found] == []
