"""Rules change under a running flow: what comes afterwards is decided by the new ones, and nothing is lost."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from signal import SIGTERM

import msgspec
import orjson
import pytest
from redis import Redis

from config.settings import HERE
from features.times import parse_time
from flows.topics import TOPICS
from operators.receipts import known_rules
from operators.servers import KafkaServer, MockKafka, RedisServer
from sim.chain import Record
from tests.flowprocess import Flow, feed, make_topics, read_all, settings_for, until

pytestmark = [pytest.mark.servers, pytest.mark.slow]
NOW_MS = parse_time("2026-05-04T12:00:00+08:00")
RULE = """
id = "{id}"
on = ["view"]
when = "{when}"
then = {{ coupon = "{coupon}" }}
cooldown = "1s"
[[test]]
name = "a"
events = [{{ type = "view" }}]
fires_at = ["+0s"]
[[test]]
name = "b"
events = [{{ type = "login" }}]
"""


def view(number: int) -> Record:
    event = {"type": "view", "id": f"v{number}", "time": NOW_MS + 60_000 * number, "who": {"card": "K1"}}
    return Record(topic="app.events", key="s1", value=orjson.dumps(event), at_ms=NOW_MS)


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_rules_follow_their_files_and_wrong_ones_change_nothing(
    kafka: KafkaServer | MockKafka, redis: RedisServer, workdir: Path, processes: ExitStack
) -> None:
    shutil.copytree(HERE, workdir / "config", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    folder = workdir / "config" / "rules" / "coupons"
    for shipped in folder.glob("*.toml"):
        shipped.unlink()
    settings = settings_for(kafka.brokers, redis.url)
    coupons = msgspec.structs.replace(settings.coupons, require_consent="", cap=1_000, rules=str(folder))
    settings = msgspec.structs.replace(settings, coupons=coupons)

    def start(name: str) -> Flow:
        flow = Flow(name, settings, workdir / f"{name}.log")
        processes.callback(flow.kill)
        return flow

    def write(when: str, coupon: str, id: str = "r") -> None:
        (folder / f"{id}.toml").write_text(RULE.format(id=id, when=when, coupon=coupon), "utf-8")

    def given() -> list[tuple[str, str]]:
        found = [orjson.loads(message.value() or b"")["data"] for message in read_all(settings, "coupons")]
        return [(data["cause"], data["coupon"]) for data in found]

    def look(number: int, expected: list[str]) -> None:
        feed(settings, [view(number)])
        until(
            lambda: {c for cause, c in given() if cause == f"v{number}"} == set(expected), because=lambda: f"{given()}"
        )

    make_topics(settings, TOPICS)
    write("true", "FIRST")
    customers, ingest = start("customers").opened(), start("ingest").opened(2)
    look(0, ["FIRST"])
    write("views_lifetime >= 2", "SECOND")
    customers.until(lambda: customers.said.count("rules loaded") == 1)
    look(1, ["SECOND"])
    write("vews_lifetime >= 2", "WRONG")
    customers.until(lambda: "did you mean 'views_lifetime'" in customers.said)
    look(2, ["SECOND"])
    write("true", "THIRD", id="another")
    write("true", "FIFTH")
    customers.until(lambda: customers.said.count("rules loaded") >= 2)
    until(lambda: customers.runs)
    look(3, ["THIRD", "FIFTH"])
    assert (customers.end(SIGTERM), ingest.end(SIGTERM)) == (0, 0)
    assert sorted(given()) == [("v0", "FIRST"), ("v1", "SECOND"), ("v2", "SECOND"), ("v3", "FIFTH"), ("v3", "THIRD")]
    versions = {orjson.loads(m.value() or b"")["data"]["rule_version"] for m in read_all(settings, "decisions")}
    assert known_rules(Redis.from_url(redis.url), settings.redis.prefix, versions).keys() == versions
    assert len(versions) == 4
