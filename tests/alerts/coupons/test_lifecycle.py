"""What becomes of coupons, against a slow and obvious ledger of all that was ever issued."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from alerts.coupons.check import state
from alerts.coupons.code import serial_of
from alerts.coupons.lifecycle import Lifecycle
from alerts.triggers.gifts import Then
from alerts.triggers.merging import Merging
from alerts.triggers.receipts.receipt import decision_id
from alerts.triggers.rule import Rule
from features import events as e
from features.loop import batches, run
from features.record import Ledger, decode_ledger
from features.times import DAY_MS, HOUR_MS
from tests.alerts.coupons.book import JOB, after, expected, held, told
from tests.alerts.coupons.streams import FREE, RULES, START_MS, code, decision, lives, order
from tests.alerts.triggers.jobs import CATALOG, customers_job, data_of, encoded
from tests.features.streams import cuts
from tests.world import World


@settings(max_examples=150, deadline=None)
@given(lives(abuse=True))
def test_the_verdicts_are_those_of_a_plain_book_of_all_coupons(log: list[e.Event]) -> None:
    store = after(log)
    assert told(store) == expected(log, data_of(store, "coupons"))


@settings(max_examples=60, deadline=None)
@given(lives(abuse=True), cuts)
def test_batches_cut_anywhere_give_the_same_verdicts_records_and_counts(log: list[e.Event], cuts: list[int]) -> None:
    whole, single, cut = after(log), after(log, list(range(len(log)))), after(log, cuts)
    for store in (single, cut):
        assert [m for m in store.sent if m.topic != "examples"] == [m for m in whole.sent if m.topic != "examples"]
        assert (store.records, store.position) == (whole.records, whole.position)


@settings(max_examples=30, deadline=None)
@given(lives(abuse=True), cuts, st.integers(0, 30))
def test_a_replay_says_the_same_under_the_same_ids(log: list[e.Event], cuts: list[int], kept: int) -> None:
    store = after(log[:kept], cuts)
    replayed = after(log, cuts, deepcopy(store))
    ids = [orjson.loads(m.value)["id"] for m in replayed.sent if m.topic == "redemptions"]
    assert len(set(ids)) == len(ids)
    assert told(replayed) == told(after(log))


def redeemed(hours: int, customer: str = "ca", rule: str = "free", id: str = "", **more: Any) -> e.CouponRedeemed:
    """The coupon of ca's first order."""
    common = {"customer": customer, "at_ms": START_MS + hours * HOUR_MS, "tz": "UTC", "coupon": FIRST[rule]}
    return e.CouponRedeemed(id=id or f"r{hours}", **{**common, "order": "till-1", **more})


def undone(kind: type[e.Refund], hours: int, order: str) -> e.Refund:
    at_ms = START_MS + hours * HOUR_MS
    common = {"customer": "ca", "at_ms": at_ms, "tz": "UTC", "ordered_time": 0, "ordered_ms": at_ms}
    return kind(id=f"u{hours}", **common, order=order, amount_cents=1)


FIRST = {"free": code("free", "ca", 0, START_MS), "bound": code("bound", "ca", 1, START_MS)}
BEFORE: list[e.Event] = [order("ca", 0, START_MS), order("ca", 1, START_MS), order("cb", 0, START_MS)]
ENDS_H = FREE.valid_ms // HOUR_MS


def verdicts(*log: e.Event) -> list[tuple[str, str]]:
    return [(turn, reason) for turn, reason, _, _ in told(after([*BEFORE, *log]))]


def test_a_coupon_is_used_once_by_its_customer_and_before_it_ends() -> None:
    assert verdicts(redeemed(1)) == [("redeemed", "")]
    assert verdicts(redeemed(1), redeemed(2)) == [("redeemed", ""), ("refused", "already_redeemed")]
    assert verdicts(redeemed(1, customer="cb")) == [("refused", "not_yours")]
    assert verdicts(redeemed(ENDS_H - 1)) == [("redeemed", "")]
    assert verdicts(redeemed(ENDS_H)) == [("refused", "expired")]
    forged = FIRST["free"][:-1] + ("0" if FIRST["free"][-1] != "0" else "1")
    assert verdicts(redeemed(1, coupon=forged)) == [("refused", "forged")]
    assert verdicts(redeemed(1, coupon="WB5")) == []


