"""The abuse flow end to end: a farm is held, a human lets it go, and who is forgotten leaves no trace in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from signal import SIGTERM
from typing import Any

import msgspec
import pytest
import redis as redis_py
from rich.console import Console

from brewline.forget import forget_customer
from brewline.reviews import decide_case, read_cases, show_cases
from config import settings as conf
from features import events as e
from features.identity import Pseudonyms, first_name
from features.times import DAY_MS, MINUTE_MS
from flows.topics import COMPACTED, SOURCES, TOPICS
from operators.kafka import ensure_topics
from operators.layout import RECORDS
from operators.servers import KafkaServer, MockKafka, RedisServer
from sim.agenda import Record
from tests.flowprocess import IDENTITY_KEY, Flow, feed, read_all, settings_for, until

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(600)]
PATIENCE_S = 180.0
NOON_MS = 1_777_867_200_000
SECRET = Pseudonyms(IDENTITY_KEY.encode(), "CN")
DEVICE = SECRET.one("device", "farm-phone")
APPS = [f"farm-{n}" for n in range(5)]
FARM = [first_name(SECRET.one("app_id", app)) for app in APPS]


def login(app: str, at_ms: int, **more: Any) -> Record:
    event = {"type": "login", "id": f"{app}-{at_ms}", "time": at_ms, "who": {"app_id": app}, "device": "farm-phone"}
    return Record(at_ms, "app.events", app, json.dumps({**event, **more}).encode())


def ticks(at_ms: int) -> list[Record]:
    tick = json.dumps({"type": "tick", "id": f"t{at_ms}", "time": at_ms}).encode()
    return [Record(at_ms, topic, "", tick, tick=True) for topic in SOURCES]


@pytest.fixture
def settings(kafka: KafkaServer | MockKafka, redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> conf.Settings:
    monkeypatch.setenv("BREWLINE_IDENTITY_KEY", IDENTITY_KEY)
    found = settings_for(kafka.brokers, redis.url)
    names, kept = ([found.topic(name) for name in topics] for topics in (TOPICS, COMPACTED))
    ensure_topics(found.kafka.librdkafka(), names, found.kafka.partitions, 1, {}, kept)
    return found


@pytest.fixture
def flows(settings: conf.Settings, workdir: Path) -> Iterator[list[Flow]]:
    ports = {"BREWLINE_METRICS__ABUSE": "0"}
    started = [Flow(name, settings, workdir / f"{name}.log", **ports) for name in ("ingest", "customers", "abuse")]
    yield started
    for flow in started:
        flow.end(SIGTERM)


def words(settings: conf.Settings) -> list[e.Suppress]:
    found = [msgspec.json.decode(message.value()) for message in read_all(settings, "events")]
    return [msgspec.convert(word, e.Suppress) for word in found if word["type"] == "suppress"]


def coupons(settings: conf.Settings) -> list[dict[str, Any]]:
    return [msgspec.json.decode(message.value())["data"] for message in read_all(settings, "coupons")]


def verdicts(settings: conf.Settings) -> list[tuple[str, str]]:
    """What became of coupons: decision, and why."""
    found = [msgspec.json.decode(message.value()) for message in read_all(settings, "redemptions")]
    return [(one["data"]["decision"], one["data"]["reason"]) for one in found if one["type"].endswith("revoked")]


def said(flows: list[Flow]) -> str:
    return "\n".join(flow.said[-1500:] for flow in flows)


def test_a_farm_is_held_for_review_and_released_and_who_is_forgotten_leaves_no_trace(
    settings: conf.Settings, flows: list[Flow]
) -> None:
    greedy = {"device": "own-phone"}
    feed(settings, [login(APPS[1], NOON_MS, type="consent", id="y", purpose="marketing", granted=True, **greedy)])
    feed(settings, [login(APPS[1], NOON_MS, type="app_open", id="a", **greedy)])
    until(lambda: coupons(settings), PATIENCE_S, lambda: said(flows))
    feed(settings, [login(app, NOON_MS + n * MINUTE_MS) for n, app in enumerate(APPS)])
    feed(settings, ticks(NOON_MS + 10 * MINUTE_MS))

    def held() -> bool:
        cases = read_cases(settings)
        return bool(cases) and len(cases[0]["held"]) == 4

    until(held, PATIENCE_S, lambda: said(flows))
    [case] = read_cases(settings)
    assert (case["signal"], case["subject"], sorted(case["customers"])) == ("device", DEVICE, sorted(FARM))
    assert set(case["held"]) == {*FARM} - {FARM[0]}
    until(lambda: len(words(settings)) >= 4, PATIENCE_S)
    assert {(word.customer, word.reason, word.lift) for word in words(settings)} == {
        (customer, "review", False) for customer in case["held"]
    }
    assert all(word.until_ms > NOON_MS for word in words(settings))
    redis = redis_py.Redis.from_url(settings.redis.url)
    assert b"farm-phone" not in b"".join(message.value() for message in read_all(settings, "events"))

    # a human sees it, and lets it go
    out = StringIO()
    console = Console(file=out, width=200)
    assert len(show_cases(settings, True, console)) == 1
    assert "5 accounts on one device within 7 days" in out.getvalue()
    with pytest.raises(ValueError, match=f"no case 'x'; those that wait are {case['case']}"):
        decide_case(settings, "x", "released", "anna", console)
    decide_case(settings, case["case"], "released", "anna", console)
    until(lambda: sum(word.lift for word in words(settings)) == 4, PATIENCE_S, lambda: said(flows))
    [case] = read_cases(settings)
    assert (case["state"], case["decided_by"]) == ("released", "anna")
    with pytest.raises(ValueError, match="is released already"):
        decide_case(settings, case["case"], "released", "bert", console)

    # which may be taken back: what they hold is revoked, coupon by coupon, and counted
    decide_case(settings, case["case"], "confirmed", "bert", console)
    until(lambda: verdicts(settings) == [(coupons(settings)[0]["decision"], "abuse")], PATIENCE_S, lambda: said(flows))
    out.truncate(0)
    [shown] = show_cases(settings, False, console)
    assert (shown["state"], shown["coupons_revoked"]) == ("confirmed", 1)

    # one of them asks to be forgotten
    gone = FARM[2]

    def kept() -> dict[bytes, bytes]:
        """Records of all partitions and steps."""
        keys = redis.keys(f"{settings.redis.prefix}:*abuse*:{RECORDS}")
        return {name: raw for key in keys for name, raw in redis.hgetall(key).items()}

    device = f"device:{DEVICE}".encode() if f"device:{DEVICE}".encode() in kept() else DEVICE.encode()
    assert any(gone.encode() in raw for raw in kept().values())
    out.truncate(0)
    code = forget_customer(settings, f"app_id:{APPS[2]}", console, lambda question: True)
    assert code == 0, out.getvalue() + said(flows)
    assert f"nothing of {gone} is left" in out.getvalue()
    until(lambda: gone not in json.dumps(read_cases(settings)), PATIENCE_S)

    # another who was seen there long ago, while the device is in use: the case that was decided names it still
    for days in (30, 60):
        at_ms = NOON_MS + days * DAY_MS
        feed(settings, [login("newcomer", at_ms), *ticks(at_ms)])
    oldest = FARM[0]
    until(lambda: first_name(SECRET.one("app_id", "newcomer")).encode() in kept()[device], PATIENCE_S)
    until(lambda: oldest.encode() not in kept(), PATIENCE_S)
    assert oldest.encode() in kept()[device]
    code = forget_customer(settings, oldest, console, lambda question: True)
    assert code == 0, out.getvalue() + said(flows)
    assert oldest not in json.dumps(read_cases(settings))

    # and one whose device is gone
    feed(settings, ticks(NOON_MS + 120 * DAY_MS))
    until(lambda: device not in kept(), PATIENCE_S)
    assert FARM[3] in json.dumps(read_cases(settings))
    assert forget_customer(settings, FARM[3], console, lambda question: True) == 0, out.getvalue() + said(flows)
    [case] = [case for case in read_cases(settings) if case["state"] == "confirmed"]
    assert (set(case["customers"]), set(case["held"])) == ({FARM[1], FARM[4]}, {FARM[1], FARM[4]})
