"""A coupon's whole life through the flows as processes: earned, delivered, opened, used; another one taken back."""

from __future__ import annotations

import io
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from signal import SIGTERM
from types import SimpleNamespace
from typing import Any

import msgspec
import orjson
import pytest
import redis as redis_py
from jsonschema import Draft7Validator
from rich.console import Console

from alerts.coupons.check import Attempt
from alerts.kpis.kpi import COLUMN
from brewline.account import balance
from brewline.coupons import check_coupon, revoke_coupon, show_coupons
from config.gateways import variable
from config.settings import Settings
from features import asyncapi
from features.times import HOUR_MS
from flows.topics import TOPICS
from operators.kpis import read_kpis
from operators.servers import KafkaServer, MockKafka, RedisServer
from sim.chain import Record
from tests.flowprocess import COUPON_KEY, IDENTITY_KEY, Flow, feed, make_topics, read_all, settings_for, until
from tests.receiver import SECRET, receiver

pytestmark = [pytest.mark.servers, pytest.mark.slow]
CONTRACT = asyncapi.document()
START_MS = (round(time.time()) - 12 * 3600) * 1000  # dispatch goes by the clock on the wall
RULE = """
id = "thanks"
on = ["order"]
when = "true"
then = { coupon = "TY", face_value_cents = 300, valid = "5d", stores = ["s1"], campaign = "spring" }
cooldown = "1s"
[[test]]
name = "a"
events = [{ type = "order" }]
fires_at = ["+0s"]
[[test]]
name = "b"
events = [{ type = "login" }]
"""


def record(type: str, id: str, hours: int, **more: Any) -> Record:
    at_ms = START_MS + hours * HOUR_MS
    event = {"type": type, "id": id, "time": at_ms, "who": {"card": "K1"}, "store": "s1", **more}
    if type == "order":
        event |= {"lines": [{"sku": "tea"}], "total_cents": 1800}
    return Record(topic="app.events", key="s1", value=orjson.dumps(event), at_ms=at_ms)


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def data(settings: Settings, topic: str) -> list[dict[str, Any]]:
    """What every message says, with its type."""
    found = [orjson.loads(message.value() or b"") for message in read_all(settings, topic)]
    return [{"type": one["type"].removeprefix("brewline."), **one["data"]} for one in found]


def said(run: Any, *args: Any) -> tuple[Any, str]:
    """What a command comes to and prints."""
    out = Console(file=io.StringIO(), width=200)
    return run(*args, out), out.file.getvalue()  # type: ignore[attr-defined]


