"""A customers flow without Kafka, for tests of commands that read what it has written."""

from __future__ import annotations

import redis as redis_py
from msgspec.structs import replace

from alerts.triggers.merging import Merging
from alerts.triggers.receipts.kept import Keeping
from config import settings as conf
from features import events as e
from features.job import Batch
from features.models import input_layouts
from features.partitions import partition_of
from features.times import HOUR_MS, parse_time
from features.versions import sole
from flows.coupons import policy
from flows.files import load_catalog
from flows.rules import load_rules
from operators.layout import RECORDS, check_layout, follow_layout
from operators.receipts import note_rules
from operators.store import PartitionStore
from tests.alerts.triggers.jobs import churn_model, customers_job

NOON_MS = parse_time("2026-05-04T12:00:00+08:00")
PARTITIONS = 2
ALL = Keeping(receipts=20)


class Town:
    """The customers flow without Kafka: events go to their partition's job, and what comes of them to Redis."""

    def __init__(self, settings: conf.Settings, keeping: Keeping = ALL) -> None:
        self.settings, prefix = settings, settings.redis.prefix
        self.client = redis_py.Redis.from_url(settings.redis.url)
        check_layout(self.client, prefix, {"partitions of events": PARTITIONS, "partitions of examples": 1})
        catalog = load_catalog(settings)
        follow_layout(self.client, prefix, catalog.layout, 0)
        rules = load_rules(settings)
        note_rules(self.client, prefix, {rule.version: text for rule, _, text in rules})
        job = customers_job([rule for rule, _, _ in rules], policy(settings), keeping=keeping)
        self.job = Merging(job, "events")
        self.store = PartitionStore(self.client, prefix, "customers")
        self.next = [0] * PARTITIONS
        for partition in range(PARTITIONS):
            self.store.claim(partition)
        model = replace(churn_model(), layout=input_layouts(catalog)["churn_risk"])
        job.decider.models = {"churn_risk": model}
        learning = PartitionStore(self.client, prefix, "learning")
        for record, raw in sole(model).items():
            self.client.hset(learning.key(0, RECORDS), record, raw)

    def live(self, *events: e.Event) -> None:
        for event in events:
            for partition in [partition_of(event.customer, PARTITIONS)] if event.customer else range(PARTITIONS):
                self.apply(partition, e.encode(event))

    def apply(self, partition: int, raw: bytes) -> None:
        at = self.next[partition]
        batch = Batch("events", partition, at - 1, [at], [raw], [0])
        plan = self.job.plan(batch, self.store.position(partition))
        changes = self.job.apply(plan, self.store.load(partition, plan, self.job.timer_records))
        self.store.commit(partition, changes)
        self.next[partition] += 1
        for message in changes.messages:
            if message.topic == "events":
                self.apply(partition_of(message.key, PARTITIONS), message.value)


def order(number: int, customer: str = "ca", hours: float = 0) -> e.Order:
    at_ms = NOON_MS + round(hours * HOUR_MS)
    lines = [e.Line("tea")]
    return e.Order(id=f"o{number}", customer=customer, at_ms=at_ms, tz="Asia/Shanghai", lines=lines, total_cents=1800)


def consent(customer: str = "ca") -> e.Consent:
    at_ms = NOON_MS - 1
    return e.Consent(id="y", customer=customer, at_ms=at_ms, tz="Asia/Shanghai", purpose="marketing", granted=True)


def tick(hours: float) -> e.Tick:
    at_ms = NOON_MS + round(hours * HOUR_MS)
    return e.Tick(id=f"t{hours}", at_ms=at_ms, source="s", of=1)
