"""What is kept of decisions is what was sent of them, the latest; near misses are few and disturb nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from msgspec import msgpack
from msgspec.structs import replace

from alerts.triggers.gifts import Then
from alerts.triggers.job import CustomersJob
from alerts.triggers.merging import Merging
from alerts.triggers.policy import Cap, Policy
from alerts.triggers.receipts.kept import LAST, Keeping, Kept, decode_kept, encode_kept
from alerts.triggers.receipts.misses import EVERY, LOOKED_AT
from alerts.triggers.rule import Rule
from features import events as e
from features.job import Batch
from features.loop import Store, batches, run
from features.times import DAY_MS
from tests.alerts.triggers.campaigns import campaigns_of
from tests.alerts.triggers.jobs import churn_model, customers_job, data_of, encoded
from tests.alerts.triggers.test_batch_cuts import CUSTOMERS, GRANTS, RULES
from tests.alerts.triggers.test_merged_decisions import stories
from tests.features.streams import cuts, logs, with_ticks

NOON_MS = 1_777_867_200_000
POLICY = Policy(cap=2, cap_window_ms=30 * DAY_MS, holdout=0.3, holdout_salt="s", consent="")
NEARLY = Rule(id="nearly", on=["order"], when="orders_7d >= 3 AND channel = 'app'", then=Then("N"), cooldown="0s")
KEPT = 4


def job(keeping: Keeping, rules: list[Rule] = RULES, policy: Policy = POLICY) -> CustomersJob:
    made = customers_job(rules, policy, keeping=keeping)
    made.decider.models = {"churn_risk": churn_model()}
    return made


def order(number: int, customer: str, at_ms: int = NOON_MS, channel: str = "app") -> e.Order:
    lines = [e.Line("tea")]
    shared = {"id": f"o{number}", "customer": customer, "at_ms": at_ms, "tz": "UTC", "channel": channel}
    return e.Order(**shared, lines=lines, total_cents=1)


def kept(store: Store) -> dict[str, list[Kept]]:
    return {customer: list(map(decode_kept, raws)) for customer, raws in store.receipts.items()}


def latest_sent(store: Store) -> dict[str, list[bytes]]:
    """By customer, of the messages on `decisions`, what is kept of them."""
    sent: dict[str, list[bytes]] = {}
    for data in data_of(store, "decisions"):
        receipt = Kept(**{name: data[name] for name in Kept.__struct_fields__})
        sent.setdefault(data["customer"], []).append(encode_kept(receipt))
    return {customer: receipts[-KEPT:] for customer, receipts in sent.items()}


@settings(max_examples=40, deadline=None)
@given(logs(CUSTOMERS, longest=40).flatmap(with_ticks), cuts)
def test_the_latest_receipts_are_those_of_the_decisions_however_the_log_is_cut(log: list[e.Event], cuts: list) -> None:
    store = run(job(Keeping(KEPT, 4, 0.5)), batches("events", 0, encoded(GRANTS + log), cuts))[0]
    assert store.receipts == latest_sent(store)
    assert store.receipts == run(job(Keeping(KEPT)), batches("events", 0, encoded(GRANTS + log)))[0].receipts


@settings(max_examples=25, deadline=None)
@given(stories(), cuts)
def test_also_where_customers_become_one(log: list[e.Event], cuts: list) -> None:
    store = run(Merging(job(Keeping(KEPT)), "events"), batches("events", 0, encoded(log), cuts))[0]
    assert store.receipts == latest_sent(store)


def test_a_receipt_tells_cooldown_caps_group_and_clock_as_they_stood_before() -> None:
    always = Rule(id="always", on=["order"], when="orders_7d > 0 AND channel = 'app'", then=Then("A"), cooldown="2d")
    clock = e.Tick(id="t", at_ms=NOON_MS - 5, source="s", of=1)
    log = encoded([clock, order(1, "ca"), order(2, "ca", NOON_MS + DAY_MS)])
    store = run(job(Keeping(KEPT), [always]), batches("events", 0, log))[0]
    first, second = kept(store)["ca"]
    assert (first.outcome, first.cooldown_until_ms, first.coupons_in_cap_window, first.holdout) == (
        "issued",
        0,
        0,
        False,
    )
    assert (second.outcome, second.cooldown_until_ms) == ("cooldown", NOON_MS + 2 * DAY_MS)
    assert (second.coupons_in_cap_window, second.cap, second.clock_ms) == (1, 2, NOON_MS - 5)
    assert second.values == {"orders_7d": 2, "channel": "app"}


LIMITED = Rule(id="limited", on=["order"], when="orders_7d > 0", then=Then("L", 300, campaign="few"), cooldown="0s")
FEW = """id = "few"
coupons = 5
budget_cents = 100000

