"""Points for a coupon, end to end: requests of app and till, a crash, a replay into an empty Redis, and why not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brewline.why import Explaining
from features.identity import first_name
from features.times import MINUTE_MS
from operators.servers import KafkaServer, MockKafka, RedisServer
from tests.flowhouse import NOON_MS, SECRET, House, house_under, sent, until
from tests.flowprocess import read_all

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(900)]
PHONE = "+8613700137200"
NAME = first_name(SECRET.one("phone", PHONE))


@pytest.fixture
def house(kafka: KafkaServer | MockKafka, redis: RedisServer, workdir: Path) -> Iterator[House]:
    with house_under(["points-exchange"], kafka, redis, workdir, holdout_percent=99.0) as house:
        yield house


def said(house: House, topic: str) -> list[dict[str, Any]]:
    return [json.loads(message.value() or b"") for message in read_all(house.settings, topic)]


def spent(house: House) -> list[tuple[str, str, int]]:
    events = [event for event in said(house, "events") if event["type"] == "points_spent"]
    return [(event["id"], event["customer"], event["points"]) for event in events]


def balance(house: House, at_ms: int) -> float:
    row = Explaining(house.settings, NAME).features.read(NAME, at=at_ms)
    assert row
    return row["points_balance"]  # type: ignore[return-value]


def test_points_are_given_once_through_crashes_and_a_replay_and_a_no_is_told_with_its_figures(house: House) -> None:
    at = [NOON_MS + n * MINUTE_MS for n in range(20)]
    order = sent(0, PHONE, at[0])
    order.value = order.value.replace(b'"total_cents": 1800', b'"total_cents": 35000')
    asks = [sent(n, PHONE, at[n], "points_exchange", points=200) for n in (1, 2)]
    house.feed(order, *asks, until_ms=at[3])
    house.flows.pop("customers").kill()
    house.start("customers")
    house.feed(asks[0], sent(4, PHONE, at[4], "points_exchange", points=100), until_ms=at[5])
    until(lambda: len(house.coupons(NAME)) == 2, because=house.said)
    decisions = {one["data"]["cause"]: one["data"] for one in said(house, "decisions")}
    outcomes = [(decisions[f"{PHONE}-{n}"]["outcome"], decisions[f"{PHONE}-{n}"]["because"]) for n in (1, 2, 4)]
    assert outcomes == [("issued", ""), ("no_points", "balance"), ("issued", "")]
    assert sorted(points for *_, points in spent(house)) == [100, 200]
    house.feed(until_ms=at[6])
    assert balance(house, at[6]) == 50
    assert house.counts("own") == 2
    [no] = [told for told in Explaining(house.settings, NAME).decisions("") if told.outcome == "no_points"]
    assert "asked 200 points, has " in no.reason

    # a replay into an empty Redis decides the same, says the same once more, and takes no point twice
    before, coupons = spent(house), house.coupons(NAME)
    house.stop("ingest", "customers")
    house.redis.delete(*house.redis.keys(f"{house.settings.redis.prefix}:*"))
    house.start("ingest", "customers")
    others = [sent(100 + n, PHONE, at[7], "app_open") for n in range(80)]
    house.feed(*others, until_ms=at[8])
    until(lambda: len(house.coupons(NAME)) == 2 * len(coupons), because=house.said)
    until(lambda: len(spent(house)) == 2 * len(before), because=house.said)
    house.feed(until_ms=at[9])
    assert set(house.coupons(NAME)) == set(coupons)
    assert Counter(spent(house)) == Counter(before * 2)
    assert balance(house, at[9]) == 50
    assert house.counts("own") == 2
