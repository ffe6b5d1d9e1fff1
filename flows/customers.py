"""customers: clean events → windows → feature row → scores → rules → coupons, decisions, examples."""

from __future__ import annotations

import time

from bytewax.dataflow import Dataflow

from alerts.triggers.decide import Decider
from alerts.triggers.job import CustomersJob
from alerts.triggers.merging import Merging
from features.forgotten import Forgotten
from features.labels import Churn
from features.times import parse_duration
from flows.coupons import input_layouts, keeping, policy
from flows.files import load_catalog
from flows.house import House
from flows.opening import open_house
from flows.rules import load_conditions, load_rules
from operators.models import PublishedModels
from operators.receipts import note_rules
from operators.store import follow_layout
from operators.tombstones import withhold


def add(flow: Dataflow, house: House) -> None:
    catalog = load_catalog(house.settings)
    prefix, layout, now_ms = house.settings.redis.prefix, catalog.layout, round(time.time() * 1000)
    earlier = house.answered(lambda: follow_layout(house.redis, prefix, layout, now_ms))
    rules = load_rules(house.settings)
    house.answered(lambda: note_rules(house.redis, prefix, {rule.version: text for rule, _, text in rules}))
    conditions = load_conditions(catalog, rules)
    catalog = catalog.narrowed(name for names in conditions.names for name in names if name in catalog.names)
    decider = Decider(
        catalog,
        conditions,
        policy(house.settings),
        house.topic("coupons"),
        house.topic("decisions"),
        keeping(house.settings),
    )
    layouts = input_layouts(catalog)
    churn = Churn(
        "churn_risk",
        layouts["churn_risk"],
        catalog.models["churn_risk"],
        parse_duration(house.settings.learning.churn_horizon),
    )
    forgotten = Forgotten(house.tombstones.told())
    job = CustomersJob(
        catalog, decider, churn, house.topic("examples"), house.topic("dead-letters"), earlier, forgotten
    )
    published = PublishedModels(house.store("learning"), house.partitions["examples"], layouts)
    decider.models = published.models
    merging = Merging(job, house.topic("events"))
    house.stage(flow, "customers", "events", merging, published.refresh, withhold(forgotten))


def flow() -> Dataflow:
    return open_house("customers", add)