def test_a_coupon_bound_to_a_place_and_a_minimum_is_refused_elsewhere_and_below() -> None:
    enough = {"rule": "bound", "total_cents": 2_000}
    assert verdicts(redeemed(1, store="s1", **enough)) == [("redeemed", "")]
    assert verdicts(redeemed(1, store="s9", region="east", **enough)) == [("redeemed", "")]
    assert verdicts(redeemed(1, store="s9", **enough)) == [("refused", "wrong_store")]
    assert verdicts(redeemed(1, rule="bound", store="s1", total_cents=1_999)) == [("refused", "below_minimum")]


def test_a_refusal_leaves_the_coupon_as_it_was() -> None:
    refused = redeemed(1, rule="bound", store="s9", total_cents=2_000)
    accepted = redeemed(2, rule="bound", store="s1", total_cents=2_000)
    assert verdicts(refused, accepted) == [("refused", "wrong_store"), ("redeemed", "")]


def test_refund_or_void_of_the_order_takes_back_what_it_earned_unless_it_is_used() -> None:
    for kind in (e.Refund, e.Void):
        name = kind.__name__.lower()
        assert verdicts(undone(kind, 1, "ca-o0"), redeemed(2)) == [("revoked", name), ("refused", "revoked")]
        assert verdicts(redeemed(1), undone(kind, 2, "ca-o0")) == [("redeemed", "")]
        assert verdicts(undone(kind, ENDS_H, "ca-o0")) == []


def test_a_till_that_was_offline_when_the_coupon_was_taken_back_has_used_it_before() -> None:
    assert verdicts(undone(e.Refund, 3, "ca-o0"), redeemed(2)) == [("revoked", "refund"), ("redeemed", "")]


def test_a_void_of_the_order_gives_the_coupon_back_and_a_refund_does_not() -> None:
    again = redeemed(4, order="till-2")
    assert verdicts(redeemed(1), undone(e.Void, 3, "till-1"), again) == [
        ("redeemed", ""),
        ("restored", ""),
        ("redeemed", ""),
    ]
    assert verdicts(redeemed(1), undone(e.Refund, 3, "till-1"), again)[1:] == [("refused", "already_redeemed")]
    assert verdicts(redeemed(1), undone(e.Void, ENDS_H, "till-1")) == [("redeemed", "")]


def test_what_was_earned_by_an_undone_order_does_not_come_back() -> None:
    log = redeemed(1), undone(e.Refund, 2, "ca-o0"), undone(e.Void, 3, "till-1"), redeemed(4)
    assert verdicts(*log) == [("redeemed", ""), ("revoked", "refund"), ("refused", "revoked")]


def test_state_is_that_of_a_time() -> None:
    common = {"customer": "ca", "tz": "UTC", "coupon": decision("free", "ca", 0)}
    delivered = e.CouponDelivered(id="d", at_ms=START_MS + HOUR_MS, **common)
    opened = e.CouponOpened(id="o", at_ms=START_MS + 2 * HOUR_MS, **common)
    store = after([*BEFORE, opened, delivered, redeemed(3)])
    coupon = held(store)[serial_of(decision("free", "ca", 0))]
    states = [state(coupon, START_MS + hours * HOUR_MS) for hours in range(4)]
    assert states == ["issued", "delivered", "opened", "redeemed"]
    unused = held(after(BEFORE))[serial_of(decision("free", "ca", 0))]
    assert state(unused, START_MS + ENDS_H * HOUR_MS) == "expired"
    revoked = held(after([*BEFORE, undone(e.Void, 1, "ca-o0")]))[serial_of(decision("free", "ca", 0))]
    assert state(revoked, START_MS + 2 * HOUR_MS) == "revoked"


def test_ended_coupons_go_when_another_comes_some_time_later() -> None:
    late = order("ca", 2, START_MS + FREE.valid_ms + 29 * DAY_MS)
    later = order("ca", 3, START_MS + FREE.valid_ms + 30 * DAY_MS)
    assert serial_of(decision("free", "ca", 0)) in held(after([*BEFORE, late]))
    assert serial_of(decision("free", "ca", 0)) not in held(after([*BEFORE, later]))
    assert told(after([*BEFORE, later, redeemed(ENDS_H + 24)]))[0][:2] == ("refused", "expired")


def suppressed(hours: int, reason: str, customer: str = "ca", **more: Any) -> e.Suppress:
    at_ms = START_MS + hours * HOUR_MS
    return e.Suppress(id=f"s{hours}", customer=customer, tz="UTC", at_ms=at_ms, reason=reason, **more)


def test_under_review_nothing_can_be_used() -> None:
    assert verdicts(suppressed(2, "review"), redeemed(2), redeemed(1)) == [("refused", "held"), ("redeemed", "")]


