"""A till that is offline is told apart from one that sells nothing."""

from __future__ import annotations

from alerts.kpis.silence import PATIENCE, RETIRED_MS
from tests.alerts.kpis.test_merge import MINUTE_MS, NOON_MS, Feed, clock, closed, partial

STORE = "store:0012"


def silences(feed: Feed, *said: object) -> list[tuple[str, int, int]]:
    """(state, minutes from noon since when, until when)"""
    told = [event["data"] for event in feed(*said) if event["type"] == "brewline.kpi.silence"]
    return [
        (each["state"], *((each[name] - NOON_MS) // MINUTE_MS for name in ("since_ms", "until_ms"))) for each in told
    ]


def beat(minute: int, version: int, dim: str = STORE) -> object:
    return partial(dim, minute, version=version, heartbeats=1)


def test_a_till_is_offline_once_no_heartbeat_has_come_for_a_while_and_back_with_the_next():
    feed = Feed()
    assert silences(feed, beat(0, 1), beat(1, 2), *clock(2 + PATIENCE - 1)) == []
    assert [(state, since) for state, since, _ in silences(feed, *clock(2 + PATIENCE))] == [("offline", 2)]
    assert silences(feed, *clock(60)) == []
    assert silences(feed, beat(60, 3)) == [("online", 2, 60)]
    assert feed.store.position.counts["stores_offline"] == feed.store.position.counts["stores_online"] == 1


def test_an_offline_till_stalls_nobody_and_what_it_sends_later_corrects_its_minutes():
    feed = Feed()
    feed(beat(0, 1), partial("store:0013", 0, orders=4), *clock(30))
    told = feed(partial("store:0013", 30, orders=2, version=2), *closed(31))
    assert [event["data"]["orders"] for event in told] == [2]
    (late,) = feed(partial(STORE, 3, orders=5, version=9))
    assert (late["data"]["orders"], (late["data"]["minute_ms"] - NOON_MS) // MINUTE_MS) == (5, 3)


def test_an_old_heartbeat_that_comes_late_says_nothing_of_now():
    feed = Feed()
    feed(beat(0, 1), *clock(30))
    assert silences(feed, beat(10, 2)) == []
    assert silences(feed, *clock(31)) == []
    assert silences(feed, beat(31, 3)) == [("online", 1, 31)]


def test_a_store_without_heartbeats_is_never_called_offline_nor_is_anything_but_a_store():
    feed = Feed()
    assert silences(feed, partial(STORE, orders=1), beat(0, 2, "region:north"), *clock(170)) == []


def test_a_store_that_stays_away_is_no_longer_watched():
    feed = Feed()
    feed(beat(0, 1), *clock(10))
    assert f"life|{STORE}" in feed.store.records
    feed(*clock(RETIRED_MS // MINUTE_MS + 2))
    feed(*clock(RETIRED_MS // MINUTE_MS + 3))
    assert f"life|{STORE}" not in {*feed.store.records, *feed.store.timers}
