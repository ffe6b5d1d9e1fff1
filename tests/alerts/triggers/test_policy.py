"""Consent, holdout, cooldown and cap hold in every stream, and every refusal has its reason."""

from __future__ import annotations

from copy import deepcopy

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from alerts.triggers.gates import Standing, first_shut
from alerts.triggers.gifts import Then
from alerts.triggers.policy import Policy, held_out
from alerts.triggers.receipts.receipt import decision_id
from alerts.triggers.rule import After, Rule
from features import events as e
from features.job import Batch
from features.loop import Store, batches, run
from features.outgoing import Receipt
from features.record import Ledger
from features.times import DAY_MS, HOUR_MS, local_day, parse_time
from tests.alerts.triggers.jobs import customers_job, data_of, encoded
from tests.oracle import Customer

START_MS = parse_time("2026-05-04T08:00:00+08:00")
CAP, WINDOW_MS = 3, 7 * DAY_MS
RULES = [
    Rule(id=f"r{n}", on=["view"], when="true", then=Then(f"c{n}"), cooldown=f"{n * 9}h", capped=n != 2)
    for n in range(5)
]
UNCAPPED = {rule.id for rule in RULES if not rule.capped}
POLICY = Policy(CAP, WINDOW_MS, holdout=0.2, holdout_salt="salt", consent="marketing")
JOB = customers_job(RULES, POLICY)
NUMBERED = [f"c{number}" for number in range(99)]
MEMBERS = [customer for customer in NUMBERED if not held_out(customer, "salt", 0.2)]
HELD_OUT = [customer for customer in NUMBERED if held_out(customer, "salt", 0.2)]
CUSTOMERS = MEMBERS[:4] + HELD_OUT[:2]


@st.composite
def streams(draw: st.DrawFn) -> list[e.Event]:
    """Views and words on consent, in order of time."""
    log: list[e.Event] = []
    at_ms = START_MS
    for number in range(draw(st.integers(0, 50))):
        at_ms += draw(st.sampled_from((0, 1, HOUR_MS, 9 * HOUR_MS, 3 * DAY_MS)))
        common = {"id": f"e{number}", "customer": draw(st.sampled_from(CUSTOMERS)), "at_ms": at_ms, "tz": "UTC"}
        common["day"] = local_day(at_ms, "UTC")
        if draw(st.integers(0, 3)):
            log.append(e.View(**common))
        else:
            log.append(e.Consent(**common, purpose="marketing", granted=draw(st.sampled_from((True, True, False)))))
    return log


def wanted_outcomes(log: list[e.Event]) -> list[tuple[str, str, str]]:
    """(event, rule, outcome) by the letter: first consent, then holdout, cooldown, cap."""
    twins = {customer: Customer({}) for customer in CUSTOMERS}
    issued: list[tuple[str, str, int]] = []
    outcomes = []
    for event in log:
        twins[event.customer].take(event)
        for rule in RULES if isinstance(event, e.View) else ():
            mine = [(r, at_ms) for customer, r, at_ms in issued if customer == event.customer]
            if not twins[event.customer].granted("marketing"):
                outcome = "no_consent"
            elif held_out(event.customer, "salt", 0.2):
                outcome = "holdout"
            elif any(r == rule.id and event.at_ms - at_ms < rule.cooldown_ms for r, at_ms in mine):
                outcome = "cooldown"
            elif rule.capped and sum(event.at_ms - at_ms < WINDOW_MS for r, at_ms in mine if r not in UNCAPPED) >= CAP:
                outcome = "capped"
            else:
                outcome = "issued"
                issued.append((event.customer, rule.id, event.at_ms))
            outcomes.append((event.id, rule.id, outcome))
    return outcomes


@settings(max_examples=60, deadline=None)
@given(streams())
def test_every_outcome_is_the_one_that_the_rules_spell_out(log: list[e.Event]) -> None:
    stores = run(JOB, batches("events", 0, encoded(log)))
    decisions = data_of(stores[0], "decisions") if stores else []
    told = [(d["cause"], d["rule"], d["outcome"]) for d in decisions]
    wanted = wanted_outcomes(log)
    assert [one for one in told if one[2] != "no_consent"] == [one for one in wanted if one[2] != "no_consent"]
    assert sorted(told) == sorted(wanted), "want of consent is told together, by rule"


@settings(max_examples=60, deadline=None)
@given(streams())
def test_only_issued_decisions_become_coupons_and_the_receipt_tells_the_cap(log: list[e.Event]) -> None:
    stores = run(JOB, batches("events", 0, encoded(log)))
    decisions = data_of(stores[0], "decisions") if stores else []
    issued = [d for d in decisions if d["outcome"] == "issued"]
    coupons = data_of(stores[0], "coupons") if stores else []
    assert [{name: coupon[name] for name in Receipt.__struct_fields__} for coupon in coupons] == issued
    for decision in decisions:
        earlier = [d for d in issued if d["customer"] == decision["customer"] and d["at_ms"] <= decision["at_ms"]]
        assert decision["coupons_in_cap_window"] <= min(CAP, len(earlier))
        assert decision["expires_ms"] == decision["at_ms"] + 7 * DAY_MS


def test_five_percent_holdout_is_five_percent_of_the_customers() -> None:
    share = sum(held_out(f"c{number:032x}", "brewline", 0.05) for number in range(50_000)) / 50_000
    assert abs(share - 0.05) < 0.004