def test_a_coupon_is_earned_delivered_opened_and_used_once_and_another_is_taken_back(
    kafka: KafkaServer | MockKafka,
    redis: RedisServer,
    workdir: Path,
    processes: ExitStack,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BREWLINE_IDENTITY_KEY", IDENTITY_KEY)
    monkeypatch.setenv("BREWLINE_COUPON_KEY", COUPON_KEY)
    (workdir / "rules").mkdir()
    (workdir / "rules" / "thanks.toml").write_text(RULE)
    settings = settings_for(kafka.brokers, redis.url)
    coupons = msgspec.structs.replace(
        settings.coupons, require_consent="", cap=1_000, holdout_percent=0.0, rules=str(workdir / "rules"), campaigns=""
    )
    settings = msgspec.structs.replace(settings, coupons=coupons)

    def start(name: str, **environ: str) -> Flow:
        flow = Flow(name, settings, workdir / f"{name}.log", **environ)
        processes.callback(flow.kill)
        return flow

    make_topics(settings, TOPICS)
    taken, url = processes.enter_context(receiver())
    gateways = json.dumps({"push": {"url": url}})
    flows = [start("customers"), start("ingest"), start("kpis")]
    flows.append(start("dispatch", BREWLINE_DISPATCH__GATEWAYS=gateways, **{variable("push"): SECRET}))

    def verdicts(number: int) -> list[tuple[str, str]]:
        until(lambda: len(data(settings, "redemptions")) >= number, because=lambda: flows[0].said[-2_000:])
        return sorted((one["type"], one["reason"]) for one in data(settings, "redemptions"))

    feed(settings, [record("order", "o1", 0), record("order", "o2", 1), record("order", "o3", 2)])
    until(lambda: len(taken.taken) == 3, because=lambda: flows[3].said[-2_000:])
    issued = {one["cause"]: one for one in map(orjson.loads, taken.taken.values()) for one in [one["data"]]}
    codes = {cause: coupon["code"] for cause, coupon in issued.items()}
    customer = issued["o1"]["customer"]

    def states(hours: int = 24) -> dict[str, str]:
        _, shown = said(show_coupons, settings, "card:K1", START_MS + hours * HOUR_MS, True)
        return {one["cause"]: one["state"] for one in json.loads(shown)["coupons"]}

    until(lambda: states() == dict.fromkeys(("o1", "o2", "o3"), "delivered"), because=lambda: f"{states()}")

    client = redis_py.Redis.from_url(settings.redis.url)
    column = COLUMN["coupons_issued"]

    def given() -> list[int]:
        """By hour, what was issued of the campaign."""
        at_ms = START_MS // HOUR_MS * HOUR_MS
        hours = read_kpis(client, settings.redis.prefix, "campaign:spring", 60, at_ms, at_ms + 4 * HOUR_MS)
        return [hours[hour].get(column, 0) for hour in sorted(hours) if hours[hour].get(column)]

    feed(settings, [record("coupon_delivered", "e0", 3, coupon=codes["o1"], campaign="spring", issued=1)])
    feed(settings, [record("coupon_opened", "e1", 3, coupon=codes["o1"])])
    assert verdicts(1) == [("coupon.opened", "")]
    attempt = Attempt(codes["o1"], START_MS + 4 * HOUR_MS, "s1")
    assert said(check_coupon, settings, "card:K1", attempt, False)[0] == 0
    assert said(check_coupon, settings, "card:K1", msgspec.structs.replace(attempt, store="s2"), False) == (
        1,
        "no: wrong_store\n",
    )
    feed(settings, [record("coupon_redeemed", f"e{n}", n, coupon=codes["o1"].lower(), order="o9") for n in (4, 5)])
    assert verdicts(3)[1:] == [("coupon.redeemed", ""), ("coupon.refused", "already_redeemed")]
    assert said(check_coupon, settings, customer, attempt, False) == (1, "no: already_redeemed\n")

    feed(settings, [record("refund", "e6", 6, order="o2", ordered_time=START_MS, amount_cents=1800)])
    assert verdicts(4)[-1] == ("coupon.revoked", "refund")
    code, told = said(revoke_coupon, settings, "card:K1", issued["o3"]["decision"], "sent by mistake")
    assert (code, told.startswith("revoked: TY of thanks")) == (0, True), told
    assert verdicts(5)[-1] == ("coupon.revoked", "sent by mistake")
    assert said(revoke_coupon, settings, "card:K1", issued["o1"]["decision"], "") == (
        1,
        "nothing to take back: it is redeemed\n",
    )
    assert states() == {"o1": "redeemed", "o2": "revoked", "o3": "revoked"}
    until(lambda: given() == [1, 1, 1], because=lambda: f"{given()}")
    for flow in flows:
        assert flow.end(SIGTERM) == 0
    watch: Any = SimpleNamespace(dead_letters=Counter())
    account = balance(client, settings, settings.kafka.partitions, watch, Counter(), sent=8)
    assert (account.settled, account.own) == (True, 4), "three deliveries and the command's word are nobody's events"

    for message in read_all(settings, "redemptions"):
        event = msgspec.json.decode(message.value() or b"")
        pointer = f"#/components/messages/{event['type'].removeprefix('brewline.')}/payload"
        assert Draft7Validator({"$ref": pointer, "components": CONTRACT["components"]}).is_valid(event)
        assert event["data"].keys() == set(CONTRACT["components"]["schemas"]["CouponVerdict"]["properties"])
    for topic in ("decisions", "redemptions", "deliveries"):
        assert not any(
            code.encode() in (m.value() or b"") for m in read_all(settings, topic) for code in codes.values()
        )
    assert not any(code in flow.said for flow in flows for code in codes.values())
