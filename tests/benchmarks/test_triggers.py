"""Triggers are judged by the truth: what was found rightly, what wrongly, what was missed."""

from __future__ import annotations

from alerts.triggers.rule import After, Rule, Then
from benchmarks.triggers import Decision, Life, judged, live, reach
from config.settings import load
from features.times import DAY_MS, MINUTE_MS
from flows.rules import load_rules
from sim import Chain, Truth
from sim.truth import AbandonedCart, Lapse

CUSTOMERS = {"app-1": "c1", "app-2": "c2", "app-3": "c3"}
CART = Rule("cart-left", "true", Then("X"), "1d", after=After("cart_add", "30m"))
LOOK = Rule("view-left", "true", Then("X"), "1d", after=After("view", "1h"))
RATING = Rule("bad-rating", "true", Then("X"), "1d", on=["rating"])
BACK = Rule("back", "true", Then("X"), "1d", after=After("order", "14d"), group="winback")
RULES = [CART, LOOK, RATING, BACK]


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