def test_confirmed_abuse_takes_back_each_coupon_that_is_not_used_once_and_for_good() -> None:
    store = after([*BEFORE, redeemed(1), suppressed(2, "abuse"), suppressed(3, "abuse"), redeemed(4, rule="bound")])
    assert [one[:3] for one in told(store)] == [
        ("redeemed", "", decision("free", "ca", 0)),
        ("revoked", "abuse", decision("free", "ca", 1)),
        ("revoked", "abuse", decision("bound", "ca", 1)),
        ("revoked", "abuse", decision_id("again", "ca", "r1")),
        ("refused", "revoked", decision("bound", "ca", 1)),
    ]
    assert not any(coupon.revoked_ms for coupon in held(store, "cb").values())
    late = verdicts(suppressed(2, "abuse"), suppressed(3, "abuse", lift=True), redeemed(4))
    assert late == [("revoked", "abuse")] * 3 + [("refused", "revoked")]


def test_no_other_word_on_suppression_takes_coupons_back() -> None:
    words = [suppressed(1, "review"), suppressed(2, "complaint"), suppressed(3, "abuse", lift=True)]
    assert verdicts(*words) == []


def test_a_void_gives_nothing_back_to_whom_abuse_was_confirmed() -> None:
    log = redeemed(1), suppressed(2, "abuse"), undone(e.Void, 3, "till-1"), redeemed(4)
    assert verdicts(*log)[-2:] == [("revoked", "abuse"), ("refused", "revoked")]


def test_without_a_key_coupons_have_no_code_and_are_known_by_their_decision() -> None:
    job = customers_job(RULES, lifecycle=Lifecycle("redemptions", None, DAY_MS))
    common = {"customer": "ca", "at_ms": START_MS + HOUR_MS, "tz": "UTC"}
    opened = e.CouponOpened(id="o", coupon=decision("free", "ca", 0), **common)
    store = run(job, batches("events", 0, encoded([*BEFORE, opened, redeemed(2)])))[0]
    assert {coupon["code"] for coupon in data_of(store, "coupons")} == {""}
    assert [turn for turn, *_ in told(store)] == ["opened"]


def test_codes_leave_on_the_topic_of_coupons_alone_and_are_not_kept() -> None:
    store = after([*BEFORE, redeemed(1), redeemed(2), undone(e.Void, 3, "till-1")])
    shown = FIRST["free"]
    where = {message.topic for message in store.sent if shown.encode() in message.value}
    assert where == {"coupons"}
    assert data_of(store, "coupons")[0]["code"] == shown
    plain = shown.replace("-", "").encode()
    assert not any(text in raw for raw in store.records.values() for text in (shown.encode(), plain))


def merged(after: list[e.Event]) -> World:
    """ca earns a coupon, ca and cb become ca, and then something happens."""
    world = World(Merging(JOB, "events"))
    for event in BEFORE:
        world.tell(event)
    world.merge("ca", "cb", START_MS)
    world.settle()
    for event in after:
        world.tell(event)
        world.settle()
    return world


def all_told(world: World) -> list[tuple[str, str]]:
    return [(turn, reason) for store in world.stores.values() for turn, reason, _, _ in told(store)]


def test_two_customers_who_become_one_have_the_coupons_of_both() -> None:
    theirs = code("free", "cb", 0, START_MS)
    assert all_told(merged([redeemed(1), redeemed(2, coupon=theirs)])) == [("redeemed", ""), ("redeemed", "")]
    assert all_told(merged([redeemed(1, coupon=theirs), redeemed(2, coupon=theirs)])) == [
        ("redeemed", ""),
        ("refused", "already_redeemed"),
    ]


def ledger_of(world: World, customer: str) -> Ledger:
    _, record = world.record(customer)
    return decode_ledger(record[JOB.core.merge(record, b"", 0).ledger :]) if record else Ledger()


@settings(max_examples=40, deadline=None)
@given(lives())
def test_a_merge_adds_up_the_coupons_of_both_as_they_are(log: list[e.Event]) -> None:
    apart, joined = World(Merging(JOB, "events")), World(Merging(JOB, "events"))
    for event in log:
        apart.tell(event)
        joined.tell(event)
    joined.merge("ca", "cb", START_MS)
    apart.settle()
    joined.settle()
    assert ledger_of(joined, "cb").coupons == ledger_of(apart, "ca").coupons | ledger_of(apart, "cb").coupons
    assert sorted(all_told(joined)) == sorted(all_told(apart))


