"""The arm that gives nothing, and arms beside it: decisions, caps, budgets, versions."""

from __future__ import annotations

from alerts.triggers.campaign import Campaign, Campaigns
from alerts.triggers.policy import Policy
from alerts.triggers.receipts.kept import decode_kept
from alerts.triggers.receipts.receipt import decision_id
from features import events as e
from features.arms import Weights
from features.record import Ledger
from features.times import DAY_MS
from tests.alerts.triggers.armed import CONTROL, FIFTH, NOON_MS, THREE, drawn_for, event, job_of, lived, outcomes, rule
from tests.alerts.triggers.jobs import customers_job, data_of


def test_the_control_gets_nothing_and_has_a_decision_a_receipt_and_a_cooldown() -> None:
    job = job_of(THREE, CONTROL, cooldown="2d")
    who = drawn_for("control", job)
    store = lived(job, *(event(e.View, f"v{day}", day, who) for day in (0, 1, 2)))
    assert outcomes(store) == ["control", "cooldown", "control"]
    assert data_of(store, "coupons") == []
    first = data_of(store, "decisions")[0]
    assert (first["coupon"], first["face_value_cents"], first["arm"]["name"]) == ("", 0, "control")
    kept = [*map(decode_kept, store.receipts[who])]
    assert [(one.outcome, one.arm and one.arm.name) for one in kept] == [(o, "control") for o in outcomes(store)]


def test_the_control_counts_against_no_cap_but_is_asked_by_it() -> None:
    capped = Policy(cap=1, cap_window_ms=30 * DAY_MS, holdout=0.0, holdout_salt="test", consent="")
    job = job_of(THREE, CONTROL, policy=capped)
    views = [event(e.View, f"v{day}", day, drawn_for("control", job)) for day in (0, 1)]
    assert outcomes(lived(job, *views)) == ["control", "control"]
    got = [event(e.View, f"v{day}", day, drawn_for("three", job)) for day in (0, 1)]
    assert outcomes(lived(job, *got)) == ["issued", "capped"]
    full = Ledger(issued_ms=[NOON_MS])
    job.decider.policy.issue(job.decider.conditions.rules[0], full, NOON_MS + 1, nothing=True)
    assert (full.issued_ms, full.fired_ms) == ([NOON_MS], {"r": NOON_MS + 1})


def test_the_control_takes_nothing_of_a_budget_and_ends_with_it() -> None:
    campaigns = Campaigns([Campaign("spring", budget_cents=300, coupons=9)])
    job = job_of(THREE, CONTROL, campaigns=campaigns, campaign="spring")
    control, three = (drawn_for(arm, job) for arm in ("control", "three"))
    views = [event(e.View, f"v{n}", n, who) for n, who in enumerate((control, three, control, three))]
    store = lived(job, *views)
    assert outcomes(store) == ["control", "issued", "budget", "budget"]
    assert store.spent["spring/budget"] == 300


def test_each_arm_takes_its_own_worth_of_a_budget() -> None:
    job = job_of(THREE, FIFTH, campaigns=Campaigns([Campaign("spring", budget_cents=10_000)]), campaign="spring")
    views = [event(e.View, f"v{arm}", 0, drawn_for(arm, job)) for arm in ("three", "fifth")]
    store = lived(job, *views)
    assert store.spent["spring/budget"] == 300 + 250
    assert [(c["coupon"], c["face_value_cents"], c["percent"]) for c in data_of(store, "coupons")] == [
        ("T", 300, 0),
        ("F", 0, 20),
    ]


def test_a_changed_version_of_weights_changes_no_id_so_nobody_gets_two() -> None:
    learning = rule(THREE, FIFTH, choose="learn")
    stores = []
    for version, shares in ((1, {"three": 1.0, "fifth": 0.0}), (2, {"three": 0.0, "fifth": 1.0})):
        job = customers_job([learning])
        job.decider.arms.weights = {"r": Weights("r", version, 1, {"": shares})}
        stores.append(lived(job, event(e.View, "v", 0, "c7")))
    (before,), (after,) = (data_of(store, "coupons") for store in stores)
    assert (before["coupon"], after["coupon"]) == ("T", "F")
    assert before["decision"] == after["decision"] == decision_id("r", "c7", "v")
    assert [one["arm"]["weights_version"] for one in (before, after)] == [1, 2]
