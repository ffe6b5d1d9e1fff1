"""What becomes of a case: whom it holds, how it ends, and what a human's word does."""

from __future__ import annotations

from random import Random

import pytest
from msgspec.structs import replace

from alerts.abuse.account import decode_account
from alerts.abuse.signals import Allow, Signals
from features import events as e
from features.times import DAY_MS
from tests.abusetown import NOON_MS, SIGNALS, Town

DEVICE = "device:phone"
FARM = [f"farm-{n}" for n in range(5)]


@pytest.fixture
def town() -> Town:
    return Town(Random(1))


def seen(customer: str, at_ms: int = NOON_MS, device: str = DEVICE, channel: str = "app") -> e.Event:
    return e.Login(id=f"{customer}{at_ms}{device}", customer=customer, at_ms=at_ms, device=device, channel=channel)


def farm(count: int = 5) -> list[e.Event]:
    return [seen(who, NOON_MS + n) for n, who in enumerate(FARM[:count])]


def ticks(at_ms: int) -> list[e.Event]:
    return [e.Tick(id=f"{n}/{at_ms}", source=str(n), of=2, at_ms=at_ms) for n in range(2)]


def merged(customer: str, into: str) -> e.Event:
    return e.Merge(id=f"{customer}>{into}", customer=customer, into=into, at_ms=NOON_MS)


def case_of(town: Town, signal: str = "device") -> dict:
    [case] = [case for case in town.reviews.values() if case["signal"] == signal]
    return case


def test_all_accounts_of_a_crowded_device_are_held_but_the_oldest(town: Town) -> None:
    town.live(farm())
    case = case_of(town)
    assert (case["customers"], case["held"]) == (FARM, FARM[1:])
    assert case["why"] == "5 accounts on one device within 7 days, the limit is 3 (seen 2026-05-04 to 2026-05-04)"
    assert town.suppressed() == {*FARM[1:]}


def test_a_family_on_one_phone_and_a_tablet_of_a_store_are_left_in_peace(town: Town) -> None:
    town.live([*farm(3), *(seen(f"guest-{n}", device="device:tablet", channel="kiosk") for n in range(30))])
    assert town.reviews == {}


def test_an_account_remembers_so_many_devices_however_many_there_are_in_a_day(town: Town) -> None:
    town.live([seen("restless", NOON_MS + n, f"device:{n}") for n in range(300)])
    [account] = [store.records["restless"] for store in town.judged.values() if "restless" in store.records]
    assert len(decode_account(account).traces.devices) == 200
    assert sum(store.position.counts.get("traces_beyond_limit", 0) for store in town.judged.values()) == 100


def test_a_device_that_is_allowed_may_have_many_accounts() -> None:
    town = Town(Random(1), replace(SIGNALS, allow=Allow(devices=[DEVICE])))
    town.live(farm())
    assert town.reviews == {}


def test_nobody_is_held_twice_however_often_the_same_is_seen(town: Town) -> None:
    town.live([*farm(), *farm(), *(seen(who, NOON_MS + DAY_MS) for who in FARM)])
    assert sorted(word.customer for word in town.words) == FARM[1:]
    assert len({word.id for word in town.words}) == len(town.words)


def test_a_hold_ends_by_itself_after_the_limit_of_the_file(town: Town) -> None:
    town.live([*ticks(NOON_MS), *farm()])
    assert town.words
    assert all(NOON_MS + 7 * DAY_MS <= word.until_ms < NOON_MS + 7 * DAY_MS + 60_000 for word in town.words)


def test_who_turns_out_to_be_one_customer_is_one_account_and_a_case_without_ground_is_withdrawn(town: Town) -> None:
    town.live(farm(4))
    assert town.suppressed() == {*FARM[1:4]}
    town.live([merged(FARM[3], FARM[2])])
    assert case_of(town)["state"] == "withdrawn"
    assert town.suppressed() - {FARM[3]} == set()


