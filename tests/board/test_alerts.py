"""Alerts on the board: who sees which, filters and pages, what stands behind them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from alerts.notices.alert import Alert, read_alert
from alerts.notices.desk import Desk, Terms
from alerts.notices.pace import Throttle
from board.access.person import Person
from board.api import incidents
from board.api.firing import WORST, cut, now, shown
from board.api.incidents import MOST, Incident, Incidents
from board.sources import ALERTS_S
from brewline.findings import masked_address, masked_object
from config import settings as conf
from features.outgoing import AlertWord
from operators.redis_link import connect_redis
from operators.standings import Standings
from tests.alertpost import finding, incident, sent
from tests.board.conftest import SignedIn

pytestmark = pytest.mark.servers
NOW_MS = 1_777_000_000_000
PARTS = [{"dim": "store:s1", "observed": 1.0, "expected": 20.0}, {"dim": "store:s2", "observed": 2.0, "expected": 9.0}]


def alert(told: dict[str, Any]) -> Alert:
    return read_alert(sent(told).value)


@pytest.fixture
def desk(board_settings: conf.Settings) -> Desk:
    """Two findings of anna, incidents of two stores, one of which is over, and a model's alert; as Redis has them."""
    desk = Desk(Terms(Throttle(20, 3_600_000), 86_400_000, 604_800_000), Standings(*_redis(board_settings)).load())
    strays = {
        "contributors": PARTS,
        "expected_low": 30.0,
        "expected_high": 51.0,
        "window_minutes": 15,
        "severity": "critical",
    }
    worse = {
        "state": "firing",
        "model": "churn_risk",
        "what": "worse",
        "incident": "churn_risk|worse|500",
        "why": "worse",
    }
    told = [
        finding("f1", at_ms=NOW_MS),
        finding("f2", rule="night-login", level="medium"),
        incident("i1", **strays),
        incident("i2", dim="store:s2"),
        incident("i3", state="resolved", dim="store:s2"),
        {"id": "m1", "kind": "model", "subject": "churn_risk", **worse},
    ]
    for i, one in enumerate(told):
        desk.take(alert(one), NOW_MS + i)
    store(desk, board_settings)
    return desk


def _redis(settings: conf.Settings) -> tuple[Any, str]:
    return connect_redis(settings.redis.url, 5.0), settings.redis.prefix


def store(desk: Desk, settings: conf.Settings) -> None:
    standings = Standings(*_redis(settings))
    standings.commit(desk.state, desk.touched, standings.fence(), {**standings.fence(), "since": 1})
    desk.clear()
    time.sleep(ALERTS_S)  # the board has looked just before, perhaps


def titles(answer: dict[str, Any]) -> list[str]:
    return [row["title"] for row in answer["items"]]


def test_the_worst_that_fires_comes_first_and_what_is_over_last(desk: Desk, signed_in: SignedIn) -> None:
    rows = signed_in("auditor").get("/api/v1/alerts").json()["items"]
    assert [(row["severity"], row["state"]) for row in rows] == [
        ("critical", "firing"), ("high", "firing"), ("medium", "firing"), ("medium", "firing"), ("high", "resolved"),
    ]  # fmt: skip


def test_filters_and_pages_lead_to_each_alert_once(desk: Desk, signed_in: SignedIn) -> None:
    client, seen, after = signed_in("auditor"), list[str](), ""
    for _ in range(9):
        page = client.get(f"/api/v1/alerts?limit=2&after={after}").json()
        seen += [row["key"] for row in page["items"]]
        if not (after := page["next"]):
            break
    assert sorted(seen) == sorted(desk.state.book)
    assert titles(client.get("/api/v1/alerts?kind=security&severity=high").json()) == ["Title of bulk-export"]
    assert [row["entity"] for row in client.get("/api/v1/alerts?state=over").json()["items"]] == ["store:s2"]
    assert titles(client.get("/api/v1/alerts?entity=CHURN*").json()) == ["Model churn_risk: worse"]
    assert client.get("/api/v1/alerts?limit=501").status_code == 422
    assert client.get("/api/v1/alerts?after=gone").json()["detail"].endswith("begin again without `after`")


@pytest.mark.parametrize(
    ("role", "kinds"),
    [
        ("security", {"kpi", "security", "model"}),
        ("auditor", {"kpi", "security", "model"}),
        ("marketing", {"kpi", "model"}),
        ("engineer", {"kpi", "model"}),
        ("store", {"kpi"}),
    ],
)
def test_findings_name_staff_and_are_seen_by_who_looks_into_them_alone(
    desk: Desk, signed_in: SignedIn, role: Any, kinds: set[str]
) -> None:
    client = signed_in(role, stores=("s1",))
    rows = client.get("/api/v1/alerts").json()["items"]
    assert {row["kind"] for row in rows} == kinds
    secret = next(key for key, one in desk.state.book.items() if one.alert.kind == "security")
    assert client.get(f"/api/v1/alerts/{secret}").status_code == (200 if "security" in kinds else 404)


