"""Learning as a process that is killed again and again: the same versions, turns and alerts as an undisturbed loop."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from random import Random
from signal import SIGTERM
from typing import Any

import msgspec
import numpy as np
import pytest
from redis import Redis
from rich.console import Console

from brewline.models.appointing import promote, roll_back
from brewline.models.shown import list_models, show_model
from config.settings import Settings
from features.course import Subject, subjects
from features.job import Batch
from features.labels import Examples
from features.learning import LearningJob
from features.loop import Store, run
from features.partitions import partition_of
from features.versions import decode_versions, versions_key
from flows.files import load_catalog
from flows.learning import publishing
from flows.topics import TOPICS
from operators.layout import RECORDS
from operators.models import PublishedModels
from operators.servers import KafkaServer, MockKafka, RedisServer
from operators.store import PartitionStore
from sim.agenda import Record
from tests.flowprocess import Flow, feed, make_topics, read, read_all, settings_for, until

pytestmark = [pytest.mark.servers, pytest.mark.slow]
LOOK_S = 3.0  # scorers look once a second


def lessons(subject: Subject, first: int, count: int, rng: np.random.Generator, drift: float = 0.0) -> list[Record]:
    """Labelled rows, 20 in a message; the first input decides."""
    found = []
    for start in range(first, first + count, 20):
        rows = rng.lognormal(2, 1, (20, len(subject.inputs))) * np.exp(drift)
        rows[rng.random(rows.shape) < 0.1] = np.nan
        labels = (np.nan_to_num(rows[:, 1]) > 8).astype(np.float64).tolist()
        times = list(range(start, start + 20))
        told = [[None if value != value else value for value in row] for row in rows.tolist()]
        ids = [str(time) for time in times]
        raw = msgspec.json.encode(Examples(subject.name, subject.layout, ids, times, times, labels, told))
        found.append(Record(topic="examples", key=subject.name, value=raw, at_ms=1_000 + start))
    return found


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def settings(kafka: KafkaServer | MockKafka, redis: RedisServer) -> Settings:
    settings = settings_for(kafka.brokers, redis.url)
    settings.learning = msgspec.structs.replace(settings.learning, publish_every=100, window_labels=100)
    settings.metrics.learning = 0
    return settings


def undisturbed(settings: Settings, subject: Subject) -> Store:
    """A plain loop over the log, in one batch."""
    log = read(settings, "examples")[partition_of(subject.name, settings.kafka.partitions)]
    ways = publishing(settings), settings.topic("alerts"), settings.topic("dead-letters")
    job = LearningJob(subjects(load_catalog(settings)), *ways)
    offsets, values = [message.offset() for message in log], [message.value() for message in log]
    batch = Batch(settings.topic("examples"), 0, -1, offsets, values, [message.timestamp()[1] for message in log])  # type: ignore[arg-type]
    return run(job, [batch])[0]


def test_versions_survive_kills_and_a_human_rolls_back_within_seconds(
    settings: Settings, workdir: Path, processes: ExitStack
) -> None:
    make_topics(settings, TOPICS)
    subject = subjects(load_catalog(settings))["churn_risk"]
    client, partitions = Redis.from_url(settings.redis.url), settings.kafka.partitions
    store = PartitionStore(client, settings.redis.prefix, "learning")
    partition = partition_of(subject.name, partitions)

    def record(name: str) -> Any:
        return store.record(partition, name)

    def taken() -> int:
        return store.position(partition).counts.get("labels", 0)

    def start() -> Flow:
        flow = Flow("learning", settings, workdir / f"learning{len(list(workdir.glob('*.log')))}.log")
        processes.callback(flow.kill)
        return flow.opened(partitions)

    rng, random, fed = np.random.default_rng(6), Random(6), 0
    for drift in (0.0, 0.0, 3.0):
        flow, enough = start(), fed + random.randrange(1_000)
        feed(settings, lessons(subject, fed, 1_500, rng, drift))
        fed += 1_500
        flow.until(partial(lambda least: taken() > least, enough))
        flow.kill()
    flow = start()
    flow.until(lambda: taken() == fed)
    scorer = PublishedModels(store, partitions, {subject.name: subject.layout})
    scorer.refresh()
    before = decode_versions(record(versions_key(subject.name)))
    assert scorer.models[subject.name].version == before.champion > 1
    _roll_back(settings, subject, scorer, before.former)
    feed(settings, lessons(subject, fed, 1_000, rng, 3.0))
    flow.until(lambda: taken() == fed + 1_000)
    assert decode_versions(record(versions_key(subject.name))).champion == before.former, "pinned"
    out = Console(file=io.StringIO())
    assert promote(settings, subject.name, 0, True, "anna", out) == 0
    assert flow.end(SIGTERM) == 0

    expected = undisturbed(settings, subject)
    names = [f"learner|{subject.name}", f"watch|{subject.name}", versions_key(subject.name)]
    names += [name for name in expected.records if name.startswith("model|")]
    assert {name: record(name) for name in names} == {name: expected.records[name] for name in names}
    kept = {name.decode() for name, _ in client.hscan_iter(store.key(partition, RECORDS), "model|*")}
    assert kept == {name for name in names if name.startswith("model|")}
    sent = {message.value() for message in read(settings, "alerts")[partition_of(subject.name, partitions)]}
    assert sent == {message.value for message in expected.sent}
    told = [json.loads(value or b"")["data"] for value in sent]
    assert {"firing"} <= {one["state"] for one in told}, "inputs have drifted"
    turns = decode_versions(record(versions_key(subject.name))).turns
    entries = [json.loads(message.value() or b"") for message in read_all(settings, "audit.events")]
    said = {(entry["actor"], entry["object"]) for entry in entries if entry.get("action") == "model_promotion"}
    assert {"better", "rolled back", "unpinned"} <= {turn.why for turn in turns}
    own = [("brewline", f"{subject.name} {turn.version}: {turn.why}") for turn in turns if not turn.by]
    assert {*own, ("anna", f"{subject.name} {before.former}: rolled back")} <= said


def _roll_back(settings: Settings, subject: Subject, scorer: PublishedModels, former: int) -> None:
    out = Console(file=io.StringIO(), width=200)
    assert roll_back(settings, subject.name, 0, "anna", out) == 0
    until(lambda: scorer.refresh() or scorer.models[subject.name].version == former, LOOK_S)
    with pytest.raises(ValueError, match="scores already, and is pinned"):
        roll_back(settings, subject.name, former, "anna", out)
    with pytest.raises(ValueError, match="has no version 999; those that can score are "):
        promote(settings, subject.name, 999, False, "", out)
    with pytest.raises(ValueError, match=r"there is no model 'churn_rsk'.*churn_risk"):
        show_model(settings, "churn_rsk", False, out)
    shown = io.StringIO()
    list_models(settings, True, Console(file=shown))
    rows = {row["version"]: row for row in json.loads(shown.getvalue())["models"]}
    assert (rows[former]["role"], rows[former]["pinned"]) == ("champion", True)
    assert all(row["can_score"] for row in rows.values())
    shown = io.StringIO()
    show_model(settings, subject.name, True, Console(file=shown))
    told = json.loads(shown.getvalue())
    assert (told["champion"], told["turns"][-1]["why"], told["turns"][-1]["by"]) == (former, "rolled back", "anna")
    assert told["figures"]["base_rate"]["log_loss"] > 0
    assert told["figures"]["champion"] == {}, "it has scored none of the latest labels"
    assert sum(bin["rows"] for bin in told["reliability"]) == 0
    for as_table in (lambda: list_models(settings, False, out), lambda: show_model(settings, subject.name, False, out)):
        as_table()
    text = out.file.getvalue()  # type: ignore[attr-defined]
    assert f"version {former} scores, pinned" in text
    assert "champion, pinned" in text
