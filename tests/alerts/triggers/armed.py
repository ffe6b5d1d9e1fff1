"""Rules with arms, and a job that decides by them."""

from __future__ import annotations

from alerts.coupons.lifecycle import Lifecycle
from alerts.triggers.campaign import Campaigns
from alerts.triggers.gifts import Arm, Then
from alerts.triggers.job import CustomersJob
from alerts.triggers.policy import Policy
from alerts.triggers.receipts.kept import Keeping
from alerts.triggers.rule import Rule
from features import events as e
from features.loop import Store, batches, run
from features.times import DAY_MS, parse_time
from tests.alerts.triggers.jobs import FREE, customers_job, data_of, encoded

NOON_MS = parse_time("2026-05-04T12:00:00+08:00")


CONTROL = Arm("control", nothing=True)


THREE, FIFTH = Arm("three", coupon="T", face_value_cents=300), Arm("fifth", coupon="F", percent=20, at_most_cents=250)


def rule(*arms: Arm, cooldown: str = "0s", **then: str) -> Rule:
    gift = Then(arms=list(arms), valid="7d", **then)  # type: ignore[arg-type]
    return Rule(id="r", on=["view"], when="true", then=gift, cooldown=cooldown)


def event(kind: type[e.Event], id: str, day: float, customer: str, **fields: object) -> e.Event:
    at_ms = NOON_MS + round(day * DAY_MS)
    more = {"lines": [e.Line("tea")], "total_cents": 1500} if kind is e.Order else {}
    return kind(id=id, customer=customer, at_ms=at_ms, tz="UTC", **{**more, **fields})  # type: ignore[arg-type]


def drawn_for(arm: str, job: CustomersJob) -> str:
    """A customer who gets this arm."""
    (one,) = job.decider.conditions.rules
    customers = (f"c{n}" for n in range(1_000))
    return next(c for c in customers if job.decider.arms.given(one, c, "").arm.name == arm)  # type: ignore[union-attr]


def job_of(
    *arms: Arm,
    policy: Policy = FREE,
    campaigns: Campaigns | None = None,
    lifecycle: Lifecycle | None = None,
    **more: str,
) -> CustomersJob:
    """Without a lifecycle, coupons are redeemed by the id of their decision."""
    known = {"campaigns": campaigns or Campaigns(), "keeping": Keeping(receipts=20), "lifecycle": lifecycle}
    return customers_job([rule(*arms, **more)], policy, **known)  # type: ignore[arg-type]


def lived(job: CustomersJob, *events: e.Event) -> Store:
    return run(job, batches("events", 0, encoded(list(events))))[0]


def outcomes(store: Store) -> list[str]:
    return [decision["outcome"] for decision in data_of(store, "decisions")]
