"""A customers job for tests, with the shipped features and whatever rules a test needs."""

from __future__ import annotations

from collections import Counter

import orjson

from alerts.coupons.code import Codes
from alerts.coupons.lifecycle import Lifecycle
from alerts.triggers.campaign import NONE, Campaigns
from alerts.triggers.condition import over_catalog
from alerts.triggers.decide import Decider
from alerts.triggers.job import CustomersJob
from alerts.triggers.policy import Policy
from alerts.triggers.receipts.kept import NOTHING, Keeping
from alerts.triggers.rule import Rule
from benchmarks.decisions import decisions_in
from config import settings as conf
from features import events as e
from features.customer import Label
from features.job import Message
from features.kernel.arrays import A_WHILE
from features.labels import Labels, Taught
from features.loop import Store
from features.models import Curve, LinearModel
from features.times import DAY_MS
from features.trials import START, Trial, decode_trial
from flows.files import load_catalog

HOUSE = conf.load(environ={})
CATALOG = load_catalog(HOUSE)
FREE = Policy(cap=1_000_000, cap_window_ms=DAY_MS, holdout=0.0, holdout_salt="test", consent="")
COUPON_KEY = "a key for tests only"
CODES = Codes(COUPON_KEY.encode())
LIFECYCLE = Lifecycle("redemptions", CODES, keep_ms=30 * DAY_MS)
INPUTS = CATALOG.models["churn_risk"]


def customers_job(
    rules: list[Rule],
    policy: Policy = FREE,
    horizon_ms: int = 5 * DAY_MS,
    campaigns: Campaigns = NONE,
    keeping: Keeping = NOTHING,
    lifecycle: Lifecycle | None = LIFECYCLE,
    labels: Labels | None = None,
) -> CustomersJob:
    conditions = over_catalog([(rule, f"{rule.id}.toml", "") for rule in rules], CATALOG)
    decider = Decider(CATALOG, conditions, policy, "coupons", "decisions", campaigns, keeping, lifecycle)
    return CustomersJob(CATALOG, decider, labels or churn_labels(horizon_ms), "examples", "dead-letters")


def churn_labels(horizon_ms: int) -> Labels:
    """Of churn alone, under a layout that is easy to type."""
    taught = Taught("l", "churn", [*range(len(INPUTS))], 0)
    return Labels(Label(INPUTS, [(horizon_ms, A_WHILE)]), {"churn_risk": taught})


def churn_model() -> LinearModel:
    """Any fixed model over the shipped inputs."""
    features = [CATALOG.names[i] for i in INPUTS]
    rises = [(-1) ** i * (1 + i / 10) / 6 for i in range(len(features))]
    curves = [Curve([0.0, 1.0, 10.0, 1e4], [-rise, 0.0, 2 * rise, 9 * rise]) for rise in rises]
    return LinearModel("churn_risk", 1, "l", 10, features, curves, 0.1)


def encoded(log: list[e.Event]) -> list[bytes]:
    return [e.encode(event) for event in log]


def data_of(store: Store, topic: str) -> list[dict]:
    """The payloads sent to a topic, in order; of decisions that are told together, each."""
    mine = [message.value for message in store.sent if message.topic == topic]
    if topic == "decisions":
        return [told for value in mine for told in decisions_in(value)]
    return [orjson.loads(value)["data"] for value in mine]


def identities_of(message: Message) -> list[tuple[str, str]]:
    """What a receiver takes a message by: its topic and CloudEvents id; examples by their rows, one by one, as
    decisions that are told together."""
    whole = orjson.loads(message.value)
    if message.topic == "decisions":
        return [(message.topic, told["decision"]) for told in decisions_in(message.value)]
    if message.topic != "examples":
        return [(message.topic, whole["id"])]
    if message.value.startswith(START):
        return [("examples", repr(whole))]
    rows = zip(*(whole[name] for name in EXAMPLE), strict=True)
    return [("examples", repr((whole["model"], *row))) for row in rows]


EXAMPLE = ("ids", "at_ms", "known_ms", "labels", "rows")


def told_anyhow(sent: list[Message]) -> Counter[str]:
    """What receivers learn wherever the log is cut: decisions one by one, and no examples, which go by batch."""
    others = [repr(message) for message in sent if message.topic not in ("examples", "decisions")]
    decisions = [repr(told) for m in sent if m.topic == "decisions" for told in decisions_in(m.value)]
    return Counter(others + decisions)


def trials_of(store: Store) -> list[Trial]:
    """What was told of arms, in order."""
    return [decode_trial(message.value) for message in store.sent if message.value.startswith(START)]