def test_a_store_manager_sees_incidents_of_their_own_stores_only(desk: Desk, signed_in: SignedIn) -> None:
    client = signed_in("store", stores=("s1",))
    [row] = client.get("/api/v1/alerts").json()["items"]
    assert row["store"] == "s1"
    assert client.get(f"/api/v1/alerts/{row['key']}").json()["parts"] == [], "other stores are not theirs"
    assert client.get("/api/v1/alerts/store:s2-orders-7").status_code == 404
    live = cut(now(desk.state, False, 1), Person("m", frozenset({"store"}), frozenset({"s1"})))
    assert ([row.store for row in live.worst], live.counts) == (["s1"], {})


def test_what_is_theirs_is_found_before_the_list_is_cut(desk: Desk) -> None:
    for n in range(150):
        desk.take(alert(incident(f"j{n}", dim=f"store:t{n:03}", severity="critical")), NOW_MS + 60_000 + n)
    manager = Person("m", frozenset({"store"}), frozenset({"s1"}))
    firing = now(desk.state, False, 1)
    assert [row.store for row in cut(firing, manager).worst] == ["s1"]
    assert len(shown(firing).worst) == WORST
    told = Incidents([Incident(f"{n}", f"store:t{n}", "", "", "", 0, [], 1, n, 0, "") for n in range(150)])
    mine = Incident("mine", "store:s1", "", "", "", 0, [], 1, 0, 0, "")
    told.items.append(mine)
    assert incidents.cut(told, manager).items == [mine]
    assert len(incidents.cut(told, Person("c", frozenset({"marketing"}))).items) == MOST


def test_the_feed_of_all_tells_nothing_of_findings(desk: Desk) -> None:
    others, findings = (shown(now(desk.state, staff, 1)) for staff in (False, True))
    assert {row.kind for row in others.worst} == {"kpi", "model"}
    assert {row.kind for row in findings.worst} == {"security"}
    assert others.counts == {"kpi/critical": 1, "model/medium": 1}


def test_an_incident_is_told_with_what_was_usual_and_who_contributes(desk: Desk, signed_in: SignedIn) -> None:
    told = signed_in("marketing").get("/api/v1/alerts/store:s1-orders-7").json()
    assert (told["usual"], told["window_minutes"]) == ([30.0, 51.0], 15)
    assert told["parts"] == PARTS
    assert told["figures"] == {"observed": 3.0, "expected": 40.5, "p": 1e-9}
    assert told["may"] == ["silence", "acknowledge"], "it ends by itself: nobody closes it"


def test_a_case_holds_all_findings_of_the_actor(desk: Desk, signed_in: SignedIn) -> None:
    key = next(key for key, one in desk.state.book.items() if one.alert.title == "Title of bulk-export")
    client = signed_in("security")
    told = client.get(f"/api/v1/alerts/{key}").json()
    assert (told["tactics"], told["techniques"]) == (["Exfiltration"], ["T1213.004"])
    case = client.get(f"/api/v1/alerts/{key}/case").json()
    assert {row["title"] for row in case["findings"]} == {"Title of bulk-export", "Title of night-login"}
    assert signed_in("marketing").get(f"/api/v1/alerts/{key}/case").status_code == 403


def test_silences_that_last_come_before_those_that_have_ended(
    desk: Desk, board_settings: conf.Settings, signed_in: SignedIn
) -> None:
    for id, until_ms in (("old", NOW_MS + 1), ("new", 9_999_999_999_999)):
        desk.hear(AlertWord("silenced", id, "anna", NOW_MS, "a fair", {"kind": "kpi", "entity": "store:s*"}, until_ms))
    desk.hear(AlertWord("silenced", "staff", "sam", NOW_MS, "a test", {"actor": "anna"}, 9_999_999_999_998))
    store(desk, board_settings)
    shown = signed_in("security").get("/api/v1/silences").json()["items"]
    assert [(one["id"], one["state"]) for one in shown] == [("new", "lasting"), ("staff", "lasting"), ("old", "ended")]
    ids = [one["id"] for one in signed_in("marketing").get("/api/v1/silences").json()["items"]]
    assert ids == ["new", "old"], "one that may name staff is not for marketing"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("customer 13800138000", "customer •••"),
        ("customer:c1f33", "customer •••"),
        ("mail:mei@example.com", "mail •••"),
        ("report", "report"),
        ("", ""),
    ],
)
def test_what_may_name_a_customer_is_masked(said: str, shown: str) -> None:
    assert masked_object(said) == shown


def test_an_address_shows_its_network() -> None:
    assert masked_address("10.20.30.40") == "10.20.30.•"
    assert masked_address("2001:db8::17") == "2001:db8::•"
    assert (masked_address("somewhere"), masked_address("")) == ("•", "")
