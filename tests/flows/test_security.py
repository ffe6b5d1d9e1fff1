"""The flow `security` as it runs: raw lines, what is told from one actor to another, and leaks, through kill -9."""

from __future__ import annotations

from pathlib import Path
from signal import SIGTERM
from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from config import settings as conf
from config.settings import Settings
from features.events import AuditAccess, AuditExport, CouponRedeemed, encode
from features.times import parse_time
from flows.topics import TOPICS
from operators.servers import KafkaServer, MockKafka, RedisServer
from sim.chain import Record
from tests.flowprocess import Flow, feed, make_topics, read_all, settings_for, until

pytestmark = pytest.mark.servers
NOW_MS = parse_time("2026-05-04T12:00:00+08:00")
MINUTE_MS = 60_000
LINE = '10.20.1.7 - {} [04/May/2026:12:00:00 +0800] "GET /customers/{} HTTP/1.1" 200 512 "-" "Firefox/140"'


@pytest.fixture
def settings(kafka: KafkaServer | MockKafka, redis: RedisServer) -> Settings:
    found = settings_for(kafka.brokers, redis.url)
    found = replace(found, security=conf.Security(lines="audit"), metrics=conf.Metrics(security=0))
    make_topics(found, TOPICS)
    return found


def audit(event: AuditAccess | AuditExport) -> Record:
    return Record(NOW_MS, "audit.events", event.actor, encode(event))


def line(number: int, actor: str) -> Record:
    text = LINE.format(actor, f"138{number:08d}")
    return Record(NOW_MS, "audit.lines", f"{number % 7}", orjson.dumps({"source": "nginx", "line": text}))


def denied(number: int) -> Record:
    """One after the other tried from one address."""
    tried = {"action": "login", "result": "denied", "client_ip": "203.0.113.9"}
    return audit(AuditAccess(id=f"d{number}", time=NOW_MS + number * 1000, actor=f"clerk-{number}", **tried))


def redeemed(number: int) -> Record:
    at_ms = NOW_MS + number * MINUTE_MS
    event = CouponRedeemed(id=f"r{number}", at_ms=at_ms, customer=f"c{number}", coupon="x", device="device:d1")
    return Record(at_ms, "events", f"c{number}", encode(event))


def found(settings: Settings) -> list[tuple[str, str]]:
    """By id: after a crash a message may be sent again."""
    alerts = [orjson.loads(message.value() or b"") for message in read_all(settings, "alerts")]
    by_id = {alert["id"]: alert["data"] for alert in alerts}
    return sorted((alert["rule"], alert["actor"]) for alert in by_id.values())


def dead(settings: Settings) -> list[Any]:
    letters = [dict(message.headers() or []) for message in read_all(settings, "dead-letters")]
    return [letter["reason"] for letter in {letter["ce_id"]: letter for letter in letters}.values()]


def test_lines_grants_and_leaks_come_to_findings_once_also_when_the_flow_is_killed(
    settings: Settings, workdir: Path
) -> None:
    granted = AuditAccess(id="g", time=NOW_MS, actor="admin", action="permission_change", account="ben")
    taken = AuditExport(id="b", time=NOW_MS + MINUTE_MS, actor="ben", rows=40)
    leaked = AuditExport(id="l", time=NOW_MS, actor="ann", rows=9, customers=[f"c{n}" for n in range(9)])
    flow = Flow("security", settings, workdir / "one.log").opened(20)
    feed(settings, [audit(granted), audit(leaked), *map(denied, range(5)), *(line(n, "eve") for n in range(120))])
    feed(settings, [Record(NOW_MS, "audit.lines", "x", b'{"source": "apache", "line": ""}')])
    until(lambda: len(read_all(settings, "audit.events")) >= 60 + 7, because=lambda: flow.said)
    flow.kill()
    feed(settings, [*map(denied, range(5, 9)), *(line(n, "eve") for n in range(120, 230))])
    flow = Flow("security", settings, workdir / "two.log")
    until(lambda: ("many_customers_viewed", "eve") in found(settings), because=lambda: flow.said)
    until(lambda: len(read_all(settings, "exposures")) >= 9, because=lambda: flow.said)
    feed(settings, [audit(taken), *(redeemed(n) for n in range(1, 6))])
    wanted = [("leaked_customers", "ann"), ("many_customers_viewed", "eve")]
    wanted += [("password_spraying", "client_ip:203.0.113.9"), ("permission_then_export", "ben")]
    until(lambda: {*wanted} <= {*found(settings)}, because=lambda: f"{found(settings)} {flow.said[-2000:]}")
    assert flow.end(SIGTERM) == 0
    assert [each for each in found(settings) if each in wanted] == wanted
    assert dead(settings) == [b"unknown_source"]
    assert all(b"1380000" not in (message.value() or b"") for message in read_all(settings, "audit.events"))
