"""Every decision, fired or not, is explained in words that whoever writes rules understands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis as redis_py

from alerts.triggers.kept import Keeping
from alerts.triggers.merging import Merging
from config import settings as conf
from features import events as e
from features.job import Batch
from features.models import encode_model
from features.partitions import partition_of
from features.times import HOUR_MS, parse_time
from flows.coupons import input_layouts, policy
from flows.files import load_catalog
from flows.rules import load_rules
from operators.receipts import note_rules
from operators.servers import RedisServer
from operators.store import PartitionStore, check_layout, follow_layout
from tests.alerts.triggers.jobs import churn_model, customers_job

pytestmark = pytest.mark.servers
NOON_MS = parse_time("2026-05-04T12:00:00+08:00")
PARTITIONS = 2
GROUPED = """
id = "{id}"
on = ["order"]
group = "thanks"
when = "{when}"
then = {{ coupon = "G", face_value_cents = 100 }}
cooldown = "7d"
[[test]]
name = "fires"
events = [{{ type = "order" }}]
fires_at = ["+0s"]
[[test]]
name = "is quiet"
events = []
"""


@pytest.fixture
def settings(redis: RedisServer, topic_prefix: str, tmp_path: Path) -> conf.Settings:
    for file in (conf.HERE / "rules/coupons").glob("*.toml"):
        (tmp_path / file.name).write_text(file.read_text())
    coupons = conf.Coupons(rules=str(tmp_path), cap=2, holdout_percent=0.0)
    return conf.Settings(
        redis=conf.Redis(url=redis.url, prefix=topic_prefix.rstrip("-")), coupons=coupons, folder=str(conf.HERE)
    )


class Town:
    """The customers flow without Kafka: events go to their partition's job, and what comes of them to Redis."""

    def __init__(self, settings: conf.Settings, keeping: Keeping | None = None) -> None:
        self.settings, prefix = settings, settings.redis.prefix
        self.client = redis_py.Redis.from_url(settings.redis.url)
        check_layout(self.client, prefix, {"partitions of events": PARTITIONS, "partitions of examples": 1})
        catalog = load_catalog(settings)
        follow_layout(self.client, prefix, catalog.layout, 0)
        rules = load_rules(settings)
        note_rules(self.client, prefix, {rule.version: text for rule, _, text in rules})
        self.job = Merging(
            customers_job([rule for rule, _, _ in rules], policy(settings), keeping=keeping or Keeping(20)), "events"
        )
        self.store = PartitionStore(self.client, prefix, "customers")
        self.next = [0] * PARTITIONS
        for partition in range(PARTITIONS):
            self.store.claim(partition)
        layout = input_layouts(catalog)["churn_risk"]
        model = churn_model()
        model = type(model)(**{**{f: getattr(model, f) for f in model.__struct_fields__}, "layout": layout})
        self.job.job.decider.models = {"churn_risk": model}
        learning = PartitionStore(self.client, prefix, "learning")
        self.client.set(learning.key(0, "r:model|churn_risk"), encode_model(model))

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


def brewline(settings: conf.Settings, *words: str) -> str:
    env = {
        **os.environ, "COLUMNS": "140", "NO_COLOR": "1", "BREWLINE_REDIS__URL": settings.redis.url,
        "BREWLINE_REDIS__PREFIX": settings.redis.prefix, "BREWLINE_COUPONS__RULES": settings.coupons.rules,
        "BREWLINE_COUPONS__CAP": "2", "BREWLINE_COUPONS__HOLDOUT_PERCENT": "0",
    }  # fmt: skip
    command = [sys.executable, "-m", "brewline", "why", *words]
    shown = subprocess.run(command, capture_output=True, text=True, env=env, timeout=120, check=False)
    assert shown.returncode == 0, shown.stderr
    return shown.stdout
