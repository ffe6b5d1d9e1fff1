"""Models on the board: what learning has kept is told, and a human's word on who scores goes to learning."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from brewline.models.reading import read_models
from config import settings as conf
from features.course import Subject
from features.models import Curve, LinearModel
from features.quality import LOGIT
from features.versions import Version, Versions, encode_versions, seal, version_key, versions_key
from features.watch import POINTS, Watch, encode_watch
from operators.layout import RECORDS, check_layout
from operators.redis_link import connect_redis
from operators.store import PartitionStore
from tests.board.conftest import SignedIn

pytestmark = pytest.mark.servers


def churn(settings: conf.Settings) -> Subject:
    return read_models(settings)["churn_risk"].subject


@pytest.fixture
def learned(board_settings: conf.Settings) -> Watch:
    """churn_risk has three versions; 600 labels, on which the champion did well, and version 3 is beside it."""
    subject, redis = churn(board_settings), connect_redis(board_settings.redis.url, 5.0)
    prefix = board_settings.redis.prefix
    check_layout(redis, prefix, {"partitions of examples": 1})
    labels = np.tile([1.0, 0.0, 0.0], 200)
    watch = Watch(at_ms=1_777_000_000_000, layout=subject.layout, compared=100, loss=40.0, champion_loss=30.0)
    sure = np.where(labels > 0, 0.8, 0.1)
    scores = np.column_stack([sure, np.full(600, np.nan), np.full(600, 0.33), np.full(600, 0.4)])
    watch.take(labels, scores, 600)
    watch.note(LOGIT)
    kept = [Version(number, subject.layout, 200 * number, number, {"log_loss": 0.5}) for number in (1, 2, 3)]
    versions = Versions(challenger=3, kept=kept)
    versions.turn(1, 1, "first")
    versions.turn(2, 2, "better")
    key = PartitionStore(redis, prefix, "learning").key
    records = {versions_key("churn_risk"): encode_versions(versions), "watch|churn_risk": encode_watch(watch)}
    for number in (1, 2, 3):
        curves = [Curve([0.0, 9.0], [0.0, number * 0.1 * i], -0.1) for i in range(len(subject.inputs))]
        model = LinearModel("churn_risk", number, subject.layout, 200 * number, list(subject.inputs), curves, 0.0)
        records[version_key("churn_risk", number)] = seal(model, number, {})
    redis.hset(key(0, RECORDS), mapping=dict(records))
    return watch


def test_a_model_is_told_beside_its_baselines_and_versions(learned: Watch, signed_in: SignedIn) -> None:
    client = signed_in("marketing")
    [summary] = [one for one in client.get("/api/v1/models").json()["items"] if one["labels"]]
    assert (summary["name"], summary["champion"], summary["challenger"]) == ("churn_risk", 2, 3)
    assert summary["losses"]["champion"] < summary["losses"]["base_rate"] < summary["losses"]["recency"]
    assert summary["roc_auc"] == 1.0
    told = client.get("/api/v1/models/churn_risk").json()
    assert told["scorers"] == ["champion", "challenger", "base_rate", "recency"]
    [point] = told["points"]
    assert (point["labels"], point["losses"][1]) == (600, None)
    assert point["losses"][0] == pytest.approx(told["figures"]["champion"]["log_loss"], abs=1e-5)
    ends = [told["reliability"][0], told["reliability"][-1]]
    assert [(round(bin["score"], 1), bin["rate"]) for bin in ends] == [(0.1, 0.0), (0.8, 1.0)]
    assert told["beside"] == {"labels": 100, "needed": 1_000, "loss": 0.4, "champion_loss": 0.3}
    assert [(one["number"], one["role"]) for one in told["versions"]] == [(3, "challenger"), (2, "champion"), (1, "")]
    assert told["former"] == 1


def test_inputs_come_in_order_of_how_far_they_can_move_the_score(learned: Watch, signed_in: SignedIn) -> None:
    inputs = signed_in("auditor").get("/api/v1/models/churn_risk").json()["inputs"]
    spans = [one["span"] for one in inputs]
    assert spans == sorted(spans, reverse=True)
    assert spans[0] == pytest.approx(0.2 * (len(inputs) - 1) + 0.1), "a gap takes 0.1 away"
    assert inputs[0]["other_span"] == pytest.approx(0.3 * (len(inputs) - 1) + 0.1)


def test_engineers_alone_decide_which_version_scores(learned: Watch, signed_in: SignedIn) -> None:
    assert signed_in("marketing").get("/api/v1/models/churn_risk").json()["may"] == []
    engineer = signed_in("engineer")
    assert engineer.get("/api/v1/models/churn_risk").json()["may"] == ["promote", "rollback"]
    for word in ("promote", "rollback"):
        assert signed_in("marketing").post(f"/api/v1/models/churn_risk/{word}", json={"version": 3}).status_code == 403
    wrong = engineer.post("/api/v1/models/churn_risk/promote", json={"version": 9})
    assert (wrong.status_code, "has no version 9" in wrong.json()["detail"]) == (400, True)
    assert engineer.post("/api/v1/models/churn/promote", json={"version": 1}).status_code == 404
    away = engineer.post("/api/v1/models/churn_risk/promote", json={"version": 3})
    assert (away.status_code, "Kafka" in away.json()["detail"]) == (503, True), "no Kafka takes the word here"


def test_before_there_is_a_version_a_model_says_so(signed_in: SignedIn) -> None:
    told = signed_in("engineer").get("/api/v1/models/churn_risk").json()
    assert (told["versions"], told["inputs"], told["points"], told["may"]) == ([], [], [], [])
    assert signed_in("engineer").get("/api/v1/models/none").status_code == 404


def test_quality_over_time_is_bounded_and_covers_the_whole_life() -> None:
    watch, kept = Watch(), list[int]()
    for _ in range(400):
        watch.take(np.ones(10), np.full((10, 4), 0.5), 100)
        watch.note(LOGIT)
        kept.append(len(watch.points))
    assert max(kept) <= POINTS
    labels = [point.labels for point in watch.points]
    assert (labels[0], labels == sorted(set(labels))) == (10, True)
    assert 4_000 - labels[-1] < watch.spacing
    assert {b - a for a, b in pairwise(labels)} == {watch.spacing}, "evenly spread"
