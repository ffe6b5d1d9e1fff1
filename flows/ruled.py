"""The customers job under the rules as their files stand: made anew, between two batches, when a file changes."""

from __future__ import annotations

import time

import structlog

from alerts.triggers.decide import Decider
from alerts.triggers.job import CustomersJob
from alerts.triggers.merging import Merging
from alerts.triggers.rule import WrongRule
from config.settings import WrongSettings
from features.forgotten import Forgotten
from features.labels import labels_of
from features.models import input_layouts
from flows.coupons import keeping, lifecycle, policy, settling
from flows.files import load_catalog, stamp
from flows.house import House
from flows.rules import load_campaigns, load_conditions, load_rules
from operators.health import RULES
from operators.models import PublishedModels
from operators.receipts import note_rules
from operators.store import follow_layout

log = structlog.get_logger()
EVERY_S = 1.0


class Ruled:
    """`job` stays the same; the rules in it follow their files. Files that are wrong change nothing, and are told."""

    def __init__(self, house: House) -> None:
        self.house = house
        coupons = house.settings.coupons
        self.folders = [house.settings.path(folder) for folder in (coupons.rules, coupons.calendars)]
        self.catalog = load_catalog(house.settings)
        layout = (house.settings.redis.prefix, self.catalog.layout, round(time.time() * 1000))
        self.earlier = house.answered(lambda: follow_layout(house.redis, *layout))
        self.forgotten = Forgotten(house.tombstones.told())
        layouts = input_layouts(self.catalog)
        self.published = PublishedModels(house.store("learning"), house.partitions["examples"], layouts)
        self.campaigns = load_campaigns(house.settings, load_rules(house.settings))  # as they stand at the start
        self.lifecycle = lifecycle(house.settings)
        self.stamp = stamp(self.folders, "*.toml")
        self.job = Merging(house.answered(self._ruled), house.topic("events"))
        self.next_s = time.monotonic() + EVERY_S

    def refresh(self) -> None:
        """Before a batch: the models that were published and, every second, the rules."""
        self.published.refresh()
        if time.monotonic() < self.next_s:
            return
        self.next_s = time.monotonic() + EVERY_S
        if (found := stamp(self.folders, "*.toml")) != self.stamp:
            self._reload()
            self.stamp = found  # not before: while Redis is away, this is tried again

    def _reload(self) -> None:
        try:
            self.job.job = self._ruled()
        except (WrongRule, WrongSettings) as error:
            RULES.labels("refused").inc()
            log.error("rules refused, the former ones stay", error=str(error))
        else:
            RULES.labels("loaded").inc()
            log.info("rules loaded", rules=len(self.job.job.decider.conditions.rules))

    def _ruled(self) -> CustomersJob:
        house, settings, rules = self.house, self.house.settings, load_rules(self.house.settings)
        conditions = load_conditions(self.catalog, rules)
        note_rules(house.redis, settings.redis.prefix, {rule.version: text for rule, _, text in rules})
        catalog = self.catalog.narrowed(n for names in conditions.names for n in names if n in self.catalog.names)
        coupons, decisions, examples, letters = map(house.topic, ("coupons", "decisions", "examples", "dead-letters"))
        ways = (policy(settings), coupons, decisions, self.campaigns, keeping(settings), self.lifecycle)
        decider = Decider(catalog, conditions, *ways)
        decider.models, decider.arms.weights = self.published.models, self.published.weights
        self.published.learns = [rule.id for rule, _, _ in rules if rule.then.choose == "learn"]
        known = (self.earlier, self.forgotten, settling(settings))
        return CustomersJob(catalog, decider, labels_of(catalog), examples, letters, *known)
