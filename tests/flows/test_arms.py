"""Arms through the flows as processes: chosen, redeemed, learned from over a kill -9, and chosen by what is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from signal import SIGTERM
from typing import Any

import msgspec
import orjson
import pytest
from redis import Redis

from alerts.coupons.code import Codes
from benchmarks.decisions import decisions_in
from brewline.arms import read_arms
from features.arms import ArmTotals
from features.times import DAY_MS, parse_time
from flows.topics import TOPICS
from operators.servers import KafkaServer, MockKafka, RedisServer
from sim.chain import Record
from tests.brewline.test_arms import RULE
from tests.flowhouse import ticks
from tests.flowprocess import COUPON_KEY, Flow, feed, make_topics, read_all, settings_for

pytestmark = [pytest.mark.servers, pytest.mark.slow]
NOW_MS = parse_time("2026-05-04T12:00:00+08:00")
PEOPLE = 40


def code(issued: dict[str, Any]) -> str:
    return Codes(COUPON_KEY.encode()).code(issued["decision"], issued["expires_ms"])


def record(type: str, id: str, card: str, day: float, **fields: Any) -> Record:
    at_ms = NOW_MS + round(day * DAY_MS)
    event = {"type": type, "id": id, "time": at_ms, "who": {"card": card}, **fields}
    return Record(topic="app.events", key=card, value=orjson.dumps(event), at_ms=at_ms)


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_what_was_redeemed_decides_which_arms_are_given_next(
    kafka: KafkaServer | MockKafka, redis: RedisServer, workdir: Path, processes: ExitStack
) -> None:
    (workdir / "rules").mkdir()
    (workdir / "rules" / "offer.toml").write_text(RULE)
    settings = settings_for(kafka.brokers, redis.url)
    coupons = {"require_consent": "", "holdout_percent": 0.0, "rules": str(workdir / "rules"), "campaigns": ""}
    settings.coupons = msgspec.structs.replace(settings.coupons, **coupons)
    settings.metrics.learning = 0
    client = Redis.from_url(redis.url)

    def start(name: str) -> Flow:
        flow = Flow(name, settings, workdir / f"{name}{len(list(workdir.glob('*.log')))}.log")
        processes.callback(flow.kill)
        return flow

    def decisions(day: int) -> list[dict[str, Any]]:
        told = [told for message in read_all(settings, "decisions") for told in decisions_in(message.value() or b"")]
        return [one for one in told if one["cause"].startswith(f"v{day}-")]

    def look(day: int) -> list[dict[str, Any]]:
        views = [record("view", f"v{day}-{n}", f"K{n}", day) for n in range(PEOPLE)]
        feed(settings, [*views, *ticks(NOW_MS + day * DAY_MS)])
        customers.until(lambda: len(decisions(day)) == PEOPLE)
        return decisions(day)

    def known() -> dict[str, ArmTotals]:
        """By arm, over all contexts."""
        totals, found = read_arms(client, settings.redis.prefix, "offer")[0], dict[str, ArmTotals]()
        for arms in totals.contexts.values():
            for name, arm in arms.items():
                found[name] = found.get(name, ArmTotals()).plus(arm)
        return found

    make_topics(settings, TOPICS)
    customers, ingest, learning = start("customers").opened(), start("ingest").opened(2), start("learning").opened()
    first = look(0)
    chosen = Counter(one["arm"]["name"] for one in first)
    learning.until(lambda: sum(arm.open for arm in known().values()) == PEOPLE)
    learning.kill()  # between what was chosen and what comes of it
    used = [one for one in first if one["arm"]["name"] == "small"]
    cards = {f"v0-{n}": f"K{n}" for n in range(PEOPLE)}
    feed(
        settings,
        [
            record("coupon_redeemed", f"r{n}", cards[one["cause"]], 0.5, coupon=code(one), total_cents=1_200)
            for n, one in enumerate(used)
        ],
    )
    learning = start("learning").opened()
    look(9)  # by now, all coupons of the first day have run out a day ago
    learning.until(lambda: sum(arm.learned for arm in known().values()) == PEOPLE)
    assert {name: (arm.learned, arm.redeemed) for name, arm in known().items()} == {
        "small": (chosen["small"], chosen["small"]),
        "large": (chosen["large"], 0),
        "control": (chosen["control"], 0),
    }
    assert known()["small"].reward_cents == chosen["small"] * (1_200 * 60 // 100 - 100)
    last: list[dict[str, Any]] = []
    for day in range(20, 60):  # the customers flow looks for new versions once a second
        last = look(day)
        if all(one["arm"]["weights_version"] for one in last):
            break
    found = Counter(one["arm"]["name"] for one in last)
    assert found["control"] == chosen["control"]
    assert found["small"] > chosen["small"]
    for flow in (customers, ingest, learning):
        assert flow.end(SIGTERM) == 0
