"""The brake through the flows as processes: an alert pauses a campaign in a store, kill -9 changes nothing, a person
lets it go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import StringIO
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any

import msgspec
import orjson
import pytest
from jsonschema import Draft7Validator
from msgspec.structs import replace
from rich.console import Console

from benchmarks.decisions import decisions_in
from brewline.brake import pause, read_turns, resume, show_brakes
from brewline.why import show_why
from config.settings import Settings
from features import asyncapi
from features.messages import cloudevent
from features.times import HOUR_MS, MINUTE_MS, parse_time
from flows.topics import TOPICS
from operators.servers import KafkaServer, MockKafka, RedisServer
from operators.writing import write
from sim.chain import Record
from tests.flowprocess import IDENTITY_KEY, Flow, feed, make_topics, read_all, settings_for, until

pytestmark = [pytest.mark.servers, pytest.mark.slow]
CONTRACT = asyncapi.document()
START_MS = parse_time("2026-05-04T12:00:00+08:00")
RULE = """
id = "thanks"
on = ["order"]
when = "true"
then = { coupon = "TY", face_value_cents = 300, campaign = "spring" }
cooldown = "1s"
[[test]]
name = "a"
events = [{ type = "order" }]
fires_at = ["+0s"]
[[test]]
name = "b"
events = [{ type = "login" }]
"""
ALERT = {
    "state": "firing",
    "dim": "store:s1",
    "series": "redemptions",
    "direction": "high",
    "observed": 90,
    "expected": 3.0,
    "p": 1e-9,
    "started_ms": START_MS,
    "fingerprint": "f",
    "incident": "f-1",
    "why": "store:s1: redemptions up to 90",
    "high": {"redemptions": ["store:s1"]},
}


def order(number: int, store: str) -> Record:
    at_ms = START_MS + number * MINUTE_MS
    event: dict[str, Any] = {"type": "order", "id": f"o{number}", "time": at_ms, "who": {"card": f"K{number % 5}"}}
    event |= {"store": store, "lines": [{"sku": "tea"}], "total_cents": 1800}
    return Record(topic="pos.events", key=store, value=orjson.dumps(event), at_ms=at_ms)


@pytest.fixture
def settings(kafka: KafkaServer | MockKafka, redis: RedisServer, workdir: Path) -> Settings:
    for folder, text in (("rules", RULE), ("campaigns", 'id = "spring"\nbrake = true')):
        (workdir / folder).mkdir()
        (workdir / folder / "spring.toml").write_text(text)
    folders = {folder: str(workdir / folder) for folder in ("rules", "campaigns")}
    found = settings_for(kafka.brokers, redis.url)
    coupons = replace(found.coupons, require_consent="", cap=1_000, holdout_percent=0.0, **folders)
    return replace(found, coupons=coupons, metrics=replace(found.metrics, kpis=0))


@pytest.fixture
def start(settings: Settings, workdir: Path) -> Iterator[Callable[[str], Flow]]:
    with ExitStack() as stack:

        def start(name: str) -> Flow:
            flow = Flow(name, settings, workdir / f"{name}.log")
            stack.callback(flow.kill)
            return flow

        yield start


def outcomes(settings: Settings) -> dict[str, str]:
    """By order, what came of it."""
    found = [told for message in read_all(settings, "decisions") for told in decisions_in(message.value() or b"")]
    return {decision["cause"]: decision["outcome"] for decision in found}


def test_an_alert_pauses_a_store_through_kill_9_until_a_person_lets_it_go_on(
    settings: Settings, start: Callable[[str], Flow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BREWLINE_IDENTITY_KEY", IDENTITY_KEY)
    make_topics(settings, TOPICS)
    flows = {name: start(name) for name in ("ingest", "customers", "kpis")}

    def said() -> str:
        return "\n".join(flow.said[-2_000:] for flow in flows.values())

    def come_to(*numbers: int) -> list[str]:
        until(lambda: all(f"o{n}" in outcomes(settings) for n in numbers), because=said)
        return [outcomes(settings)[f"o{n}"] for n in numbers]

    def words() -> int:
        return sum(b'"type":"brake"' in (message.value() or b"") for message in read_all(settings, "events"))

    feed(settings, [order(n, "s1") for n in range(5)])
    assert come_to(*range(5)) == ["issued"] * 5
    alert = cloudevent("alerts", "store:s1", "f-1|firing", "alert.kpi", "kpis", START_MS, "store:s1", ALERT)
    write(settings.kafka.librdkafka(), [(settings.topic("alerts"), alert.key, alert.value)])
    until(lambda: words() == settings.kafka.partitions, because=said)
    feed(settings, [*(order(n, "s1") for n in range(5, 10)), order(10, "s2")])
    assert come_to(*range(5, 11)) == ["paused"] * 5 + ["issued"]

    for name in ("customers", "kpis"):
        flows[name].end(SIGKILL)
        flows[name] = start(name)
    feed(settings, [order(n, "s1") for n in range(11, 16)])
    assert come_to(*range(11, 16)) == ["paused"] * 5, "it was written with the fence"
    assert words() == settings.kafka.partitions, "nobody says it again"

    shown = Console(file=StringIO(), width=200)
    show_brakes(settings, False, False, shown)
    show_why(settings, "card:K1", "", START_MS + HOUR_MS, False, shown)
    told = shown.file.getvalue()  # type: ignore[attr-defined]
    assert "store s1" in told
    assert "alert f-1" in told
    assert "spring paused at store s1 by the alert f-1" in told
    with pytest.raises(ValueError, match="spring is paused there already, by alert since"):
        pause(settings, "spring", "store:s1", "anna", "again")
    with pytest.raises(ValueError, match="spring is not paused at store s2; what is paused: spring at store s1"):
        resume(settings, "spring", "store:s2", "anna", "mended")
    with pytest.raises(ValueError, match="no rule names the campaign 'sprung'; did you mean 'spring'"):
        pause(settings, "sprung", "", "anna", "why")

    resume(settings, "spring", "store:s1", "anna", "the till is mended")
    until(lambda: words() == 2 * settings.kafka.partitions, because=said)
    feed(settings, [order(n, "s1") for n in range(16, 21)])
    assert come_to(*range(16, 21)) == ["issued"] * 5
    resumed, paused = read_turns(settings)
    assert [(turn.state, turn.by) for turn in (resumed, paused)] == [("resumed", "anna"), ("paused", "alert")]
    assert resumed.revision > paused.revision >= 1
    for message in read_all(settings, "brakes"):
        event = msgspec.json.decode(message.value() or b"")
        pointer = f"#/components/messages/{event['type'].removeprefix('brewline.')}/payload"
        assert Draft7Validator({"$ref": pointer, "components": CONTRACT["components"]}).is_valid(event)
    for flow in flows.values():
        assert flow.end(SIGTERM) == 0
