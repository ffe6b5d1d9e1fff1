"""customers: clean events → windows → feature row → scores → rules → coupons, decisions, examples."""

from __future__ import annotations

import time
from hashlib import blake2b

from bytewax.dataflow import Dataflow

from alerts.triggers.decide import Decider
from alerts.triggers.job import CustomersJob
from alerts.triggers.merging import Merging
from alerts.triggers.policy import Policy
from features.catalog import Catalog
from features.forgotten import Forgotten
from features.labels import Churn
from features.times import parse_duration
from flows.files import load_catalog
from flows.house import House
from flows.opening import open_house
from flows.rules import load_campaigns, load_conditions, load_rules
from operators.models import PublishedModels
from operators.store import follow_layout
from operators.tombstones import withhold


def add(flow: Dataflow, house: House) -> None:
    catalog = load_catalog(house.settings)
    earlier = follow_layout(house.redis, house.settings.redis.prefix, catalog.layout, round(time.time() * 1000))
    rules = load_rules(house.settings)
    conditions, campaigns = load_conditions(catalog, rules), load_campaigns(house.settings, rules)
    catalog = catalog.narrowed(name for names in conditions.names for name in names if name in catalog.names)
    decider = Decider(
        catalog,
        conditions,
        policy(house),
        house.topic("coupons"),
        house.topic("decisions"),
        campaigns,
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
    house.stage(flow, "customers", "events", merging, published.refresh, withhold(forgotten), campaigns)


def policy(house: House) -> Policy:
    c = house.settings.coupons
    return Policy(c.cap, parse_duration(c.cap_window), c.holdout_percent / 100, c.holdout_salt, c.require_consent)


def input_layouts(catalog: Catalog) -> dict[str, str]:
    """A hash of each model's input names: a model learned on other inputs is refused."""
    return {
        model: blake2b("|".join(catalog.names[i] for i in columns).encode(), digest_size=6).hexdigest()
        for model, columns in catalog.models.items()
    }


def flow() -> Dataflow:
    return open_house("customers", add)
