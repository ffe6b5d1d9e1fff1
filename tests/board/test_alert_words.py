"""What people say of alerts on the board goes through Kafka to the desk, and shows at once."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

import pytest
from redis import Redis

from alerts.notices.sink import Sinks
from config import settings as conf
from features import events as e
from features.events import encode
from flows.notify import USED, keep_desk
from operators.health import Pulse
from operators.kafka import producer
from operators.standings import Standings
from tests.alertpost import finding, incident, sent
from tests.board.conftest import SignedIn
from tests.flowprocess import WAIT_S, make_topics, until

pytestmark = pytest.mark.servers
STORE = "store:s1-orders-7"


@pytest.fixture
def board_settings(settings: conf.Settings) -> conf.Settings:
    return settings


@pytest.fixture
def standings(settings: conf.Settings) -> Iterator[Standings]:
    """A desk that is kept, with a finding of anna and an incident of a store."""
    make_topics(settings, [*USED, "audit.events"])
    sender, stop = producer(settings.kafka.librdkafka()), Event()
    seen = e.AuditExport(id="event-of-f1", time=1_777_000_000_000, actor="anna", object="customer 13800138000", rows=7)
    sender.produce(settings.topic("audit.events"), encode(seen), "anna")
    for told in (finding("f1"), incident("i1")):
        message = sent(told, settings.topic("alerts"))
        sender.produce(message.topic, message.value, message.key)
    assert sender.flush(WAIT_S) == 0
    standings = Standings(Redis.from_url(settings.redis.url), settings.redis.prefix)
    partitions = dict.fromkeys(map(settings.topic, USED), settings.kafka.partitions)
    work = Thread(target=keep_desk, args=(settings, Sinks(), partitions, standings, Pulse(15.0), stop))
    work.start()
    until(lambda: len(standings.load().book) == 2)
    yield standings
    stop.set()
    work.join(WAIT_S)


def path(standings: Standings, kind: str) -> str:
    key = next(key for key, one in standings.load().book.items() if one.alert.kind == kind)
    return f"/api/v1/alerts/{key}"


def test_who_acknowledges_and_closes_a_finding_sees_it_at_once(standings: Standings, signed_in: SignedIn) -> None:
    client, place = signed_in("security"), path(standings, "security")
    said = client.post(f"{place}/acknowledge", json={"reason": "asking her"}).json()
    assert (said["heard"], said["by"]) == (True, "security-1")
    told = client.get(place).json()
    assert (told["row"]["state"], told["acknowledged_by"], told["reason"]) == (
        "acknowledged",
        "security-1",
        "asking her",
    )
    assert client.post(f"{place}/close", json={}).json()["detail"].startswith("say why")
    assert client.post(f"{place}/close", json={"reason": "a migration"}).status_code == 200
    assert client.get(place).json()["row"]["state"] == "closed"
    again = client.post(f"{place}/acknowledge", json={})
    assert (again.status_code, "is closed already" in again.json()["detail"]) == (400, True)


def test_nobody_decides_on_what_is_not_theirs(standings: Standings, signed_in: SignedIn) -> None:
    found, strays = path(standings, "security"), f"/api/v1/alerts/{STORE}"
    asked: list[tuple[Any, str, int]] = [
        ("marketing", found, 404),
        ("security", strays, 403),
        ("auditor", strays, 403),
        ("store", strays, 403),
    ]
    for role, place, status in asked:
        assert signed_in(role, stores=("s1",)).post(f"{place}/acknowledge", json={}).status_code == status, role
    assert not any(one.acknowledged_by for one in standings.load().book.values())
    assert signed_in("marketing").post(f"{strays}/acknowledge", json={}).status_code == 200


def test_a_silence_covers_no_kind_that_others_decide_on(standings: Standings, signed_in: SignedIn) -> None:
    client = signed_in("marketing")
    wide = {"matchers": {"entity": "*a*"}, "last": "2h", "reason": "a fair"}
    assert client.post("/api/v1/silences", json=wide).status_code == 403
    assert client.post("/api/v1/silences", json={**wide, "matchers": {"kind": "*", "entity": "a*"}}).status_code == 403
    said = client.post("/api/v1/silences", json={**wide, "matchers": {"kind": "kpi", "entity": "store:*"}}).json()
    assert (said["heard"], said["covers"]) == (True, 1)
    assert client.get(f"/api/v1/alerts/{STORE}").json()["row"]["state"] == "silenced"
    assert signed_in("security").post(f"/api/v1/silences/{said['about']}/end", json={}).status_code == 403
    assert client.post(f"/api/v1/silences/{said['about']}/end", json={}).json()["heard"]
    [ended] = client.get("/api/v1/silences").json()["items"]
    assert (ended["state"], ended["ended_by"]) == ("ended", "marketing-1")
    theirs = signed_in("security").post("/api/v1/silences", json=wide).json()
    assert standings.load().silences[theirs["about"]].matchers == {"entity": "*a*", "kind": "security"}
    wrong = client.post("/api/v1/silences", json={**wide, "matchers": {"kind": "kpi", "stroe": "s1"}})
    assert "did you mean" in wrong.json()["detail"]


def test_the_evidence_of_a_finding_is_shown_without_its_customers(standings: Standings, signed_in: SignedIn) -> None:
    [event] = signed_in("security").get(f"{path(standings, 'security')}/evidence").json()
    assert (event["id"], event["action"], event["object"], event["rows"]) == (
        "event-of-f1",
        "export",
        "customer •••",
        7,
    )
    assert event["at_ms"] == 1_777_000_000_000