def test_a_customer_stays_in_its_group_when_the_share_grows_and_leaves_it_with_the_salt() -> None:
    customers = [f"c{number}" for number in range(4_000)]
    small = {c for c in customers if held_out(c, "a", 0.05)}
    assert small < {c for c in customers if held_out(c, "a", 0.10)}
    both = small & {c for c in customers if held_out(c, "b", 0.05)}
    assert len(both) < 30, "another salt draws anew"
    assert not any(held_out(c, "a", 0.0) for c in customers)
    assert all(held_out(c, "a", 1.0) for c in customers)


def test_a_cooldown_ends_at_its_very_millisecond() -> None:
    ledger, rule = Ledger(fired_ms={"r1": 1000}), RULES[1]
    free = Policy(CAP, WINDOW_MS, 0.0, "", "")
    end_ms = 1000 + rule.cooldown_ms
    reasons = [first_shut(rule, [], free, Standing("c", ledger, at_ms, 0, True)) for at_ms in (end_ms - 1, end_ms)]
    assert [reason and reason.outcome for reason in reasons] == ["cooldown", None]


def test_a_coupon_leaves_the_cap_window_at_its_very_millisecond() -> None:
    ledger = Ledger(issued_ms=[1000, 2000, 3000])
    free = Policy(CAP, WINDOW_MS, 0.0, "", "")
    moments = [Standing("c", ledger, 1000 + WINDOW_MS - before_ms, 0, True) for before_ms in (1, 0)]
    shut = [first_shut(RULES[1], [], free, standing) for standing in moments]
    assert [gate and gate.outcome for gate in shut] == ["capped", None]


def test_consent_counts_as_it_stood_at_the_event_though_it_is_withdrawn_in_the_same_batch() -> None:
    log: list[e.Event] = [
        e.Consent(id="1", customer=MEMBERS[0], at_ms=START_MS, purpose="marketing", granted=True),
        e.View(id="2", customer=MEMBERS[0], at_ms=START_MS + 1),
        e.Consent(id="3", customer=MEMBERS[0], at_ms=START_MS + 2, purpose="marketing", granted=False),
        e.View(id="4", customer=MEMBERS[0], at_ms=START_MS + 3 * DAY_MS),
    ]
    decisions = data_of(run(JOB, batches("events", 0, encoded(log)))[0], "decisions")
    assert {d["outcome"] for d in decisions if d["cause"] == "2"} == {"issued", "capped"}
    assert {d["outcome"] for d in decisions if d["cause"] == "4"} == {"no_consent"}


def test_a_late_word_on_consent_does_not_overrule_a_newer_one() -> None:
    log: list[e.Event] = [
        e.Consent(id="1", customer=MEMBERS[0], at_ms=START_MS, purpose="marketing", granted=False),
        e.Consent(id="2", customer=MEMBERS[0], at_ms=START_MS - 1, purpose="marketing", granted=True),
        e.View(id="3", customer=MEMBERS[0], at_ms=START_MS + 1),
    ]
    decisions = data_of(run(JOB, batches("events", 0, encoded(log)))[0], "decisions")
    assert {d["outcome"] for d in decisions} == {"no_consent"}


def test_a_decision_id_hangs_on_rule_customer_and_cause_and_never_changes() -> None:
    assert decision_id("winback-14d", "c1", "e1") == "9b98b4f0de4273fa77bac012"
    others = {decision_id(*x) for x in (("a", "c1", "e1"), ("winback-14d", "c2", "e1"), ("winback-14d", "c1", "e2"))}
    assert len(others) == 3


def test_the_latency_of_a_coupon_is_told_by_the_kafka_timestamp_of_its_cause() -> None:
    log: list[e.Event] = [
        e.Consent(id="1", customer=MEMBERS[0], at_ms=START_MS, purpose="marketing", granted=True),
        e.View(id="2", customer=MEMBERS[0], at_ms=START_MS + 1),
    ]
    batch = Batch("events", 0, -1, [0, 1], encoded(log), [7000, 8000])
    store = Store()
    plan = JOB.plan(batch, store.position)
    changes = JOB.apply(plan, store.load(JOB, plan))
    assert changes.causes_ms == [8000] * changes.counts["coupons"]


def test_a_rule_that_is_off_fires_neither_on_events_nor_on_timers_that_wait_for_it() -> None:
    rule = Rule(id="cart", after=After("cart_add", "30m"), on=["view"], when="true", then=Then("c"), cooldown="0s")
    cart = e.CartAdd(id="1", customer="c1", at_ms=START_MS, sku="tea")
    later = [
        e.View(id="2", customer="c1", at_ms=START_MS + 1),
        e.Tick(id="t", at_ms=START_MS + DAY_MS, source="s", of=1),
    ]
    store = run(customers_job([rule]), batches("events", 0, encoded([cart])))[0]
    assert store.timers.keys() == {"c1"}
    log = batches("events", 0, encoded(later), first=1)
    off = run(customers_job([replace(rule, enabled=False)]), log, {0: deepcopy(store)})[0]
    assert (off.sent, off.timers) == ([], {})
    assert len(data_of(run(customers_job([rule]), log, {0: store})[0], "coupons")) == 2
