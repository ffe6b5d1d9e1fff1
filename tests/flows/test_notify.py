"""Alerts reach their sinks in order and once by id; who is slow or away holds up nobody else and loses nothing."""

from __future__ import annotations

import json
import re
import time
from io import StringIO
from signal import SIGTERM
from threading import Event
from typing import Any
from urllib.request import urlopen

import pytest
from msgspec.structs import replace
from rich.console import Console

from alerts.notices.alert import read_alert
from alerts.notices.desk import Desk, State
from alerts.notices.sink import Alertmanager, Sinks, variable
from brewline.alert_words import end_silence, say_of_alert, silence_alerts
from brewline.alerts import list_alerts
from features.outgoing import AlertWord
from flows.notify import run
from operators.servers import free_port
from tests.alertpost import AlertPost, finding, incident, sent
from tests.flowprocess import read_all
from tests.receiver import Reply, receiver, waits_for
from tests.siem import collector

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
        for round in range(2):
            start = round * number // 2
            alerts.alerts(*(finding(f"f{i}", rule=f"r{i}") for i in range(start, start + number // 2)))
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


def test_each_sink_gets_what_it_asked_for_in_its_own_format_until_it_ends(alerts: AlertPost) -> None:
    """PagerDuty in order; a SIEM's collector that is busy and loses one; a webhook of what is critical alone."""
    pages: list[dict[str, Any]] = []

    def pagerduty(request: Any) -> Reply:
        pages.append(json.loads(request.body))
        return Reply(429) if len(pages) == 1 else Reply(202)

    token = "11111111-2222-3333-4444-555555555555"
    with (
        receiver(pagerduty, signed=False) as (_, url),
        collector(token) as (siem, siem_url),
        receiver() as (hook, hook_url),
    ):
        siem.busy, siem.lost = 2, {"Title of b"}
        sinks: dict[str, dict[str, Any]] = {
            "pager": {"kind": "pagerduty", "url": url, "alerts": ["kpi"]},
            "siem": {"kind": "splunk", "url": siem_url, "acknowledge_s": 1, "alerts": ["security"]},
            "hook": {"kind": "webhook", "url": hook_url, "format": "ocsf", "at_least": "critical"},
        }
        secrets = {variable("pager"): "R" * 32, variable("siem"): token}
        flow = alerts.start(sinks, "most = 100", BREWLINE_BOARD__URL="https://board.example.com/", **secrets)
        alerts.alerts(incident("i1"), finding("a", rule="a"), finding("b", rule="b"), incident("i2"))
        alerts.alerts(incident("i3", "resolved"), finding("c", rule="c", level="critical"))
        flow.until(lambda: [page["event_action"] for page in pages] == ["trigger", "trigger", "trigger", "resolve"])
        flow.until(lambda: len(siem.indexed) == 3)
        flow.until(lambda: len(hook.taken) == 1)
        flow.until(lambda: all(alerts.committed(name) == 6 for name in sinks))
        assert flow.end(SIGTERM) == 0
    assert {page["dedup_key"] for page in pages} == {"store:s1-orders-7"}
    assert {page["routing_key"] for page in pages} == {"R" * 32}
    page = "https://board.example.com/alerts/store%3As1-orders-7"
    assert [link["href"] for one in pages for link in one.get("links", [])] == [page] * 3
    [body] = map(json.loads, hook.taken.values())
    assert (body["class_uid"], body["severity"]) == (2004, "Critical")
    key = body["finding_info"]["uid"]
    assert body["finding_info"]["src_url"] == f"https://board.example.com/alerts/{key}"
    assert token not in flow.said


def test_people_acknowledge_close_and_silence_and_their_words_are_kept(alerts: AlertPost) -> None:
    out = StringIO()
    console, settings = Console(file=out, width=200), alerts.settings
    with receiver() as (told, url):
        flow = alerts.start({"hook": {"kind": "webhook", "url": url}})
        alerts.alerts(finding("f1"), incident("i1"), incident("i2", dim="store:s2"))
        flow.until(lambda: len(told.taken) == 3)
        flow.until(lambda: len(alerts.standings().load().book) == 3)
        [key] = [key for key, one in alerts.standings().load().book.items() if one.alert.kind == "security"]
        say_of_alert(settings, "acknowledged", key[:6], "anna", "asking", console)
        say_of_alert(settings, "closed", key, "anna", "agreed on", console)
        silence_alerts(settings, ["dim=store:s[23]", "series=orders"], "2h", "ben", "power cut", console)
        alerts.alerts(incident("i3", dim="store:s3"), incident("i4", dim="store:s2"), incident("i5"))
        flow.until(lambda: len(alerts.standings().load().book) == 4)
        flow.until(lambda: any(json.loads(body)["data"]["alert"] == "i5" for body in told.taken.values()))
        [silence] = alerts.standings().load().silences
        list_alerts(settings, False, False, console)
        end_silence(settings, silence, "ben", "", console)
        flow.until(lambda: {"i3", "i4"} <= {json.loads(body)["data"]["alert"] for body in told.taken.values()})
        assert flow.end(SIGTERM) == 0
    shown = out.getvalue()
    assert "is closed by anna" in shown
    assert "of what fires, it covers 1" in shown
    assert re.search(r"store:s3-orders-7 +high +silenced", shown)
    assert re.search(r"store:s2-orders-7 +high +silenced", shown)
    assert re.search(r"store:s1-orders-7 +high +firing", shown)
    assert re.search(rf"{silence} +dim=store:s\[23\] series=orders +\S+ \S+ +ben +power cut", shown)
    said = [(n["action"], n["alert"]) for n in (json.loads(body)["data"] for body in told.taken.values())]
    assert sorted(said) == sorted(
        [("opened", id) for id in ("f1", "i1", "i2", "i3")]
        + [("acknowledged", "f1"), ("closed", "f1"), ("updated", "i5"), ("updated", "i4")]
    )
    words = [json.loads(message.value() or b"") for message in read_all(settings, "alert.words")]
    assert sorted((word["data"]["word"], word["data"]["by"], word["data"]["reason"]) for word in words) == [
        ("acknowledged", "anna", "asking"),
        ("closed", "anna", "agreed on"),
        ("silenced", "ben", "power cut"),
        ("unsilenced", "ben", ""),
    ]


def test_when_redis_has_lost_all_silences_and_alerts_come_back_from_kafka(alerts: AlertPost) -> None:
    console = Console(file=StringIO())
    with receiver() as (told, url):
        table = {"hook": {"kind": "webhook", "url": url}}
        flow = alerts.start(table)
        silence_alerts(alerts.settings, ["dim=store:s2"], "2h", "ben", "power cut", console)
        alerts.alerts(incident("i1"), incident("i2", dim="store:s2"))
        flow.until(lambda: len(alerts.standings().load().book) == 2)
        flow.until(lambda: len(told.taken) == 1)
        flow.kill()
        before = alerts.standings().load()
        assert alerts.redis.delete(*alerts.standings().keys.values())
        flow = alerts.start(table)
        flow.until(lambda: len(alerts.standings().load().book) == 2 and alerts.standings().load().silences)
        assert flow.end(SIGTERM) == 0
    assert alerts.standings().load().silences == before.silences
    assert alerts.standings().load().book.keys() == before.book.keys()
    assert len(told.taken) <= 2


def test_what_is_told_again_and_again_is_what_fires_and_what_has_ended_lately(alerts: AlertPost) -> None:
    desk, now_ms = Desk(Sinks(most=9).terms, State()), round(time.time() * 1000)
    told = [incident(id, dim=f"store:{id}") for id in ("fires", "ended", "long-over", "hushed")]
    told += [finding("f"), *(incident(f"{id}-end", "resolved", f"store:{id}") for id in ("ended", "long-over"))]
    for alert in told:
        ended_ms = now_ms - 3_600_000 if alert["id"] == "long-over-end" else now_ms
        desk.take(read_alert(sent(alert).value), ended_ms)
    desk.hear(AlertWord("silenced", "s", "ben", now_ms, "", {"dim": "store:hushed"}, now_ms + 60_000))
    standings = alerts.standings()
    standings.commit(desk.state, desk.touched, standings.fence(), {})
    sink = Alertmanager(url="http://x/", alerts=["kpi"])
    found = {(notice.entity, notice.action) for notice in alerts.standings().firing(sink)}
    assert found == {("store:fires", "updated"), ("store:hushed", "updated"), ("store:ended", "resolved")}


def test_without_a_sink_what_fires_is_kept_and_a_share_of_it_is_refused(alerts: AlertPost) -> None:
    alerts.alerts(finding("f1"))
    flow = alerts.start({})
    flow.until(lambda: alerts.standings().load().book)
    assert "no sink is configured" in flow.said
    assert flow.end(SIGTERM) == 0
    shared = replace(alerts.settings, kafka=replace(alerts.settings.kafka, share="0/2"))
    with pytest.raises(ValueError, match="found a share, expected none"):
        run(shared, Event())


def test_metrics_tell_what_fires_and_how_far_each_sink_is(alerts: AlertPost) -> None:
    port = free_port()
    alerts.alerts(finding("f1"), incident("i1"))
    with receiver() as (told, url):
        flow = alerts.start({"hook": {"kind": "webhook", "url": url}}, BREWLINE_METRICS__NOTIFY=str(port))
        flow.until(lambda: len(told.taken) == 2 and alerts.committed("hook") == 2)

        def shown() -> str:
            return urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()

        topic = alerts.settings.topic("notices")
        for line in (
            'brewline_alerts_standing{state="firing"} 2.0',
            'brewline_deliveries_total{gateway="hook",outcome="delivered"} 2.0',
            f'brewline_consumer_lag{{flow="notify-hook",partition="0",topic="{topic}"}} 0.0',
        ):
            flow.until(lambda line=line: line in shown())
        assert urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).read() == b"ok\n"
