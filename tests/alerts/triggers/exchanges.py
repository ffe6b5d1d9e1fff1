"""Customers who give points for coupons: what they do, and what came of it."""

from __future__ import annotations

from typing import Any

from alerts.triggers.gifts import Then
from alerts.triggers.job import CustomersJob
from alerts.triggers.policy import Policy
from alerts.triggers.referrals import Settling
from alerts.triggers.rule import Rule
from alerts.triggers.worth import Worth
from features import events as e
from features.loop import Store, batches, run
from features.purse import Purse
from features.times import DAY_MS, parse_time
from tests.alerts.triggers.jobs import CATALOG, FREE, customers_job, data_of, encoded

NOON_MS = parse_time("2026-05-04T12:00:00Z")
WORTH = Worth("points", cents_each=10, least=100, at_most_cents=20_000)
GIFT = Then("POINTS", worth=WORTH, spends=True, campaign="points")
RULE = Rule(id="exchange", on=["points_exchange"], when="true", then=GIFT, cooldown="0s")


def exchanging(rules: list[Rule], policy: Policy = FREE, **more: Any) -> CustomersJob:
    job = customers_job(rules, policy, **more)
    job.settling = Settling("events", DAY_MS)
    return job


JOB = exchanging([RULE])
SMALL_GIFT = Then("POINTS", worth=Worth("points", cents_each=10, least=10, at_most_cents=1_000), spends=True)
SMALL = exchanging([Rule(id="exchange", on=["points_exchange"], when="true", then=SMALL_GIFT, cooldown="0s")])


def at(day: float) -> int:
    return NOON_MS + round(day * DAY_MS)


def bought(day: float, yuan: int, customer: str = "c", id: str = "") -> e.Order:
    common = {"customer": customer, "tz": "UTC", "lines": [e.Line("tea")], "total_cents": 100 * yuan, "day": 1}
    return e.Order(id=id or f"o{customer}{day}", at_ms=at(day), **common)


def asks(day: float, points: int, id: str = "", customer: str = "c") -> e.PointsExchange:
    id = id or f"x{customer}{day}"
    return e.PointsExchange(id=id, customer=customer, at_ms=at(day), tz="UTC", points=points, day=1)


def gave(day: float, points: int, customer: str = "c") -> e.PointsSpent:
    return e.PointsSpent(id=f"s{customer}{day}", customer=customer, at_ms=at(day), tz="UTC", points=points, day=1)


def lived(log: list[e.Event], job: Any = JOB, cuts: list[int] | None = None, store: Store | None = None) -> Store:
    first = store.position.offset + 1 if store else 0
    return run(job, batches("events", 0, encoded(log), cuts or (), first), {0: store or Store()})[0]


def outcomes(store: Store) -> list[str]:
    return [one["because"] or one["outcome"] for one in data_of(store, "decisions")]


def spent_by(store: Store) -> list[e.PointsSpent]:
    return [e.decode_clean(message.value) for message in store.sent if message.topic == "events"]


def balance(store: Store, day: float, customer: str = "c") -> float:
    return JOB.core.row(store.records[customer], at(day))[CATALOG.names.index("points_balance")]


def purse(store: Store, customer: str = "c") -> Purse:
    return JOB.core.unpacked(store.records[customer]).ledger.purse or Purse()
