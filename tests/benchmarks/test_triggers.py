"""Triggers are judged by the truth: what was found rightly, what wrongly, what was missed."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from alerts.triggers.gifts import Then
from alerts.triggers.rule import After, Rule
from benchmarks.oracles import Member, World, members_of, moments
from benchmarks.sentences import ORACLES
from benchmarks.triggers import MODEL, Decision, Life, by_sentence, judged, live, reach
from config.settings import load
from features import events as e
from features.times import DAY_MS, HOUR_MS, MINUTE_MS
from flows.rules import load_rules
from sim import Chain, Truth
from sim.truth import AbandonedCart, Lapse
from sim.wire import Deed

CUSTOMERS = {"app-1": "c1", "app-2": "c2", "app-3": "c3"}
CART = Rule("cart-left", "true", Then("X"), "1d", after=After("cart_add", "30m"))
RATING = Rule("bad-rating", "true", Then("X"), "1d", on=["rating"])
BACK = Rule("back", "true", Then("X"), "1d", after=After("order", "14d"), group="winback")
RULES = [CART, RATING, BACK]


def judged_of(truth: Truth, **decisions: list[Decision]) -> dict[str, tuple[float | None, float | None]]:
    by_rule = {rule.id: decisions.get(rule.id.replace("-", "_"), []) for rule in RULES}
    life = Life(truth, 40 * DAY_MS, 3, CUSTOMERS, by_rule)
    return {name: verdict.shares for name, verdict in judged(life, RULES).items()}


def test_a_cart_is_found_by_its_customer_and_moment() -> None:
    truth = Truth(abandoned=[AbandonedCart("app-1", 0), AbandonedCart("app-2", 5), AbandonedCart("app-3", 40 * DAY_MS)])
    wait_ms = 30 * MINUTE_MS
    found = [Decision("c1", wait_ms, "issued"), Decision("c2", wait_ms + 6, "capped")]
    assert judged_of(truth, cart_left=found)["cart-left"] == (0.5, 0.5), "the last one comes too late to be looked at"


def test_who_has_lapsed_by_then_is_won_back_rightly() -> None:
    truth = Truth(lapsed=[Lapse("app-1", 10 * DAY_MS), Lapse("app-2", 20 * DAY_MS), Lapse("app-3", 39 * DAY_MS)])
    found = [Decision("c1", 20 * DAY_MS, "issued"), Decision("c2", 19 * DAY_MS, "issued")]
    verdicts = judged_of(truth, back=found)
    assert verdicts["back"] == verdicts["winback, all"] == (0.5, 0.5), "who lapsed on the last day could not be found"


def test_of_nothing_there_is_no_share() -> None:
    assert judged_of(Truth())["bad-rating"] == (None, None)


def test_a_moment_of_a_sentence_is_found_by_its_customer_within_a_second() -> None:
    said = {"r": {("c1", 5_000), ("c1", 60_000), ("c2", 5_000)}}
    found = [Decision("c1", 5_900, "capped"), Decision("c2", 6_100, "issued"), Decision("c3", 5_000, "issued")]
    life = Life(Truth(), DAY_MS, 3, CUSTOMERS, {"r": found}, said)
    verdict = by_sentence(life, "r")
    assert (verdict.found, verdict.right, verdict.there, verdict.missed) == (3, 1, 3, 2)


WORLD = World({"s": ZoneInfo("Asia/Shanghai")}, {"s": "east"}, {}, {})
LINE = [e.Line("tea", 1, 1800)]
START_MS = 1_777_824_000_000  # Monday, 4 May 2026, 00:00 in Shanghai


def deeds(*events: e.Event) -> Member:
    """Of one member, who shows now one identifier and now another."""
    names = [e.Who(phone="+86 165 0000 0001"), e.Who(card="C0000001"), e.Who(app_id="app-000001")]
    for number, event in enumerate(events):
        event.who, event.store, event.id = names[number % 3], "s", event.id or f"e{number}"
    [member] = members_of([Deed(0, event) for event in events], WORLD, 1).values()
    return member


def order(hours: float, id: str = "", **more: object) -> e.Order:
    return e.Order(id=id, time=START_MS + round(hours * HOUR_MS), lines=LINE, total_cents=1800, **more)  # type: ignore[arg-type]


def said(rule: str, *events: e.Event) -> list[float]:
    found = moments(ORACLES[rule], deeds(*events), START_MS + 60 * DAY_MS)
    return [(at_ms - START_MS) / HOUR_MS for at_ms in found]


def test_a_sentence_is_said_of_all_that_a_member_did_under_any_name() -> None:
    assert said("third-in-a-week", order(10), order(34), order(58)) == [58]
    assert said("third-in-a-week", order(10), order(34), order(8 * 24 + 34)) == []


def test_what_was_voided_does_not_count_from_then_on() -> None:
    void = e.Void(id="v", time=START_MS + 30 * HOUR_MS, order="o", ordered_time=START_MS, amount_cents=1800)
    assert said("third-in-a-week", order(10, "o"), void, order(34), order(58)) == []
    assert said("second-order", order(10, "o"), void, order(34)) == [34 + 72]


def test_a_wait_begins_anew() -> None:
    assert said("second-order", order(10)) == [82]
    assert said("second-order", order(10), order(82)) == []


def complaint(hours: float, kind: type[e.Event], **more: object) -> e.Event:
    return kind(id="", time=START_MS + round(hours * HOUR_MS), case="k", **more)  # type: ignore[call-arg]


def test_a_complaint_is_open_again_when_the_guest_says_so() -> None:
    settled = [order(1), complaint(2, e.Complaint), complaint(3, e.ComplaintAnswered, closed=True)]
    assert said("complaint-closed", *settled) == [3]
    denied = complaint(4, e.ComplaintConfirmed, satisfied=False)
    assert said("complaint-closed", *settled, denied, complaint(5, e.ComplaintAnswered, closed=True)) == [3, 5]
    assert said("rating-request", *settled, order(8)) == [1.75, 8.75]
    assert said("rating-request", *settled, denied, order(8)) == [1.75]


def test_a_guest_is_asked_of_what_was_kept_and_not_brought_yet() -> None:
    void = e.Void(id="v", time=START_MS + round(10.1 * HOUR_MS), order="o", ordered_time=START_MS, amount_cents=1800)
    assert said("rating-request", order(9), order(10, "o"), void) == [9.75]
    assert said("rating-request", order(9, channel="delivery")) == []


OWN, FRIEND = "app-000001", "friend-7"


def thanked(*events: tuple[str, e.Event]) -> list[float]:
    """When the first is thanked for the friend, whose account has a name of its own."""
    for number, (who, event) in enumerate(events):
        event.who, event.store, event.id = e.Who(app_id=who), "s", event.id or f"e{number}"
    members = members_of([Deed(0, event) for _, event in events], WORLD, START_MS + 60 * DAY_MS)
    found = moments(ORACLES["referral-reward"], members[OWN], START_MS + 60 * DAY_MS)
    return [(at_ms - START_MS) / HOUR_MS for at_ms in found]


def test_a_friend_is_thanked_for_when_a_first_paid_order_is_a_day_old() -> None:
    mine = (OWN, order(1))
    told = (OWN, e.Referral(id="", time=START_MS + 5 * HOUR_MS, friend=FRIEND))
    void = e.Void(id="v", time=START_MS + 11 * HOUR_MS, order="o", ordered_time=START_MS, amount_cents=1800)
    assert thanked(mine, told, (FRIEND, order(10)), (FRIEND, order(12))) == [34]
    assert thanked(mine, told, (FRIEND, order(10, "o")), (FRIEND, void), (FRIEND, order(12))) == [36]
    assert thanked(mine, told, (FRIEND, order(4))) == [], "had ordered before"
    assert thanked(mine, told) == thanked(told, (FRIEND, order(10))) == []
    assert thanked(mine, (OWN, e.Referral(id="", time=START_MS, friend=OWN)), (OWN, order(10))) == []


def test_every_shipped_rule_has_a_sentence_and_every_sentence_a_rule() -> None:
    assert ORACLES.keys() == {rule.id for rule, _, _ in load_rules(load(environ={}))}


@pytest.fixture(scope="module")
def life() -> Life:
    return live(Chain(3, stores=4, customers=150, days=8), load(environ={}))


RULES_OF_ALL = [rule for rule, _, _ in load_rules(load(environ={}))]


@pytest.mark.parametrize("rule", [rule for rule in RULES_OF_ALL if MODEL not in rule.when], ids=lambda rule: rule.id)
def test_a_shipped_rule_holds_when_its_sentence_is_true(life: Life, rule: Rule) -> None:
    verdict = by_sentence(life, rule.id)
    precision, recall = verdict.shares
    assert precision is None or precision > 0.95, "of favourites that weigh the same, either is one"
    assert recall is None or recall > 0.95


def test_most_rules_have_something_to_find(life: Life) -> None:
    assert sum(by_sentence(life, rule.id).there > 0 for rule in RULES_OF_ALL) >= 20


def test_a_chain_is_judged_under_the_shipped_rules() -> None:
    settings = load(environ={})
    life = live(Chain(1, stores=2, customers=60, days=2), settings)
    verdict = judged(life, [rule for rule, _, _ in load_rules(settings)])["cart-left"]
    assert verdict.there > 5
    assert verdict.shares == (1, 1)
    held = reach(life, "cart-left")
    assert held.pop("held") == verdict.found
    assert 0 < held.pop("members") <= 1
    assert sum(held.values()) == verdict.found
