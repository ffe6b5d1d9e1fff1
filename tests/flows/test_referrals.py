"""Bring a friend, end to end: the app's word, the friend's first order, the thanks; and a referrer who is forgotten."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from features.identity import first_name
from features.times import HOUR_MS, MINUTE_MS
from operators.servers import KafkaServer, MockKafka, RedisServer
from tests.flowhouse import NOON_MS, SECRET, House, house_under, sent, until
from tests.flowprocess import read_all

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(900)]
HOST, ORDERED, WAITS = "+8613700137100", "+8613700137101", "+8613700137102"
NAME = first_name(SECRET.one("phone", HOST))


@pytest.fixture
def house(kafka: KafkaServer | MockKafka, redis: RedisServer, workdir: Path) -> Iterator[House]:
    with house_under(["referral-reward"], kafka, redis, workdir) as house:
        yield house


def told(house: House, kind: str) -> Counter[str]:
    """Customers to whom the clean topic says so, by the ids under which it does."""
    events = [json.loads(message.value() or b"") for message in read_all(house.settings, "events")]
    return Counter({event["id"]: event["customer"] for event in events if event["type"] == kind}.values())


def test_a_friend_who_orders_earns_one_coupon_through_crashes_and_a_replay_and_a_referrer_may_be_forgotten(
    house: House,
) -> None:
    at = [NOON_MS + n * MINUTE_MS for n in range(9)]
    referrals = [
        sent(n, HOST, at[n], "referral", friend=f"phone:{friend}")
        for n, friend in ((2, ORDERED), (3, WAITS), (4, ORDERED), (5, HOST))
    ]
    start = [sent(0, HOST, at[0], "consent", purpose="marketing", granted=True), sent(1, HOST, at[1])]
    house.feed(*start, *referrals, until_ms=at[6])
    assert told(house, "referred").total() == 3
    house.feed(sent(0, ORDERED, at[7]), until_ms=at[8])
    assert house.coupons(NAME) == []
    for name in ("customers", "ingest"):  # and go on where they were
        house.flows.pop(name).kill()
        house.start(name)
    house.feed(until_ms=at[7] + 25 * HOUR_MS)
    until(lambda: len(house.coupons(NAME)) == 1, because=house.said)
    assert told(house, "friend_ordered") == {NAME: 1}

    # a replay into an empty Redis gives it again under the same id
    before = house.coupons(NAME)
    house.stop("ingest", "customers")
    house.redis.delete(*house.redis.keys(f"{house.settings.redis.prefix}:*"))
    house.start("ingest", "customers")
    house.feed(until_ms=at[7] + 26 * HOUR_MS)
    until(lambda: len(house.coupons(NAME)) == 2, because=house.said)
    assert set(house.coupons(NAME)) == set(before)

    # the friend who waits names the referrer until that one is forgotten; then nobody is thanked
    assert len(house.holding(NAME)) > 1
    code, said = house.forget(f"phone:{HOST}")
    assert (code, said.splitlines()[-1]) == (0, f"nothing of {NAME} is left"), said
    assert house.holding(NAME) == []
    house.feed(sent(0, WAITS, at[7] + 27 * HOUR_MS), until_ms=at[7] + 60 * HOUR_MS)
    assert told(house, "friend_ordered") == {NAME: 1}
