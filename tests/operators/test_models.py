"""Published models: what a scorer does while Redis, where they are, does not answer."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
import redis as redis_py
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError
from redis.retry import Retry

from features.bandit import Weights, encode_weights
from features.job import Changes, Plan, State
from features.models import Curve, LinearModel, encode_model
from features.partitions import partition_of
from operators import models
from operators.health import Pulse
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


def publish(store: PartitionStore, model: LinearModel) -> None:
    store.redis.set(store.key(partition_of(model.name, 4), f"r:model|{model.name}"), encode_model(model))


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
    place = store.key(partition_of("arms|winback", 4), "r:weights|winback")
    store.redis.set(place, encode_weights(first))
    reader = PublishedModels(store, 4, {})
    reader.refresh()
    assert reader.weights == {}
    reader.learns = ["winback", "another"]
    reader.refresh()
    assert reader.weights == {"winback": first}
    store.redis.set(place, b"{")
    reader.refresh()
    reader.store = learned(free_port(), store.prefix)
    reader.refresh()
    assert reader.weights == {"winback": first}


def test_a_model_learned_on_other_features_is_refused(store: PartitionStore) -> None:
    scorer = PublishedModels(store, 4, {"churn": "another layout"})
    scorer.refresh()
    assert scorer.models == {}


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
