"""Refusals that are told for a whole batch at once are those that would be told one by one."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from alerts.triggers import round
from alerts.triggers.gifts import Arm, Then
from alerts.triggers.job import CustomersJob
from alerts.triggers.policy import Cap, Policy, held_out
from alerts.triggers.receipts.kept import Keeping, decode_kept
from alerts.triggers.refusals import Refuser
from alerts.triggers.rule import After, Rule
from config.settings import SHARED_BYTES
from features import events as e
from features.kernel.arrays import Ints
from features.loop import Store, batches, run
from features.partitions import partition_of
from features.times import DAY_MS, rfc3339
from tests.alerts.triggers.jobs import churn_model, customers_job, data_of, encoded
from tests.features.streams import cuts, logs, with_ticks

ARMS = [Arm("a", coupon="a", weight=1), Arm("b", coupon="b", weight=1)]
RULES = [
    Rule(id="busy", on=["order"], when="orders_24h >= 2", then=Then("b"), cooldown="3d", priority=2),
    Rule(id="twin", on=["order", "view"], when="orders_24h >= 1", then=Then("t"), cooldown="1h", group="g"),
    Rule(id="other", on=["order"], when="orders_24h >= 1", then=Then("o"), cooldown="1h", group="g"),
    Rule(id="fresh", on=["view"], when="hour < 12", then=Then("m"), cooldown="0s", max_event_age="1h"),
    Rule(id="cart", after=After("cart_add", "30m"), when="orders_1h = 0", then=Then("c"), cooldown="1d"),
    Rule(id="risk", on=["app_open"], when="churn_risk > 0.4", then=Then("r"), cooldown="1h"),
    Rule(id="arms", on=["app_open", "order"], when="hour >= 6", then=Then(arms=ARMS), cooldown="1h"),
]
CUSTOMERS = ("ca", "cb", "cc")
SALT = next(s for s in map(str, range(99)) if [held_out(c, s, 0.3) for c in CUSTOMERS] == [False, True, False])
POLICY = Policy(cap=3, cap_window_ms=2 * DAY_MS, holdout=0.3, holdout_salt=SALT, consent="marketing")
GRANT = e.Consent(id="g", customer="ca", at_ms=1, purpose="marketing", granted=True, tz="Asia/Shanghai")


def house() -> CustomersJob:
    job = customers_job(RULES, POLICY, keeping=Keeping(receipts=5))
    job.decider.models["churn_risk"] = churn_model()
    return job


class Alone(Refuser):
    """None is told with others."""

    def among(self, at: Ints, *_: Any) -> Any:
        return np.zeros(len(at), dtype=np.bool_)


JOB = house()


def told(job: CustomersJob, log: list[e.Event], cuts: list[int]) -> Store:
    return run(job, batches("events", 0, encoded(log), cuts), {0: Store()})[0]


def by_receiver(store: Store) -> list[Any]:
    """What each reads of a topic in its order; decisions, each by itself, in any."""
    others = [message for message in store.sent if message.topic != "decisions"]
    told = sorted(data_of(store, "decisions"), key=itemgetter("customer", "decision"))
    return [*sorted(others, key=lambda message: (message.topic, message.key)), *told]


@settings(max_examples=60, deadline=None)
@given(logs(CUSTOMERS, longest=40).flatmap(with_ticks), cuts, st.booleans())
def test_telling_them_at_once_changes_no_message_record_or_count(
    log: list[e.Event], cuts: list[int], one_consents: bool
) -> None:
    log = [GRANT, *log] if one_consents else log
    at_once = told(JOB, log, cuts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(round, "Refuser", Alone)
        one_by_one = told(JOB, log, cuts)
    assert by_receiver(at_once) == by_receiver(one_by_one)
    assert at_once.receipts == one_by_one.receipts
    assert (at_once.records, at_once.timers, at_once.position) == (
        one_by_one.records,
        one_by_one.timers,
        one_by_one.position,
    )


PLAIN = [
    Rule(id="second", on=["app_open"], when="hour >= 0", then=Then("s", channel="sms"), cooldown="1h"),
    Rule(id="first", on=["view"], when="hour >= 0", then=Then("f"), cooldown="1h"),
]


def test_refusals_of_several_rules_are_kept_in_the_order_of_the_log_and_told_rule_by_rule() -> None:
    kinds: list[type[e.Event]] = [e.AppOpen, e.View, e.AppOpen, e.View, e.View]
    log = [kind(id=f"{n}", customer="ca", at_ms=DAY_MS + n, tz="UTC", day=1) for n, kind in enumerate(kinds)]
    capped = replace(POLICY, channel_caps={"sms": Cap(2, DAY_MS)})
    store = told(customers_job(PLAIN, capped, keeping=Keeping(receipts=9)), log, [])
    assert [decode_kept(kept).cause for kept in store.receipts["ca"]] == ["0", "1", "2", "3", "4"]
    assert [decode_kept(kept).channel_cap for kept in store.receipts["ca"]] == [2, 0, 2, 0, 0]
    each = [(d["rule"], d["cause"], d["channel_cap"]) for d in data_of(store, "decisions")]
    assert each == [*(("second", cause, 2) for cause in "02"), *(("first", cause, 0) for cause in "134")]


def test_of_many_refusals_five_hundred_share_a_message_that_goes_where_their_customers_decisions_go() -> None:
    customers = [f"c{n:032x}" for n in range(6_000)]
    mine = [customer for customer in customers if partition_of(customer, 4) == 2][:1_201]
    log = [e.View(id=c, customer=c, at_ms=DAY_MS + n, tz="UTC", day=1) for n, c in enumerate(mine)]
    sent = told(customers_job(PLAIN, POLICY), log, []).sent
    events = [orjson.loads(message.value) for message in sent]
    assert [len(event["data"]["decision"]) for event in events] == [500, 500, 201]
    assert [name for event in events for name in event["data"]["customer"]] == mine
    assert {partition_of(message.key, 4) for message in sent} == {2}
    assert len({event["id"] for event in events}) == 3
    assert {(event["type"], event["source"], event["subject"]) for event in events} == {
        ("brewline.refusals", "brewline/decisions", "first")
    }
    assert [event["time"] for event in events] == [rfc3339(event["data"]["at_ms"][-1]) for event in events]


def test_a_message_that_would_be_too_large_is_halved_until_each_is_small_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = [
        e.AppOpen(id=f"o{n}" + "x" * 900, customer=f"c{n % 3}", at_ms=DAY_MS + n, tz="UTC", day=1) for n in range(21)
    ]
    whole = told(house(), log, [])
    assert round.LARGEST <= SHARED_BYTES, "and settings leave room for it"
    monkeypatch.setattr(round, "LARGEST", 6_000)
    halved = told(house(), log, [])
    sizes = [len(message.value) for message in halved.sent if message.topic == "decisions"]
    assert len(sizes) > 4
    assert max(sizes) <= 6_000
    assert data_of(halved, "decisions") == data_of(whole, "decisions")
    monkeypatch.setattr(round, "LARGEST", 10)
    alone = told(house(), log, [])
    assert len([message for message in alone.sent if message.topic == "decisions"]) == len(data_of(whole, "decisions"))


def word(n: int, granted: bool) -> e.Consent:
    return e.Consent(id=f"w{n}", customer="ca", at_ms=DAY_MS + n, tz="UTC", day=1, purpose="marketing", granted=granted)


def opened(n: int, at_ms: int) -> e.AppOpen:
    return e.AppOpen(id=f"o{n}", customer="ca", at_ms=at_ms, tz="UTC", day=1)


def test_a_coupon_from_earlier_in_the_batch_stands_in_the_refusal_behind_it() -> None:
    log = [word(0, True), opened(1, DAY_MS + 1), word(2, False), opened(3, DAY_MS + 3)]
    decisions = [one for one in data_of(told(house(), log, []), "decisions") if one["rule"] == "risk"]
    assert [(one["outcome"], one["coupons_in_cap_window"]) for one in decisions] == [("issued", 0), ("no_consent", 1)]


def test_of_an_old_event_it_is_said_that_it_is_old() -> None:
    tick = e.Tick(id="t", at_ms=DAY_MS + 7_200_000, source="s", of=1)
    late = e.View(id="v", customer="ca", at_ms=DAY_MS, tz="UTC", day=1, sku="x")
    assert [one["outcome"] for one in data_of(told(house(), [tick, late], []), "decisions")] == ["stale"]


def test_of_customers_without_a_ledger_they_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    log = [
        e.AppOpen(id=f"o{n}", customer=customer, at_ms=DAY_MS + n, tz="UTC", day=1)
        for n, customer in enumerate(["ca", "cb", "ca"])
    ]
    seen = list[int]()

    class Counted(Refuser):
        def among(self, *args: Any) -> Any:
            refused = super().among(*args)
            seen.append(int(refused.sum()))
            return refused

    monkeypatch.setattr(round, "Refuser", Counted)
    store = told(JOB, log, [])
    outcomes = [(one["rule"], one["outcome"]) for one in data_of(store, "decisions")]
    assert outcomes == [("risk", "no_consent")] * 3
    assert seen == [3]
