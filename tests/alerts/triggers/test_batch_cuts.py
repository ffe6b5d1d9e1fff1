"""Where the log is cut into batches, and where a process dies, changes nothing."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.triggers.calendar import At
from alerts.triggers.gifts import Then
from alerts.triggers.merging import Merging
from alerts.triggers.policy import Policy, held_out
from alerts.triggers.rule import After, Rule
from features import events as e
from features.loop import Store, batches, run
from features.times import DAY_MS, local_day, parse_time
from tests.alerts.triggers.jobs import churn_model, customers_job, data_of, encoded, identities_of, told_anyhow
from tests.features.streams import cuts, logs, with_ticks

SOME_DAYS = tuple((day, day) for day in range(738_940, 740_000, 41))  # from 2024 to 2027
RULES = [
    Rule(id="busy", on=["order"], when="orders_24h >= 2", then=Then("b"), cooldown="3d"),
    Rule(id="morning", on=["view", "order"], when="hour < 12 AND weekday <= 5", then=Then("m"), cooldown="0s"),
    Rule(id="cart", after=After("cart_add", "30m"), when="orders_1h = 0", then=Then("c"), cooldown="1d"),
    Rule(id="back", after=After("order", "5d"), when="orders_90d >= 1", then=Then("w"), cooldown="10d"),
    Rule(id="risk", on=["app_open"], after=After("view", "0s"), when="churn_risk > 0.4", then=Then("r"), cooldown="1h"),
    Rule(
        id="feast",
        at=At(holiday="any", time="11:00"),
        when="views_24h >= 0",
        then=Then("f"),
        cooldown="1h",
        dates=SOME_DAYS,
    ),
]
CUSTOMERS = ("ca", "cb", "cc")
SALT = next(s for s in map(str, range(99)) if [held_out(c, s, 0.3) for c in CUSTOMERS] == [False, True, False])
POLICY = Policy(cap=3, cap_window_ms=2 * DAY_MS, holdout=0.3, holdout_salt=SALT, consent="marketing")
JOB = customers_job(RULES, POLICY)
JOB.decider.models["churn_risk"] = churn_model()
GRANTS: list[e.Event] = [
    e.Consent(id=f"g{customer}", customer=customer, at_ms=1, purpose="marketing", granted=True, tz="Asia/Shanghai")
    for customer in CUSTOMERS
]
streams = logs(CUSTOMERS, longest=40).flatmap(with_ticks).map(lambda log: GRANTS + log)


def after(log: list[e.Event], cuts: list[int], store: Store | None = None) -> Store:
    return run(JOB, batches("events", 0, encoded(log), cuts), {0: store or Store()})[0]


def sent_by(store: Store) -> list[tuple[str, str]]:
    return [identity for message in store.sent for identity in identities_of(message)]


@settings(max_examples=50, deadline=None)
@given(streams, cuts)
def test_any_cuts_give_the_same_messages_timers_records_and_counts(log: list[e.Event], cuts: list[int]) -> None:
    whole, single, cut = after(log, []), after(log, list(range(len(log)))), after(log, cuts)
    for store in (single, cut):
        assert told_anyhow(store.sent) == told_anyhow(whole.sent)
        assert Counter(sent_by(store)) == Counter(sent_by(whole))
        assert [m for m in store.sent if m.topic == "coupons"] == [m for m in whole.sent if m.topic == "coupons"]
        assert (store.timers, store.records, store.position) == (whole.timers, whole.records, whole.position)


@settings(max_examples=50, deadline=None)
@given(streams, cuts, cuts, st.integers(0, 60), st.integers(0, 60))
def test_a_process_that_dies_repeats_what_it_did_since_its_last_commit_and_nothing_else(
    log: list[e.Event], cuts: list[int], other_cuts: list[int], first: int, second: int
) -> None:
    kept, lost = sorted((first, second))
    store = after(log[:kept], cuts)
    snapshot = deepcopy(store)
    after(log[:lost], cuts, store)  # this much was done, then the store lost its tail
    replayed = after(log, other_cuts, snapshot)
    unharmed = after(log, [])
    assert (replayed.timers, replayed.records, replayed.position) == (
        unharmed.timers,
        unharmed.records,
        unharmed.position,
    )
    ids = sent_by(unharmed)
    assert {*sent_by(store), *sent_by(replayed)} == set(ids)
    decided = [id for id in ids if id[0] != "examples"]  # two customers can be examples of the same
    assert len(set(decided)) == len(decided), "no id twice"


@settings(max_examples=15, deadline=None)
@given(streams, cuts)
def test_a_log_fed_twice_changes_nothing(log: list[e.Event], cuts: list[int]) -> None:
    once = after(log, cuts)
    assert after(log, [], deepcopy(once)) == once


def test_two_zones_of_one_customer_in_one_batch_are_two_hours_of_the_day() -> None:
    """Nine in the morning in Shanghai is nine in the evening in New York."""
    at_ms = parse_time("2026-06-01T09:00:00+08:00")
    views = [
        e.View(id=tz, customer="ca", at_ms=at_ms, day=local_day(at_ms, tz), tz=tz)
        for tz in ("Asia/Shanghai", "America/New_York")
    ]
    assert [coupon["cause"] for coupon in data_of(after(GRANTS + views, []), "coupons")] == ["Asia/Shanghai"]


def test_a_text_that_is_new_in_a_batch_is_known_behind_a_word_on_somebody_else_in_it() -> None:
    fruit = [e.Line("x", category="fruit_tea", price_cents=1_500)]
    at_ms = parse_time("2026-05-04T12:00:00+08:00")
    here = {"at_ms": at_ms, "tz": "Asia/Shanghai"}
    order = e.Order(id="o", customer="ca", lines=fruit, total_cents=1_500, **here)
    look = e.AppOpen(id="a", customer="ca", **here)
    merge = e.Merge(id="cz>cy", customer="cz", at_ms=at_ms, into="cy")
    brake = e.Brake(
        id="b", at_ms=at_ms, campaign="q", place="", revision=1, paused=True, by="x", reason="y", incident=""
    )
    whens = {"is": "favourite_category = 'fruit_tea'", "other": "favourite_category <> 'fruit_tea'"}
    rules = [Rule(id=id, on=["app_open"], when=when, then=Then(id), cooldown="0s") for id, when in whens.items()]
    for word in (merge, brake):
        for cut in ([], [1], [2]):
            log = batches("events", 0, encoded([order, word, look]), cut)
            [store] = run(Merging(customers_job(rules), "events"), log).values()
            assert [decision["rule"] for decision in data_of(store, "decisions")] == ["is"], (word, cut)
