"""Whoever adds, edits or deletes a file of security rules is seen to, also when no flow runs meanwhile."""

from __future__ import annotations

import shutil
from pathlib import Path
from signal import SIGTERM

import orjson
import pytest
from msgspec.structs import replace

from config import settings as conf
from config.settings import HERE, Settings
from flows.changed import changed_files
from flows.topics import TOPICS
from operators.servers import KafkaServer, MockKafka, RedisServer
from tests.flowprocess import Flow, make_topics, read_all, settings_for, until


def test_files_are_told_by_what_became_of_them() -> None:
    before, now = {"a.yml": "1", "b.yml": "1", "c.yml": "1"}, {"b.yml": "2", "c.yml": "1", "d.yml": "1"}
    assert changed_files(before, now) == ["gone a.yml", "changed b.yml", "added d.yml"]
    assert changed_files(now, now) == []


@pytest.fixture
def settings(kafka: KafkaServer | MockKafka, redis: RedisServer, workdir: Path) -> Settings:
    shutil.copytree(HERE / "rules" / "security", workdir / "guards")
    found = settings_for(kafka.brokers, redis.url)
    security = conf.Security(rules=str(workdir / "guards"))
    found = replace(found, security=security, metrics=conf.Metrics(security=0))
    make_topics(found, TOPICS)
    return found


def noted(settings: Settings) -> list[str]:
    """What the trail says, by number: after a crash an entry may be sent again."""
    told = [orjson.loads(message.value() or b"") for message in read_all(settings, "audit.events")]
    changes = {each["trail"]: each for each in told if each.get("action") == "rule_change"}
    return [changes[number]["object"] for number in sorted(changes)]


@pytest.mark.servers
def test_a_rule_file_that_is_deleted_or_edited_is_noted_also_while_no_flow_runs(
    settings: Settings, workdir: Path
) -> None:
    guards = workdir / "guards"
    flow = Flow("security", settings, workdir / "one.log").opened()
    until(lambda: noted(settings) == ["security rules"], because=lambda: flow.said)
    for name in ("bulk_export.yml", "bulk_export.test.toml"):
        (guards / name).unlink()
    gone = ["security rules: gone bulk_export.test.toml", "security rules: gone bulk_export.yml"]
    until(lambda: noted(settings)[1:] == gone, because=lambda: f"{noted(settings)} {flow.said}")
    assert flow.end(SIGTERM) == 0
    edited = guards / "bulk_update.yml"
    edited.write_text(edited.read_text().replace("1000", "1000000"))
    flow = Flow("security", settings, workdir / "two.log").opened()
    until(lambda: noted(settings)[3:] == ["security rules: changed bulk_update.yml"], because=lambda: flow.said)
    assert flow.end(SIGTERM) == 0
    flow = Flow("security", settings, workdir / "three.log").opened()
    assert flow.end(SIGTERM) == 0
    assert len(noted(settings)) == 4
