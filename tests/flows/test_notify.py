"""Alerts reach their sinks in order and once by id; who is slow or away holds up nobody else and loses nothing."""

from __future__ import annotations

import json
from signal import SIGTERM
from threading import Event

import pytest

from operators.servers import free_port
from tests.alertpost import AlertPost, finding, incident
from tests.receiver import Reply, receiver, waits_for

pytestmark = pytest.mark.servers


def test_what_is_on_the_topic_reaches_a_webhook_signed_and_once_and_is_listed(alerts: AlertPost) -> None:
    alerts.alerts(finding("f1"), incident("i1"), finding("f1"), incident("i2", "resolved"))
    alerts.put("alerts", b"\xff no alert")
    with receiver() as (told, url):
        flow = alerts.start({"hook": {"kind": "webhook", "url": url}})
        flow.until(lambda: len(told.taken) == 3)
        flow.until(lambda: alerts.committed("hook") == 3)
        assert flow.end(SIGTERM) == 0
    bodies = {id: json.loads(body) for id, body in told.taken.items()}
    assert sorted((body["type"], body["data"]["title"]) for body in bodies.values()) == [
        ("brewline.notice.opened", "Title of bulk-export"),
        ("brewline.notice.opened", "orders low"),
        ("brewline.notice.resolved", "orders low"),
    ]
    assert all(body["id"] == id for id, body in bodies.items())
    assert told.refused == 0
    assert alerts.letters() == [("malformed", b"\xff no alert")]
    assert {one.alert.title: one.state for one in alerts.standings().load().book.values()} == {
        "Title of bulk-export": "firing",
        "orders low": "resolved",
    }
    assert "whsec" not in flow.said


def test_a_sink_that_is_away_gets_all_when_it_is_back_and_holds_up_no_other(alerts: AlertPost) -> None:
    port = free_port()
    sinks = {"away": {"kind": "webhook", "url": f"http://127.0.0.1:{port}/"}}
    go_on = Event()
    with receiver() as (well, well_url), receiver(waits_for(go_on)) as (slow, slow_url):
        sinks |= {
            "well": {"kind": "webhook", "url": well_url},
            "slow": {"kind": "webhook", "url": slow_url, "timeout_s": 60},
        }
        flow = alerts.start(sinks, "most = 1000")
        alerts.alerts(*(finding(f"f{i}", rule=f"r{i}") for i in range(60)))
        flow.until(lambda: len(well.taken) == 60)
        flow.until(lambda: "circuit opened" in flow.said)
        assert (alerts.committed("away"), slow.taken) == (0, {})
        go_on.set()
        with receiver(port=port) as (away, _):
            flow.until(lambda: len(away.taken) == 60)
        flow.until(lambda: len(slow.taken) == 60)
        assert flow.end(SIGTERM) == 0
    assert away.taken == slow.taken == well.taken
    assert alerts.letters() == []


def test_killed_again_and_again_it_tells_every_alert_under_one_id_and_ends_where_it_would_have(
    alerts: AlertPost,
) -> None:
    """Killed while it reads, tells and posts; what is posted twice bears the same id and says the same."""
    number, bodies = 300, dict[str, set[bytes]]()
    with receiver() as (told, url):
        table = {"hook": {"kind": "webhook", "url": url}}
        for round in range(4):
            start = round * number // 4
            alerts.alerts(*(finding(f"f{i}", rule=f"r{i}") for i in range(start, start + number // 4)))
            flow = alerts.start(table, "most = 1000")
            had = len(told.taken)
            flow.until(lambda had=had: len(told.taken) > had + 10)
            flow.kill()
        flow = alerts.start(table, "most = 1000")
        flow.until(lambda: len(told.taken) == number)
        flow.until(lambda: len(alerts.standings().load().book) == number)
        assert flow.end(SIGTERM) == 0
    for request in told.requests:
        bodies.setdefault(request.id, set()).add(request.body)
    assert len(bodies) == number
    assert all(len(same) == 1 for same in bodies.values())
    assert {json.loads(body)["data"]["alert"] for body in told.taken.values()} == {f"f{i}" for i in range(number)}


def test_what_a_sink_refuses_is_a_dead_letter_and_what_is_set_up_wrongly_waits(alerts: AlertPost) -> None:
    forbidden = Event()

    def reply(request: object) -> Reply:
        body = json.loads(request.body)  # type: ignore[attr-defined]
        if body["data"]["alert"] == "ill":
            return Reply(422)
        return Reply(204) if forbidden.is_set() else Reply(403)

    with receiver(reply) as (told, url):
        flow = alerts.start({"hook": {"kind": "webhook", "url": url}})
        alerts.alerts(finding("ill", rule="a"), finding("well", rule="b"))
        flow.until(lambda: alerts.letters())
        flow.until(lambda: len(told.requests) > 4)
        assert told.taken == {}
        forbidden.set()
        flow.until(lambda: len(told.taken) == 1)
        flow.until(lambda: alerts.committed("hook") == 2)
    [(reason, value)] = alerts.letters()
    assert (reason, json.loads(value)["data"]["alert"]) == ("gateway_refused", "ill")