def test_what_is_told_of_the_customer_merged_away_reaches_the_coupon() -> None:
    common = {"customer": "cb", "tz": "UTC", "coupon": decision("free", "cb", 0)}
    world = merged([e.CouponDelivered(id="d", at_ms=START_MS + HOUR_MS, **common)])
    assert world.record("cb")[0] == "ca"
    assert ledger_of(world, "cb").coupons[serial_of(decision("free", "cb", 0))].delivered_ms == START_MS + HOUR_MS


@pytest.mark.parametrize("confirmed", [["ca"], ["cb"], ["ca", "cb"]])
@pytest.mark.parametrize("merged_first", [False, True])
def test_confirmed_abuse_takes_back_the_coupons_of_both_whether_they_are_one_before_or_after(
    confirmed: list[str], merged_first: bool
) -> None:
    world = World(Merging(JOB, "events"))
    for event in [*BEFORE, redeemed(1)]:
        world.tell(event)
    words = [replace(suppressed(2, "abuse"), id=f"s{name}", customer=name) for name in confirmed]
    world.settle()
    if merged_first:
        world.merge("ca", "cb", START_MS + 3 * HOUR_MS)
        world.settle()
    for word in words:
        world.tell(word)
    world.settle()
    if not merged_first:
        world.merge("ca", "cb", START_MS + 3 * HOUR_MS)
        world.settle()
    world.tell(replace(suppressed(4, "abuse", lift=True), customer="ca"))
    world.tell(redeemed(5, coupon=code("free", "cb", 0, START_MS)))
    world.settle()
    said = [one for store in world.stores.values() for one in told(store)]
    issued = {one["decision"] for store in world.stores.values() for one in data_of(store, "coupons")}
    taken = [decision for turn, _, decision, _ in said if turn == "revoked"]
    assert sorted(taken) == sorted(issued - {decision("free", "ca", 0)})  # each once, but for the one that was used
    answers = sorted(one[:2] for one in said if one[0] != "revoked")
    assert answers == [("redeemed", ""), ("refused", "revoked")]


def test_a_confirmation_that_was_lifted_takes_nothing_back_from_whom_is_merged_later() -> None:
    world = World(Merging(JOB, "events"))
    for event in [*BEFORE, suppressed(1, "abuse"), suppressed(2, "abuse", lift=True)]:
        world.tell(event)
    world.settle()
    world.merge("ca", "cb", START_MS + 3 * HOUR_MS)
    world.settle()
    world.tell(redeemed(5, coupon=code("free", "cb", 0, START_MS)))
    world.settle()
    assert [one for one in all_told(world) if one[0] != "revoked"] == [("redeemed", "")]


def test_a_ledger_written_before_there_were_coupons_is_read() -> None:
    old = msgspec.msgpack.encode([{"free": 1}, [1], {"cz": [3, True]}, {"c": 2}])
    assert decode_ledger(old).coupons == {}


def test_whoever_is_forgotten_has_no_coupons_any_more() -> None:
    job = customers_job(RULES)
    word = e.Forget(id="f", customer="ca", at_ms=START_MS)
    store = run(job, batches("events", 0, encoded([*BEFORE, word, redeemed(1)]), cuts=[3, 4]))[0]
    assert store.records.keys() == {"cb"}
    assert told(store) == []


def test_rules_do_not_see_codes() -> None:
    """They would go into receipts."""
    rule = Rule(id="used", on=["coupon_redeemed"], when="coupon = coupon", then=Then("u"), cooldown="0s")
    job = customers_job([*RULES, rule])
    log = encoded([*BEFORE, redeemed(1), redeemed(2, coupon="WB5")])
    decisions = data_of(run(job, batches("events", 0, log))[0], "decisions")
    assert [one["values"]["coupon"] for one in decisions if one["rule"] == "used"] == [None, "WB5"]


def test_a_refund_takes_back_the_points_that_the_order_earned_in_its_own_month() -> None:
    bought = e.Order(id="big", customer="ca", at_ms=START_MS, tz="UTC", lines=[e.Line("tea")], total_cents=50_000)
    next_month_ms = START_MS + 40 * DAY_MS
    undo = {"id": "u", "customer": "ca", "tz": "UTC", "at_ms": next_month_ms, "order": "big", "ordered_time": 0}

    def points(*log: e.Event) -> float:
        record = after([*log]).records["ca"]
        return dict(zip(CATALOG.names, JOB.core.row(record, next_month_ms), strict=True))["points_balance"]

    assert points(bought) == 500
    for kind, amount_cents, left in ((e.Refund, 20_000, 300), (e.Refund, 50_000, 0), (e.Void, 50_000, 0)):
        assert points(bought, kind(**undo, ordered_ms=START_MS, amount_cents=amount_cents)) == left
