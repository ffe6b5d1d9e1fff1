"""A decision explains itself: what the rule saw, what moved the score, and when and where that was."""

from __future__ import annotations

from math import exp

import numpy as np
import orjson
import pytest
from msgspec import msgpack
from msgspec.structs import astuple, replace

from alerts.triggers.gifts import Then
from alerts.triggers.receipts.kept import Kept, decode_kept
from alerts.triggers.rule import Rule
from features import events as e
from features.loop import batches, run
from features.models import terms
from features.times import local_day, parse_time
from tests.alerts.triggers.jobs import CATALOG, INPUTS, churn_model, customers_job, data_of, encoded

NOON_MS = parse_time("2026-05-04T12:00:00+08:00")  # a Monday


def order(number: int, at_ms: int = NOON_MS, tz: str = "Asia/Shanghai", **fields: str) -> e.Order:
    day, lines = local_day(at_ms, tz), [e.Line("tea", qty=2)]
    common = {"id": f"o{number}", "customer": "c1", "at_ms": at_ms, "day": day, "tz": tz}
    return e.Order(**common, lines=lines, total_cents=1800, **fields)


def rule(when: str, **fields: str) -> Rule:
    return Rule(id="r", on=["order"], when=when, then=Then("TEA5", 500, "4h", "spring"), cooldown="0s", **fields)


def decisions(when: str, *events: e.Event, scored: bool = True) -> list[dict]:
    job = customers_job([rule(when, version="v7")])
    job.decider.models = {"churn_risk": churn_model()} if scored else {}
    return data_of(run(job, batches("events", 0, encoded(list(events))))[0], "decisions")


def test_a_receipt_holds_the_values_that_its_rule_looked_at_and_no_others() -> None:
    *_, receipt = decisions("orders_7d >= 1 AND aov_cents_30d > 0 OR rating_tenths_90d > 1", order(1), order(2))
    assert receipt["values"] == {"orders_7d": 2, "aov_cents_30d": 1800, "rating_tenths_90d": None}
    assert (receipt["rule"], receipt["rule_version"], receipt["cause"]) == ("r", "v7", "o2")
    assert (receipt["coupon"], receipt["face_value_cents"], receipt["campaign"]) == ("TEA5", 500, "spring")
    assert receipt["expires_ms"] - receipt["at_ms"] == 4 * 3_600_000


def test_a_receipt_names_the_five_features_that_moved_the_score_most() -> None:
    everything = " OR ".join(f"{CATALOG.names[i]} IS NULL" for i in INPUTS)
    (receipt,) = decisions(f"churn_risk > 0 AND ({everything} OR true)", order(1))
    seen = [[float("nan") if (v := receipt["values"][CATALOG.names[i]]) is None else v for i in INPUTS]]
    model = churn_model()
    added = dict(zip(model.features, terms(model, np.array(seen))[0].tolist(), strict=True))
    wanted = sorted(added, key=lambda name: -abs(added[name]))[:5]
    assert receipt["terms"]["churn_risk"] == pytest.approx({name: added[name] for name in wanted}, abs=1e-3)
    assert receipt["values"]["churn_risk"] == pytest.approx(1 / (1 + exp(-model.bias - sum(added.values()))), abs=1e-4)


def test_a_receipt_names_the_versions_of_the_models_that_it_looked_at_and_no_others() -> None:
    scored, unscored = decisions("churn_risk >= 0", order(1)), decisions("orders_7d >= 1", order(1))
    assert [receipt["models"] for receipt in (*scored, *unscored)] == [{"churn_risk": churn_model().version}, {}]
    kept = Kept(**{name: scored[0][name] for name in Kept.__struct_fields__})
    assert decode_kept(msgpack.encode(kept)) == kept
    former = astuple(kept)[: Kept.__struct_fields__.index("models")]
    assert decode_kept(msgpack.encode(former)) == replace(kept, models={}), "one from before it named them"


def test_a_score_without_a_model_is_unknown() -> None:
    assert decisions("churn_risk >= 0 OR churn_risk <= 1", order(1), scored=False) == []
    (receipt,) = decisions("churn_risk IS NULL", order(1), scored=False)
    assert (receipt["values"], receipt["terms"], receipt["models"]) == ({"churn_risk": None}, {"churn_risk": {}}, {})


@pytest.mark.parametrize(
    ("when", "tz", "holds"),
    [
        ("weekday = 1 AND hour = 12", "Asia/Shanghai", True),
        ("weekday = 1 AND hour = 0", "America/New_York", True),
        ("weekday = 7 AND hour = 21", "America/Los_Angeles", True),
        ("event = 'order' AND store = 's1' AND region = 'south' AND channel = 'pos'", "Asia/Shanghai", True),
        ("channel = 'app'", "Asia/Shanghai", False),
    ],
)
def test_facts_are_those_of_the_event_on_its_stores_own_clock(when: str, tz: str, holds: bool) -> None:
    event = order(1, tz=tz, store="s1", region="south", channel="pos")
    assert bool(decisions(when, event)) is holds


def test_the_coupon_is_a_cloudevent_whose_id_is_the_decision() -> None:
    job = customers_job([rule("true")])
    sent = run(job, batches("events", 0, encoded([order(1)])))[0].sent
    coupon, decision = (orjson.loads(m.value) for m in sent if m.topic != "examples")
    assert (coupon["type"], decision["type"]) == ("brewline.coupon.issued", "brewline.decision")
    assert coupon["id"] == decision["id"] == coupon["data"]["decision"]
    assert (coupon["subject"], coupon["time"], coupon["specversion"]) == ("c1", "2026-05-04T04:00:00.000Z", "1.0")
