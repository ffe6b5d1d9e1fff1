"""What coupons cost and bring, and a brake that a named person lets go."""

from __future__ import annotations

from threading import Event

import pytest
from msgspec.structs import replace

from board.api.coupons import FEEDS, Budget, empty_ms, verdict
from board.app import API
from board.sources import Sources
from config import settings as conf
from features.events import Brake, encode
from features.times import DAY_MS
from operators.kafka import ensure_topics
from operators.layout import check_layout
from operators.redis_link import connect_redis
from operators.store import PartitionStore
from operators.writing import write
from tests.board.conftest import SignedIn
from tests.board.test_decided import message

pytestmark = pytest.mark.servers


def test_a_budget_lasts_as_long_as_it_is_spent_like_this() -> None:
    row = Budget("c", "running", 1_000, 400, 0, 600, 100, None, 4, [])
    assert empty_ms(row, 5) == 5 + 6 * DAY_MS
    assert empty_ms(replace(row, remaining_cents=-20), 5) == 5, "it is gone"
    assert empty_ms(replace(row, burn_cents=0), 5) is None
    assert empty_ms(replace(row, remaining_cents=None), 5) is None, "without a limit it lasts"


def test_a_lift_is_sure_only_once_zero_does_not_fit_any_more() -> None:
    assert [verdict(interval) for interval in ((0.01, 0.2), (-0.2, -0.01), (-0.1, 0.1), (0.0, 0.1), None)] == [
        "more",
        "less",
        "early",
        "early",
        "unknown",
    ]


@pytest.fixture
def braked(board_settings: conf.Settings) -> conf.Settings:
    prefix, redis = board_settings.redis.prefix, connect_redis(board_settings.redis.url, 5.0)
    check_layout(redis, prefix, {"partitions of events": 2})
    store = PartitionStore(redis, prefix, "customers")
    redis.hset(store.key(0, "spent"), mapping={"thanks/budget": 12_300, "thanks/coupons": 2})
    redis.hset(store.key(1, "spent"), mapping={"thanks/budget": 600, "thanks/coupons": 1})
    word = Brake(
        id="b", campaign="thanks", place="store:s1", revision=1, paused=True, by="alert", reason="why", incident="i"
    )
    redis.hset(store.key(1, "brakes"), "thanks/store:s1", encode(word))
    return board_settings


def test_budgets_and_pauses_are_those_that_the_partitions_have_noted(
    braked: conf.Settings, signed_in: SignedIn
) -> None:
    told = signed_in("marketing").get(f"{API}/coupons/budgets").json()
    [thanks] = [row for row in told["items"] if row["campaign"] == "thanks"]
    assert (thanks["spent_cents"], thanks["given"], thanks["state"]) == (12_900, 3, "running")
    assert [(pause["campaign"], pause["place"], pause["incident"]) for pause in told["pauses"]] == [
        ("thanks", "store:s1", "i")
    ]


def test_a_pause_is_ended_by_who_may_with_a_reason(braked: conf.Settings, signed_in: SignedIn) -> None:
    path, why = f"{API}/coupons/pauses/thanks/resume", {"place": "store:s1", "reason": "the till is mended"}
    assert signed_in("auditor").post(path, json=why).status_code == 403
    assert signed_in("security").post(path, json=why).status_code == 403
    marketing = signed_in("marketing")
    assert marketing.post(path, json={**why, "reason": "   "}).status_code == 422
    assert marketing.post(path, json=why).status_code == 503, "it is said to Kafka, which is away here"


def test_the_feed_tells_what_came_to_the_topics_since_and_counts_it_once(settings: conf.Settings) -> None:
    client = settings.kafka.librdkafka()
    topics = [settings.topic(topic) for topic in ("coupons", "decisions", "redemptions", "deliveries")]
    ensure_topics(client, topics, 2, 1, {})
    sources, stop = Sources(settings), Event()
    [feed] = FEEDS
    told = feed.told(sources, stop)
    assert next(told).counts == []
    came = [message("a", "welcome", "issued"), message("a", "welcome", "issued"), message("b", "welcome", "cooldown")]
    write(client, [(settings.topic(topic), "k", raw) for topic, raw in came])
    found = {}
    while len(found) < 2:
        if news := next(told):
            found |= {(count.rule, count.what): count.count for count in news.counts}
    stop.set()
    assert found == {("welcome", "issued"): 1, ("welcome", "cooldown"): 1}
    assert list(told) == [], "it ends when it is told to"
    sources.close()


def test_decisions_and_ways_are_told_by_rule_and_campaign(signed_in: SignedIn, board_settings: conf.Settings) -> None:
    auditor = signed_in("auditor")
    assert auditor.get(f"{API}/coupons/decisions").json()["items"] == []
    assert auditor.get(f"{API}/coupons/funnel?by=campaign").json()["items"] == []
    assert auditor.get(f"{API}/coupons/funnel?by=shoe").status_code == 422
    assert auditor.get(f"{API}/coupons/funnel?day=monday").status_code == 400
    assert auditor.get(f"{API}/coupons/lift").json() == {"items": []}
    assert signed_in("store", stores=("S1",)).get(f"{API}/coupons/decisions").status_code == 403