def test_what_a_merged_account_does_late_counts_for_whom_it_has_become(town: Town) -> None:
    town.live([merged(FARM[1], FARM[0]), *farm(4)])
    assert town.reviews == {}
    town.live([seen(FARM[4])])
    assert case_of(town)["customers"] == sorted({*FARM} - {FARM[1]})


def test_released_customers_are_let_go_and_only_others_open_another_case(town: Town) -> None:
    town.live(farm())
    first = case_of(town)["case"]
    town.decide(first, "released", NOON_MS + 1)
    assert town.suppressed() == set()
    assert (town.reviews[first]["state"], town.reviews[first]["decided_by"]) == ("released", "anna")
    town.live([seen(who, NOON_MS + DAY_MS) for who in FARM])
    town.live([seen(f"new-{n}", NOON_MS + DAY_MS) for n in range(3)])
    assert town.standing() == set()
    town.live([seen("new-3", NOON_MS + DAY_MS)])
    [again] = town.standing()
    assert again.members == {f"new-{n}" for n in range(4)}


def test_confirmed_customers_are_suppressed_without_end_and_the_next_account_is_a_case_at_once(town: Town) -> None:
    town.live(farm())
    first = case_of(town)["case"]
    town.decide(first, "confirmed", NOON_MS + 1)
    assert town.suppressed("abuse") == {*FARM[1:]}
    assert {word.until_ms for word in town.words if word.reason == "abuse"} == {0}
    assert town.suppressed("review") == set()
    town.live([seen("farm-9", NOON_MS + DAY_MS)])
    [again] = town.standing()
    assert again.held == {"farm-9"}
    assert town.suppressed("abuse") == {*FARM[1:]}


def test_a_human_may_think_again(town: Town) -> None:
    town.live(farm())
    case = case_of(town)["case"]
    town.decide(case, "confirmed", NOON_MS + 1)
    town.decide(case, "confirmed", NOON_MS + 2)
    assert len([word for word in town.words if word.reason == "abuse"]) == 4
    town.decide(case, "released", NOON_MS + 3, by="bert")
    assert town.suppressed("abuse") == set()
    assert town.reviews[case]["decided_by"] == "bert"


def test_who_is_held_by_two_cases_is_let_go_when_both_are_released(town: Town) -> None:
    town.live([*farm(), *(seen(who, device="device:other") for who in FARM)])
    one, two = sorted(town.reviews)
    town.decide(one, "released", NOON_MS)
    both = {*town.reviews[one]["held"]} & {*town.reviews[two]["held"]}
    assert both <= town.suppressed()
    town.decide(two, "released", NOON_MS)
    assert town.suppressed() == set()


def held_twice(town: Town, days: int) -> str:
    """One of the farm is held by a second case so many days later; its id."""
    there = ("new-0", "new-1", "new-2", FARM[1])
    other = [seen(who, NOON_MS + days * DAY_MS + n, "device:other") for n, who in enumerate(there)]
    town.live([*ticks(NOON_MS), *farm()])
    town.live([*ticks(NOON_MS + days * DAY_MS), *other])
    [case] = [case["case"] for case in town.reviews.values() if case["subject"] == "device:other"]
    return case


def test_a_hold_that_ran_out_keeps_nobody_whom_a_later_case_releases(town: Town) -> None:
    second = held_twice(town, 6)
    town.live(ticks(NOON_MS + 8 * DAY_MS))
    town.decide(second, "released", NOON_MS + 8 * DAY_MS)
    assert FARM[1] not in town.suppressed()


