"""Published models: what a scorer does while Redis, where they are, does not answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from threading import Event

import msgspec
import pytest
import redis as redis_py
import structlog
from msgspec import msgpack
from msgspec.structs import replace
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError
from redis.retry import Retry

from features.arms import Weights, encode_weights
from features.job import Changes, Plan, State
from features.models import Curve, LinearModel
from features.partitions import partition_of
from features.versions import (
    Version,
    Versions,
    encode_versions,
    open_sealed,
    seal,
    version_key,
    versions_key,
)
from operators import models
from operators.health import REFUSALS, Pulse
from operators.layout import RECORDS
from operators.models import PublishedModels
from operators.partition import PartitionStep
from operators.servers import RedisServer, free_port, redis_server
from operators.store import PartitionStore
from tests.tally import TOPIC, Log, Tally, steps

pytestmark = pytest.mark.servers
WAIT_S = 30.0
MODEL = LinearModel("churn", 3, "layout", 1, ["x"], [Curve([0.0, 1.0], [0.0, 0.5])], 0.0)


def learned(port: int, prefix: str) -> PartitionStore:
    return PartitionStore(redis_py.Redis("127.0.0.1", port, retry=Retry(NoBackoff(), 0)), prefix, "learning")


def put(store: PartitionStore, record: str, raw: bytes) -> None:
    store.redis.hset(store.key(partition_of("churn", 4), RECORDS), record, raw)


def publish(store: PartitionStore, *models: LinearModel, damage: Callable[[bytes], bytes | None] = bytes) -> None:
    """The last of them is the champion; its bytes are damaged."""
    versions = Versions(champion=models[-1].version, kept=[Version(m.version, m.layout, 1, 0) for m in models])
    put(store, versions_key("churn"), encode_versions(versions))
    for model in models:
        raw = seal(model, 0, {})
        raw = damage(raw) if model == models[-1] else raw
        if raw is not None:
            put(store, version_key("churn", model.version), raw)


def refusals(reason: str) -> float:
    return REFUSALS.labels("churn", reason)._value.get()


@pytest.fixture
def store(redis: RedisServer, topic_prefix: str) -> PartitionStore:
    store = learned(redis.port, topic_prefix)
    publish(store, MODEL)
    return store


def test_nothing_is_scored_without_models_because_redis_did_not_answer_the_first_time() -> None:
    scorer = PublishedModels(learned(free_port(), "p"), 4, {"churn": "layout"})
    for _ in range(2):
        with pytest.raises(ConnectionError):
            scorer.refresh()


def test_a_model_that_was_read_stays_while_redis_is_away(
    store: PartitionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "EVERY_S", 0.0)
    scorer = PublishedModels(store, 4, {"churn": "layout", "other": "layout"})
    scorer.refresh()
    scorer.store = learned(free_port(), store.prefix)
    scorer.refresh()
    assert scorer.models == {"churn": MODEL}


def test_weights_of_arms_are_read_for_the_rules_that_learn_and_stay_while_redis_is_away(
    store: PartitionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "EVERY_S", 0.0)
    first = Weights("winback", 3, 40, {"lost": {"three": 0.25, "five": 0.75}})
    place = store.key(partition_of("arms|winback", 4), RECORDS)
    store.redis.hset(place, "weights|winback", encode_weights(first))
    reader = PublishedModels(store, 4, {})
    reader.refresh()
    assert reader.weights == {}
    reader.learns = ["winback", "another"]
    reader.refresh()
    assert reader.weights == {"winback": first}
    store.redis.hset(place, "weights|winback", b"{")
    reader.refresh()
    reader.store = learned(free_port(), store.prefix)
    reader.refresh()
    assert reader.weights == {"winback": first}


def test_a_model_learned_on_other_features_is_refused(store: PartitionStore) -> None:
    before = refusals("layout")
    scorer = PublishedModels(store, 4, {"churn": "another layout"})
    scorer.refresh()
    assert scorer.models == {}
    assert refusals("layout") == before + 1


@pytest.fixture
def scorer(store: PartitionStore, monkeypatch: pytest.MonkeyPatch) -> PublishedModels:
    monkeypatch.setattr(models, "EVERY_S", 0.0)
    return PublishedModels(store, 4, {"churn": "layout"})


def flipped(raw: bytes) -> bytes:
    return raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:]


def resealed(raw: bytes) -> bytes:
    """A model that is no model, under a checksum that is right."""
    sealed = open_sealed(raw)
    body = msgpack.encode(msgspec.structs.replace(sealed, model=b'{"name":"churn"}'))
    return blake2b(body, digest_size=16).digest() + body


DAMAGE = [
    (flipped, "corrupt"),
    (lambda raw: raw[:20], "corrupt"),
    (lambda raw: b"", "corrupt"),
    (resealed, "undecodable"),
    (lambda raw: None, "missing"),
    (lambda raw: seal(replace(MODEL, version=4, layout="another"), 0, {}), "layout"),
    (lambda raw: seal(MODEL, 0, {}), "corrupt"),  # another version under this one's name
]


@pytest.mark.parametrize(("damage", "reason"), DAMAGE)
def test_a_version_that_cannot_score_is_refused_and_the_one_before_goes_on(
    store: PartitionStore, scorer: PublishedModels, damage: Callable[[bytes], bytes | None], reason: str
) -> None:
    scorer.refresh()
    before, worse = refusals(reason), replace(MODEL, version=4)
    publish(store, MODEL, worse, damage=damage)
    with structlog.testing.capture_logs() as told:
        for _ in range(3):
            scorer.refresh()
    assert scorer.models == {"churn": MODEL}
    assert refusals(reason) == before + 3
    assert [line["reason"] for line in told if line["log_level"] == "error"] == [reason], "told once"
    publish(store, MODEL, worse)
    scorer.refresh()
    assert scorer.models == {"churn": worse}, "mended"


def test_a_model_that_has_learned_and_was_never_published_is_not_refused(store: PartitionStore) -> None:
    put(store, versions_key("churn"), encode_versions(Versions()))
    scorer, before = PublishedModels(store, 4, {"churn": "layout"}), refusals("missing")
    scorer.refresh()
    assert scorer.models == {}
    assert refusals("missing") == before


@pytest.mark.parametrize(("damage", "reason"), DAMAGE)
def test_at_the_start_the_latest_older_version_that_can_score_serves(
    store: PartitionStore, scorer: PublishedModels, damage: Callable[[bytes], bytes | None], reason: str
) -> None:
    older, other = replace(MODEL, version=2), replace(MODEL, version=3, layout="another")
    publish(store, older, other, replace(MODEL, version=4), damage=damage)
    scorer.refresh()
    assert scorer.models == {"churn": older}


def test_a_champion_that_is_held_back_has_no_scores_until_it_is_let_go(
    store: PartitionStore, scorer: PublishedModels
) -> None:
    versions = Versions(champion=3, kept=[Version(3, "layout", 1, 0)])
    for held, expected in ((False, {"churn": MODEL}), (True, {}), (False, {"churn": MODEL})):
        versions.held = held
        put(store, versions_key("churn"), encode_versions(versions))
        scorer.refresh()
        assert scorer.models == expected


def test_a_rollback_scores_at_the_next_look(store: PartitionStore, scorer: PublishedModels) -> None:
    newer = replace(MODEL, version=4)
    publish(store, MODEL, newer)
    scorer.refresh()
    versions = Versions(champion=4, kept=[Version(3, "layout", 1, 0), Version(4, "layout", 1, 0)])
    versions.turn(9, 3, "rolled back", "anna")
    put(store, versions_key("churn"), encode_versions(versions))
    with structlog.testing.capture_logs() as told:
        scorer.refresh()
        scorer.refresh()
    assert scorer.models == {"churn": MODEL}
    (turn,) = [line for line in told if line["event"] == "model turns"]
    assert {"version": 3, "before": 4, "why": "rolled back", "by": "anna", "at_ms": 9}.items() <= turn.items()


def test_what_is_kept_of_versions_may_be_spoilt_and_the_last_one_goes_on(
    store: PartitionStore, scorer: PublishedModels
) -> None:
    scorer.refresh()
    put(store, versions_key("churn"), b"\xc1")
    scorer.refresh()
    assert scorer.models == {"churn": MODEL}


class Scoring(Tally):
    """Notes which models there are whenever something is applied."""

    def __init__(self, scorer: PublishedModels) -> None:
        self.scorer = scorer
        self.seen: list[list[str]] = []

    def apply(self, plan: Plan, state: State) -> Changes:
        self.seen.append(list(self.scorer.models))
        return super().apply(plan, state)


def test_a_flow_whose_redis_dies_before_its_first_batch_scores_that_batch_with_the_models(workdir: Path) -> None:
    with redis_server(workdir, appendonly="always") as own:
        store = learned(own.port, "p")
        publish(store, MODEL)
        scorer, pulse = PublishedModels(store, 4, {"churn": "layout"}), Pulse(stall_s=60)
        job = Scoring(scorer)
        step = PartitionStep(job, PartitionStore(store.redis, "p", "t"), "dead", pulse, Event(), scorer.refresh)
        step.claim(TOPIC, 0)
        own.kill()
        with ThreadPoolExecutor() as pool:
            first = pool.submit(step, Log(steps(10)).whole())
            try:
                while not pulse.complaints():
                    assert not first.done()
                    time.sleep(0.02)
            finally:
                own.start()
            assert first.result(WAIT_S)
    assert job.seen == [["churn"]]
