"""A back-test of the shipped rules over the simulated chain finds carts that were left and members who lapsed."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from alerts.triggers.backtests.backtest import Decision, Span
from brewline.backtests.choice import choose
from brewline.backtests.run import Run
from brewline.histories.archives import Archive, archived
from brewline.histories.cleaned import cleaned, pseudonyms_of
from config.settings import load
from features.identity import Table
from features.times import DAY_MS, MINUTE_MS
from sim.chain import Chain

HOUSE = load(environ={"BREWLINE_COUPONS__QUIET_HOURS": ""})
CART, WINBACK = "cart-left", "winback-14d"
WAIT_MS = 30 * MINUTE_MS


class Past:
    """What the chain did and what it knows, by customer id, and what the rules make of it whatever policy says."""

    def __init__(self, chain: Chain) -> None:
        table, self.end_ms = Table(), chain.end_ms
        records = (record for record in chain.records() if record.topic != "audit.events")
        chunks = cleaned(HOUSE, records, lambda events: None, Counter(), table)
        archive = Archive("the chain", HOUSE.stores.timezone, archived(chunks, "the chain").lazy())
        run = Run(HOUSE, archive, choose(HOUSE, [CART, WINBACK], [], False, Span()), assume_consent=True)
        self.decisions = list(run.decisions())
        app = {id: table.root(customer) for id, customer in table.links.items() if id.startswith("app_id:")}
        pseudonyms = pseudonyms_of(HOUSE)
        self.carts = {(app[pseudonyms.one("app_id", c.app_id)], c.at_ms) for c in chain.truth.abandoned}
        self.lapsed = {app[pseudonyms.one("app_id", lapse.app_id)]: lapse.from_ms for lapse in chain.truth.lapsed}
        orders = archive.rows.select("customer", "at_ms", "type").collect().filter(type="order")
        self.orders = Counter(orders["customer"].to_list())

    def of(self, rule: str) -> list[Decision]:
        return [decision for decision in self.decisions if decision.rule == rule]


@pytest.fixture(scope="module")
def past() -> Past:
    return Past(Chain(seed=3, stores=3, customers=60, days=30))


def test_every_cart_that_was_left_is_found_and_no_other(past: Past) -> None:
    found = {(decision.customer, decision.at_ms - WAIT_MS) for decision in past.of(CART)}
    due = {cart for cart in past.carts if cart[1] + 2 * WAIT_MS <= past.end_ms}
    assert len(due) > 50
    assert len(found & past.carts) / len(found) >= 0.99, "precision"
    assert len(found & due) / len(due) >= 0.99, "recall"


def test_every_regular_who_lapsed_is_found(past: Past) -> None:
    moments = defaultdict(list)
    for decision in past.of(WINBACK):
        moments[decision.customer].append(decision.at_ms)
    gone = {who for who, ms in past.lapsed.items() if ms + 15 * DAY_MS <= past.end_ms and past.orders[who] >= 3}
    found = {who for who, times in moments.items() if max(times) >= past.lapsed.get(who, past.end_ms)}
    assert gone
    assert found >= gone, "recall"
    assert len(found) / len(moments) >= 0.5, "precision"
