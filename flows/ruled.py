"""The customers job under rules and campaigns as their files stand: made anew, between batches, when one changes."""

from __future__ import annotations

import time
from functools import partial

from alerts.triggers.decide import Decider
from alerts.triggers.job import CustomersJob
from alerts.triggers.merging import Merging
from features.forgotten import Forgotten
from features.labels import labels_of
from features.models import input_layouts
from features.partitions import partition_keys
from flows.changed import note_files
from flows.coupons import keeping, lifecycle, policy, settling
from flows.files import load_catalog
from flows.followed import Followed
from flows.house import House
from flows.rules import load_campaigns, load_conditions, load_rules
from operators.layout import follow_layout, known_layouts
from operators.leases import Leases
from operators.models import PublishedModels
from operators.receipts import note_rules
from operators.store import PartitionStore
from operators.waking import Waking


class Ruled:
    """`job` stays the same; the rules and campaigns in it follow their files. Files that are wrong change nothing, and
    are told. `lend` shares the campaigns' budgets."""

    def __init__(self, house: House) -> None:
        self.house = house
        coupons = house.settings.coupons
        folders = [coupons.rules, coupons.calendars, *([coupons.campaigns] if coupons.campaigns else [])]
        self.followed = Followed("rules", [house.settings.path(folder) for folder in folders])
        self.catalog = load_catalog(house.settings)
        state, now_ms = (house.redis, house.settings.redis.prefix), round(time.time() * 1000)
        self.earlier = house.answered(lambda: follow_layout(*state, self.catalog.layout, now_ms))
        self.forgotten = Forgotten(house.tombstones.told())
        layouts = input_layouts(self.catalog)
        self.published = PublishedModels(house.store("learning"), house.partitions["examples"], layouts)
        self.lifecycle = lifecycle(house.settings)
        self.job = Merging(house.answered(self._ruled), house.topic("events"), partial(known_layouts, *state))

    def lend(self, store: PartitionStore) -> Leases:
        self.leases = Leases(store, self.job.job.decider.campaigns, self.house.partitions["events"])
        self.waking = Waking(store, self.job.job.waits, self.house.stop).start()
        return self.leases

    def refresh(self) -> None:
        """Before a batch: the models that were published, the rules and the campaigns."""
        self.waking.greet()
        self.published.refresh()
        self.followed.follow(self._reload)

    def _reload(self) -> int:
        job = self._ruled()
        self.leases.follow(job.decider.campaigns)
        self.job.follow(job)
        self.waking.follow(job.waits)
        return len(job.decider.conditions.rules)

    def _ruled(self) -> CustomersJob:
        house, settings, rules = self.house, self.house.settings, load_rules(self.house.settings)
        conditions = load_conditions(self.catalog, rules)
        note_rules(house.redis, settings.redis.prefix, {rule.version: text for rule, _, text in rules})
        files = ((file, text) for _, file, text in rules)
        note_files(house, "coupon rules", settings.path(settings.coupons.rules), files)
        catalog = self.catalog.narrowed(n for names in conditions.names for n in names if n in self.catalog.names)
        coupons, decisions, examples, letters = map(house.topic, ("coupons", "decisions", "examples", "dead-letters"))
        limits, kept = load_campaigns(settings, rules), keeping(settings)
        ways = (policy(settings), coupons, decisions, limits, kept, self.lifecycle)
        decider = Decider(catalog, conditions, *ways)
        decider.models, decider.arms.weights = self.published.models, self.published.weights
        self.published.learns = [rule.id for rule, _, _ in rules if rule.then.choose == "learn"]
        known = (self.earlier, self.forgotten, settling(settings))
        reached = partition_keys(house.partitions["examples"]), house.partitions["events"]
        return CustomersJob(catalog, decider, labels_of(catalog), examples, letters, *known, *reached)
