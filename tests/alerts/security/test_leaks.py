"""Exported customers who come back with coupons: whoever took them hears of it, once, and a rule counts."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.security.job import SecurityJob
from alerts.security.leaks import (
    MOST_EXPORTS,
    MOST_WAITING,
    REMEMBERED_MS,
    LeaksJob,
    RedemptionsJob,
    exposures,
    name_of,
)
from config import settings as conf
from features.check import Limits
from features.events import AuditExport, AuditTold, CouponRedeemed, Order, decode_audit, encode
from features.job import Message
from features.loop import Store, batches, run
from features.stores import Stores
from features.times import DAY_MS, HOUR_MS, MINUTE_MS
from flows.guards import load_security_rules, security_texts

START_MS = 1_777_824_000_000
RULES = load_security_rules(security_texts(conf.load(environ={})))


def export(at_ms: int, actor: str = "ann", *customers: str, **more: Any) -> AuditExport:
    common = {"time": at_ms, "at_ms": at_ms, "actor": actor, "rows": 9, **more}
    return AuditExport(id=f"x{at_ms}-{actor}", customers=[*customers], **common)


def redeemed(at_ms: int, customer: str, device: str = "d1") -> CouponRedeemed:
    return CouponRedeemed(id=f"r{at_ms}", at_ms=at_ms, customer=customer, coupon="cp", device=device)


def security(events: list[Any]) -> Store:
    job = SecurityJob(RULES, Stores("Asia/Shanghai"), Limits(10**6, 0, 10**15), 24 * 90)
    return run(job, batches("audit.events", 0, [encode(event) for event in events]), {0: Store()})[0]


def exposed(events: list[Any]) -> list[Message]:
    """What exports and redemptions say, in the order in which they happened."""
    found = []
    for event in events:
        if isinstance(event, AuditExport):
            found += exposures("exposures", event)
        else:
            found += run(RedemptionsJob("exposures"), batches("events", 0, [encode(event)]), {0: Store()})[0].sent
    return found


def back(events: list[Any], cuts: list[int] | None = None) -> list[AuditTold]:
    values = [message.value for message in exposed(events)]
    store = run(LeaksJob("audit.events", "dead-letters"), batches("exposures", 0, values, cuts or []), {0: Store()})[0]
    return [decode_audit(message.value) for message in store.sent]  # type: ignore[misc]


def test_a_list_that_is_used_on_one_device_is_a_finding_about_whoever_took_it() -> None:
    taken = export(START_MS, "ann", *(f"c{n}" for n in range(40)))
    assert [m for m in security([taken]).sent if m.topic == "exposures"] == exposed([taken])
    told = back([taken, *(redeemed(START_MS + n * HOUR_MS, f"c{n}") for n in range(1, 6))])
    findings = [json.loads(m.value)["data"] for m in security([taken, *told]).sent if m.topic == "alerts"]
    (leak,) = [finding for finding in findings if finding["rule"] == "leaked_customers"]
    assert (leak["actor"], leak["observed"], leak["group"]["device"]) == ("ann", 4, "d1")


def test_guests_on_phones_of_their_own_are_none() -> None:
    taken = export(START_MS, "ann", *(f"c{n}" for n in range(40)))
    told = back([taken, *(redeemed(START_MS + n * HOUR_MS, f"c{n}", f"d{n}") for n in range(1, 9))])
    findings = [json.loads(m.value)["data"]["rule"] for m in security([taken, *told]).sent if m.topic == "alerts"]
    assert len(told) == 8
    assert "leaked_customers" not in findings


steps = st.tuples(
    st.integers(0, 45), st.sampled_from(["export", "redeem"]), st.sampled_from("abc"), st.sampled_from(["c1", "c2"])
)


@settings(deadline=None)
@given(st.lists(steps, max_size=12), st.lists(st.integers(1, 12), max_size=3))
def test_who_hears_of_a_redemption_is_who_exported_the_customer_within_thirty_days_before(
    script: list[tuple[int, str, str, str]], cuts: list[int]
) -> None:
    script = sorted(script, key=lambda step: step[0])
    events = [
        export(START_MS + day * DAY_MS + n, actor, customer)
        if what == "export"
        else redeemed(START_MS + day * DAY_MS + n, customer)
        for n, (day, what, actor, customer) in enumerate(script)
    ]
    wanted = []
    for place, event in enumerate(events):
        if isinstance(event, CouponRedeemed):
            before = [one for one in events[:place] if isinstance(one, AuditExport)]
            near = [one for one in before if event.at_ms - REMEMBERED_MS < one.time and event.customer in one.customers]
            wanted += [(actor, event.id) for actor in sorted({one.actor for one in near})]
    told = back(events, cuts)
    assert [(each.actor, f"r{each.time}") for each in told] == wanted
    assert len({each.id for each in told}) == len(told)


def test_no_customer_id_is_written() -> None:
    events = [export(START_MS, "ann", "c-secret-1"), redeemed(START_MS + 1, "c-secret-1")]
    messages = exposed(events)
    store = run(
        LeaksJob("audit.events", "dead-letters"), batches("exposures", 0, [m.value for m in messages]), {0: Store()}
    )[0]
    written = b"".join([m.value + m.key.encode() for m in messages + store.sent] + [*store.records.values()])
    assert b"c-secret" not in written
    assert all("c-secret" not in name for name in store.records)
    assert name_of("c-secret-1").encode() in written


def test_what_says_nothing_says_nothing() -> None:
    order = Order(id="o", at_ms=START_MS, customer="c1", lines=[], total_cents=1, device="d1")
    broken = b'{"type":"coupon_redeemed","device":'
    values = [encode(order), encode(redeemed(START_MS, "c1", "")), encode(redeemed(START_MS, "")), broken]
    assert run(RedemptionsJob("x"), batches("events", 0, values), {0: Store()})[0].sent == []
    assert exposed([export(START_MS, "ann", "c1", result="denied")]) == []


def test_records_are_small_and_end() -> None:
    many = [export(START_MS + n, f"a{n}", "c1") for n in range(MOST_EXPORTS + 5)]
    values = [message.value for message in exposed([*many, redeemed(START_MS + DAY_MS, "c1")])]
    later = [message.value for message in exposed([export(START_MS + 40 * DAY_MS, "ann", "c2", result="ok")])]
    store = run(LeaksJob("audit.events", "dead-letters"), batches("exposures", 0, values), {0: Store()})[0]
    assert len(store.sent) == MOST_EXPORTS
    run(LeaksJob("audit.events", "dead-letters"), batches("exposures", 0, later, first=len(values)), {0: store})
    (left,) = store.records
    assert left == f"exposed|{name_of('c2')}"
    assert [*store.timers] == [left]


def test_redemptions_of_customers_whom_nobody_exported_are_few_and_end() -> None:
    times = [START_MS + n for n in range(MOST_WAITING + 5)]
    values = [message.value for message in exposed([redeemed(at_ms, "c1") for at_ms in times])]
    late = [message.value for message in exposed([export(START_MS, "ann", "c1")])]
    job, store = LeaksJob("audit.events", "dead-letters"), Store()
    run(job, batches("exposures", 0, values + late), {0: store})
    assert len(store.sent) == MOST_WAITING
    later = [message.value for message in exposed([redeemed(START_MS + 3 * DAY_MS, "c2")])]
    store = run(job, batches("exposures", 0, values + later), {0: Store()})[0]
    assert [*store.records] == [f"exposed|{name_of('c2')}"]


@given(st.lists(st.tuples(st.integers(0, 1400), st.booleans(), st.sampled_from("abc")), max_size=12), st.randoms())
def test_it_does_not_matter_which_of_a_days_words_come_first(
    script: list[tuple[int, bool, str]], order: Random
) -> None:
    """Exports of each actor are one, for of several the latest counts."""
    exports = {actor: minute for minute, is_export, actor in script if is_export}
    events: list[Any] = [export(START_MS + minute * MINUTE_MS, actor, "c1") for actor, minute in exports.items()]
    events += [redeemed(START_MS + minute * MINUTE_MS + 1, "c1") for minute, is_export, _ in script if not is_export]
    in_order = {each.id for each in back(sorted(events, key=lambda event: event.at_ms))}
    order.shuffle(events)
    assert {each.id for each in back(events)} == in_order


def test_who_came_before_the_export_is_not_back() -> None:
    assert back([export(START_MS + 2 * DAY_MS, "ann", "c1"), redeemed(START_MS + DAY_MS, "c1")]) == []


def test_a_broken_word_is_a_dead_letter_and_stops_no_other() -> None:
    words = [message.value for message in exposed([export(START_MS, "ann", "c1"), redeemed(START_MS + 1, "c1")])]
    broken = [b"{", b"\xff", b'{"customer":1}', b'{"customer":"c","event":"e"}']
    values = [words[0], *broken, words[1]]
    store = run(LeaksJob("audit.events", "dead-letters"), batches("exposures", 0, values), {0: Store()})[0]
    letters = [message for message in store.sent if message.topic == "dead-letters"]
    assert [(letter.value, letter.headers["reason"]) for letter in letters] == [(raw, "malformed") for raw in broken]
    assert [decode_audit(m.value).actor for m in store.sent if m.topic == "audit.events"] == ["ann"]  # type: ignore[union-attr]
    assert store.position.counts == {"dead_lettered": 4, "dead_lettered:malformed": 4}
