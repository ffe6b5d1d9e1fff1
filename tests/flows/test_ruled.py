"""Rules and campaigns change under a running flow: what comes afterwards is decided by the new ones."""

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

from benchmarks.decisions import decisions_in
from config.settings import HERE, Settings
from features.times import parse_time
from flows.topics import SOURCES, TOPICS
from operators.layout import RECORDS
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
then = {{ coupon = "{coupon}", campaign = "c", face_value_cents = 100 }}
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


class Kitchen:
    """Ingest and customers over rules and campaigns that can be written meanwhile."""

    def __init__(self, settings: Settings, workdir: Path, processes: ExitStack) -> None:
        shutil.copytree(HERE, workdir / "config", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        self.rules, self.campaigns = (workdir / "config" / name for name in ("rules/coupons", "campaigns"))
        for shipped in [*self.rules.glob("*.toml"), *self.campaigns.glob("*.toml")]:
            shipped.unlink()
        folders = {"rules": str(self.rules), "campaigns": str(self.campaigns)}
        coupons = msgspec.structs.replace(settings.coupons, require_consent="", cap=1_000, **folders)
        self.settings, self.workdir, self.processes = (
            msgspec.structs.replace(settings, coupons=coupons),
            workdir,
            processes,
        )
        make_topics(self.settings, TOPICS)

    def start(self, name: str) -> Flow:
        flow = Flow(name, self.settings, self.workdir / f"{name}.log")
        self.processes.callback(flow.kill)
        return flow

    def write(self, when: str, coupon: str, id: str = "r") -> None:
        (self.rules / f"{id}.toml").write_text(RULE.format(id=id, when=when, coupon=coupon), "utf-8")

    def given(self) -> list[tuple[str, str]]:
        found = [orjson.loads(message.value() or b"")["data"] for message in read_all(self.settings, "coupons")]
        return [(data["cause"], data["coupon"]) for data in found]

    def outcomes(self) -> dict[str, str]:
        """By cause."""
        found = [
            told for message in read_all(self.settings, "decisions") for told in decisions_in(message.value() or b"")
        ]
        return {data["cause"]: data["outcome"] for data in found}

    def look(self, number: int, expected: list[str]) -> None:
        feed(self.settings, [view(number)])
        until(
            lambda: {c for cause, c in self.given() if cause == f"v{number}"} == set(expected),
            because=lambda: f"{self.given()}",
        )


WAITS = """
id = "{id}"
after = {{ event = "view", wait = "{wait}" }}
when = "true"
then = {{ coupon = "{coupon}", face_value_cents = 100 }}
cooldown = "1s"
quiet = "send"
[[test]]
name = "a"
events = [{{ type = "view" }}]
fires_at = ["+{wait}"]
[[test]]
name = "b"
events = [{{ type = "login" }}]
"""


def ticks(minute: int) -> list[Record]:
    at_ms = NOW_MS + 60_000 * minute
    tick = orjson.dumps({"type": "tick", "id": f"t{at_ms}", "time": at_ms})
    return [Record(at_ms, topic, "", tick, tick=True) for topic in SOURCES]


@pytest.fixture
def kitchen(kafka: KafkaServer | MockKafka, redis: RedisServer, workdir: Path) -> Iterator[Kitchen]:
    with ExitStack() as stack:
        yield Kitchen(settings_for(kafka.brokers, redis.url), workdir, stack)


def test_rules_follow_their_files_and_wrong_ones_change_nothing(kitchen: Kitchen) -> None:
    write, look, settings = kitchen.write, kitchen.look, kitchen.settings
    write("true", "FIRST")
    customers, ingest = kitchen.start("customers").opened(), kitchen.start("ingest").opened(2)
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
    assert sorted(kitchen.given()) == [
        ("v0", "FIRST"),
        ("v1", "SECOND"),
        ("v2", "SECOND"),
        ("v3", "FIFTH"),
        ("v3", "THIRD"),
    ]
    told = [told for m in read_all(settings, "decisions") for told in decisions_in(m.value() or b"")]
    versions = {one["rule_version"] for one in told}
    assert known_rules(Redis.from_url(settings.redis.url), settings.redis.prefix, versions).keys() == versions
    assert len(versions) == 4
    noted = [orjson.loads(message.value() or b"") for message in read_all(settings, "audit.events")]
    assert {(each["action"], each["object"]) for each in noted} == {
        ("rule_change", f"coupon rules{said}") for said in ("", ": changed r.toml", ": added another.toml")
    }
    assert {each["trail"] for each in noted} == {*range(1, len(noted) + 1)}


def test_campaigns_follow_their_files_and_wrong_ones_change_nothing(kitchen: Kitchen) -> None:
    def stock(coupons: str) -> None:
        (kitchen.campaigns / "c.toml").write_text(f'id = "c"\n{coupons}\n', "utf-8")

    def decided(number: int, outcome: str) -> None:
        feed(kitchen.settings, [view(number)])
        until(lambda: kitchen.outcomes().get(f"v{number}") == outcome, because=lambda: f"{kitchen.outcomes()}")

    kitchen.write("true", "ONE")
    stock("coupons_per_customer = 9")
    customers, ingest = kitchen.start("customers").opened(), kitchen.start("ingest").opened(2)
    decided(0, "issued")
    stock("coupons = 1")  # of which the one that is given already is one
    customers.until(lambda: customers.said.count("rules loaded") == 1)
    decided(1, "stock")
    stock("coupon = 2")
    customers.until(lambda: "did you mean 'coupons'" in customers.said)
    assert "c.toml:2" in customers.said
    decided(2, "stock")
    stock("coupons = 2")
    customers.until(lambda: customers.said.count("rules loaded") == 2)
    decided(3, "issued")
    decided(4, "stock")
    assert (customers.end(SIGTERM), ingest.end(SIGTERM)) == (0, 0)
    assert [cause for cause, _ in kitchen.given()] == ["v0", "v3"]
    assert len(kitchen.outcomes()) == 5


def test_a_rule_that_waits_reaches_also_who_was_silent_when_it_came_and_after_a_kill(kitchen: Kitchen) -> None:
    """The flow is killed while customers are woken; who follows wakes them, and the coupon comes in time."""
    customers, ingest = kitchen.start("customers").opened(), kitchen.start("ingest").opened(2)
    feed(kitchen.settings, [view(0), *ticks(1)])
    redis, prefix = Redis.from_url(kitchen.settings.redis.url), kitchen.settings.redis.prefix
    until(lambda: [*redis.scan_iter(f"{prefix}:{{customers.*}}:{RECORDS}")] != [])
    (kitchen.rules / "late.toml").write_text(WAITS.format(id="late", wait="2h", coupon="LATE"), "utf-8")
    customers.until(lambda: "rules loaded" in customers.said)
    customers.kill()
    before, customers = customers, kitchen.start("customers").opened()
    customers.until(lambda: "rules that wait have come" in before.said + customers.said)
    feed(kitchen.settings, ticks(2))
    feed(kitchen.settings, ticks(119))
    assert kitchen.given() == []
    feed(kitchen.settings, ticks(121))
    until(lambda: [coupon for _, coupon in kitchen.given()] == ["LATE"], because=lambda: f"{kitchen.given()}")
    assert (customers.end(SIGTERM), ingest.end(SIGTERM)) == (0, 0)