def test_who_is_released_by_the_case_that_holds_longest_is_held_as_long_as_the_other_does(town: Town) -> None:
    second = held_twice(town, 3)
    town.decide(second, "released", NOON_MS + 3 * DAY_MS)
    ends = [(word.until_ms - NOON_MS) // DAY_MS for word in town.words if word.customer == FARM[1]]
    assert ends == [7, 10, 7]


def test_a_decision_on_no_case_of_ours_changes_nothing(town: Town) -> None:
    town.live(farm())
    case = case_of(town)
    town.reviews["other"] = {**case, "case": "other"}
    town.decide("other", "released", NOON_MS)
    del town.reviews["other"]
    assert case_of(town) == case


def order(customer: str, number: int, refunded: bool) -> list[e.Event]:
    at_ms, paid = NOON_MS + number * DAY_MS, {"lines": [e.Line(sku="tea")], "total_cents": 1, "coupon": "TEA"}
    found: list[e.Event] = [e.Order(id=f"{customer}o{number}", customer=customer, at_ms=at_ms, **paid)]
    back = {"order": f"{customer}o{number}", "ordered_time": at_ms, "amount_cents": 1}
    return found + (
        [e.Refund(id=f"{customer}r{number}", customer=customer, at_ms=at_ms + 1, **back)] if refunded else []
    )


def test_a_loop_of_refunds_is_a_case_and_a_customer_with_some_is_none(town: Town) -> None:
    town.live([one for n in range(5) for one in order("looper", n, n != 2)])
    town.live([one for n in range(12) for one in order("unlucky", n, n % 3 == 0)])
    assert (case_of(town, "loop")["held"], case_of(town, "loop")["figures"]["count"]) == (["looper"], 4)
    town.decide(case_of(town, "loop")["case"], "released", NOON_MS)
    assert town.suppressed() == set()
    town.live([one for n in range(6, 9) for one in order("looper", n, True)])
    assert town.standing() == set()
    town.live(order("looper", 9, True))
    assert {verdict.subject for verdict in town.standing()} == {"looper"}


def test_friends_on_the_referrers_phone_are_a_ring_and_friends_with_their_own_are_friends(town: Town) -> None:
    for number, device in enumerate(("device:a", "device:b")):
        names = [f"{device[-1]}-{n}" for n in range(3)]
        town.live(seen(name, device=device if number == 0 else f"device:of-{name}") for name in names)
        town.live(e.Referral(id=f"{name}r", customer=names[0], friend=name, at_ms=NOON_MS) for name in names[1:])
    [ring] = town.standing()
    assert (ring.signal, ring.subject, ring.held) == ("ring", "device:a", {"a-0", "a-1", "a-2"})


def test_a_case_that_nobody_reviews_ends_when_its_facts_are_forgotten_and_no_record_is_left(town: Town) -> None:
    town.live([*ticks(NOON_MS), *farm()])
    town.live(ticks(NOON_MS + 30 * DAY_MS))
    assert len(town.standing()) == 1
    town.live(ticks(NOON_MS + 40 * DAY_MS))
    assert case_of(town)["state"] == "withdrawn"
    town.live(ticks(NOON_MS + 60 * DAY_MS))
    assert [store.records for store in town.judged.values()] == [{}, {}]
    assert [store.timers for store in town.judged.values()] == [{}, {}]


def test_a_confirmed_customer_is_remembered_longer_than_the_facts(town: Town) -> None:
    town.live([*ticks(NOON_MS), *farm()])
    town.decide(case_of(town)["case"], "confirmed", NOON_MS)
    town.live(ticks(NOON_MS + 60 * DAY_MS))
    assert {name for store in town.judged.values() for name in store.records} == {*FARM[1:]}


def test_what_cannot_be_read_is_a_dead_letter(town: Town) -> None:
    town.sightings[0].append(b"{")
    town.rest()
    [letter] = [message for message in town.judged[0].sent if message.topic == "dead-letters"]
    assert (letter.value, letter.headers["reason"]) == (b"{", "malformed")


def test_signals_are_kept_apart_by_their_windows() -> None:
    far = Town(Random(1), Signals(SIGNALS.device, SIGNALS.ring, SIGNALS.loop))
    far.live([seen(who, NOON_MS + n * 3 * DAY_MS) for n, who in enumerate(FARM)])
    assert far.reviews == {}