[per_region]
east = 500
"""


def limited(policy: Policy, *files: str) -> list[Kept]:
    made = customers_job([LIMITED], policy, keeping=Keeping(KEPT), campaigns=campaigns_of(*files))
    common = {"tz": "UTC", "region": "east", "lines": [e.Line("tea")], "total_cents": 1, "customer": "ca"}
    log = [e.Order(id=f"o{n}", at_ms=NOON_MS + n, **common) for n in range(2)]
    return kept(run(made, batches("events", 0, encoded(log)))[0])["ca"]


def test_a_receipt_tells_which_pot_had_too_little_and_what_counted_against_the_channels_cap() -> None:
    capped = replace(POLICY, holdout=0.0, channel_caps={"push": Cap(3, DAY_MS)})
    first, second = limited(capped, FEW)
    assert (first.outcome, second.outcome, second.ran_out) == ("issued", "budget", "region:east")
    assert [(one.on_channel, one.channel_cap) for one in (first, second)] == [(0, 3), (1, 3)]


def test_counts_of_a_channel_are_kept_only_where_it_has_a_cap() -> None:
    plain = replace(POLICY, holdout=0.0)
    for files in ((), ('id = "few"\nper_region = { west = 1 }\n',)):
        for one in limited(plain, *files):
            told = msgpack.decode(encode_kept(one))
            assert len(told) == len(Kept.__struct_fields__) - len(LAST)
            assert decode_kept(encode_kept(one)) == one


def crowd(orders: int, customers: int) -> list[bytes]:
    """Each customer orders so many times."""
    return encoded([order(n, f"c{n % customers}", NOON_MS + n) for n in range(orders * customers)])


def missed(store: Store) -> list[Kept]:
    return [decode_kept(raw) for misses in store.misses.values() for raw in misses.values()]


def test_near_misses_are_those_by_one_and_of_a_batch_no_more_than_are_asked_for() -> None:
    [batch] = batches("events", 0, crowd(2, EVERY))
    for most in (1, 3, LOOKED_AT):
        store = run(job(Keeping(KEPT, most), [NEARLY]), [batch])[0]
        found = missed(store)
        assert 0 < len(found) <= most
        assert {(one.outcome, one.values["orders_7d"], one.values["channel"]) for one in found} == {
            ("near_miss", 2, "app")
        }
    assert store.sent == run(job(Keeping(), [NEARLY]), [batch])[0].sent
    assert store.position == run(job(Keeping(), [NEARLY]), [batch])[0].position


def test_whoever_lacks_more_than_one_thing_has_not_nearly_fired() -> None:
    for when in ("orders_7d >= 9 AND channel = 'app'", "orders_7d >= 3 AND channel = 'pos'", "channel = 'pos'"):
        rule = Rule(id="r", on=["order"], when=when, then=Then("N"), cooldown="0s")
        store = run(job(Keeping(KEPT, 9), [rule]), batches("events", 0, crowd(2, EVERY)))[0]
        assert missed(store) == [], when


def test_small_batches_are_looked_at_in_proportion() -> None:
    log, looked = crowd(2, EVERY), job(Keeping(KEPT, 1), [NEARLY])
    store = run(looked, batches("events", 0, log, range(0, len(log), 20)))[0]
    assert len(missed(store)) <= 3 * len(log) / EVERY + 5


@pytest.mark.parametrize("share", [0.5, 0.05])
def test_of_conditions_that_do_not_hold_a_share_is_kept_and_none_without_the_setting(share: float) -> None:
    log = crowd(1, 400)
    store = run(job(Keeping(KEPT, 0, share), [NEARLY]), batches("events", 0, log, [100, 250]))[0]
    assert len(missed(store)) == pytest.approx(share * 400, abs=3)
    assert {one.outcome for one in missed(store)} == {"condition_false"}
    assert run(job(Keeping(KEPT), [NEARLY]), batches("events", 0, log))[0].misses == {}


def test_a_batch_that_is_repeated_notes_the_same() -> None:
    [batch] = batches("events", 0, crowd(2, EVERY))
    once, again = (run(job(Keeping(KEPT, 4, 0.01), [NEARLY]), [batch])[0] for _ in range(2))
    assert (once.receipts, once.misses) == (again.receipts, again.misses)


def test_with_the_word_to_forget_receipts_and_misses_go() -> None:
    rules = [NEARLY, Rule(id="at-once", on=["order"], when="orders_90d >= 1", then=Then("A"), cooldown="0s")]
    made = job(Keeping(KEPT, 4, 1.0), rules)
    stores = run(made, batches("events", 0, encoded([order(1, "ca"), order(2, "cb")])))
    assert set(stores[0].receipts) == set(stores[0].misses) == {"ca", "cb"}
    word = Batch("events", 0, 1, [2], encoded([e.Forget(id="f", customer="ca", at_ms=NOON_MS)]), [0])
    store = run(Merging(made, "events"), [word], stores)[0]
    assert set(store.receipts) == set(store.misses) == {"cb"}
