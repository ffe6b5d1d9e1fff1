"""What real receivers get, what is told of them when they fail, and that nothing is lost while they are away."""

from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from msgspec.structs import replace

from alerts.notices import sink as s
from alerts.notices.standing import notice_message
from features.job import Message
from features.outgoing import Notice
from operators.servers import free_port
from operators.sinks import Target, make_target
from operators.splunk import Splunk
from tests.alerts.notices.made import NOON_MS, desk, finding, kpi, told
from tests.flowprocess import until
from tests.siem import ALERTMANAGER, GNUTLS, OPENSSL, RSYSLOG, alertmanager, collector, rsyslog

needs_rsyslog = pytest.mark.skipif(
    not (RSYSLOG and GNUTLS and OPENSSL), reason="needs rsyslogd with rsyslog-gnutls, and openssl (Debian has them)"
)
needs_alertmanager = pytest.mark.skipif(not ALERTMANAGER, reason="needs Alertmanager (Debian: prometheus-alertmanager)")
TOKEN = "11111111-2222-3333-4444-555555555555"
WHY = 'anna did "export" | a=b \\ and more,\nin two lines: 茶'


def sent(notice: Notice) -> Message:
    return notice_message("notices", notice)


def id_of(body: bytes) -> str:
    return str(json.loads(body)["id"])


def post(target: Target, notice: Notice) -> Any:
    body = sent(notice).value
    return target.post(id_of(body), body)


def findings(number: int) -> list[Notice]:
    one = desk()
    for n in range(number):
        one.take(finding(f"f{n}", f"anna{n}", tags=["attack.t1567"], why=WHY), NOON_MS)
    return one.notices


def syslog(place: str, over: Any, folder: Path, format: Any = "cef", ca: str = "", timeout_s: float = 10) -> Target:
    sink = s.Syslog(address=place, over=over, format=format, ca_file=ca, timeout_s=timeout_s)
    return make_target("siem", sink, "", folder)


def test_what_no_datagram_holds_is_refused_for_good_and_what_one_holds_is_sent(workdir: Path) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as there:
        there.bind(("127.0.0.1", 0))
        there.settimeout(5)
        target, [notice] = syslog(f"127.0.0.1:{there.getsockname()[1]}", "udp", workdir, "ecs"), findings(1)
        assert post(target, replace(notice, evidence=["e" * 1_000] * 100)).verdict == "refused"
        assert post(target, notice).verdict == "delivered"
        assert WHY.split()[0].encode() in there.recv(65_536)


@needs_rsyslog
def test_rsyslog_reads_what_comes_by_udp_tcp_and_tls_as_it_was_written(workdir: Path) -> None:
    there, [notice] = rsyslog(workdir), findings(1)
    with there.runs():
        ports = {"udp": there.udp, "tcp": there.tcp, "tls": there.tls}
        for over, port in ports.items():
            for format in ("cef", "leef", "ecs", "ocsf"):
                target = syslog(f"localhost:{port}", over, workdir, format, str(there.authority))
                answer = post(target, notice)
                assert answer.verdict == "delivered", (over, format, answer)
        until(lambda: len(there.lines()) == 12)
    lines = there.lines()
    assert {(line["pri"], line["app"], line["msgid"]) for line in lines} == {("107", "brewline", "opened")}
    assert {line["sd"] for line in lines} == {'[origin software="brewline"]'}
    for over in ports:
        texts = sorted(line["msg"].lstrip("\ufeff") for line in lines if line["input"] == over)
        cef, leef = (next(text for text in texts if text.startswith(name)) for name in ("CEF:0|", "LEEF:2.0|"))
        ecs, ocsf = (next(json.loads(t) for t in texts if f'"{name}"' in t) for name in ("@timestamp", "class_uid"))
        assert r'msg=anna did "export" | a\=b \\ and more,\nin two lines: 茶' in cef
        assert 'msg=anna did "export" | a=b \\ and more, in two lines: 茶' in leef.replace("#011", "\t")
        assert ecs["message"] == ocsf["message"] == WHY


@needs_rsyslog
def test_a_receiver_of_syslog_without_a_certificate_that_is_trusted_is_told_nothing(workdir: Path) -> None:
    there = rsyslog(workdir)
    with there.runs():
        answer = post(syslog(f"localhost:{there.tls}", "tls", workdir), findings(1)[0])
        assert (answer.verdict, answer.failure) == ("again", "connection")
        other_name = syslog(f"127.0.0.1:{there.tls}", "tls", workdir, ca=str(there.authority))
        assert post(other_name, findings(1)[0]).failure == "connection"
    assert there.lines() == []


@needs_rsyslog
@pytest.mark.parametrize("over", ["tcp", "tls"])
def test_a_receiver_of_syslog_that_was_away_gets_what_comes_when_it_is_back(workdir: Path, over: str) -> None:
    there, notices = rsyslog(workdir), findings(9)
    port = there.tls if over == "tls" else there.tcp
    target = syslog(f"localhost:{port}", over, workdir, ca=str(there.authority))
    assert post(target, notices[0]).failure == "connection"
    with there.runs():
        assert [post(target, notice).verdict for notice in notices[:4]] == ["delivered"] * 4
        until(lambda: len(there.lines()) == 4)
    assert post(target, notices[4]).verdict == "again"  # on the connection that was open
    with there.runs():
        assert [post(target, notice).verdict for notice in notices[4:]] == ["delivered"] * 5
        until(lambda: len(there.lines()) == 9)


def test_a_receiver_of_syslog_that_reads_nothing_is_given_up_in_time(workdir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
        target = syslog(f"127.0.0.1:{server.getsockname()[1]}", "tcp", workdir, "ecs", timeout_s=0.3)
        [notice] = findings(1)
        large = replace(notice, evidence=["x" * 1_000] * 20)
        failures = (post(target, large).failure for _ in range(2_000))
        assert next(failure for failure in failures if failure) == "timeout"


def test_a_receiver_of_syslog_that_has_ended_an_idle_connection_costs_no_attempt(workdir: Path) -> None:
    idle, ended, came = Event(), Event(), list[bytes]()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def receive() -> None:
            for _ in range(2):
                link, _ = server.accept()
                came.append(link.recv(65_536))
                idle.wait(30)
                link.close()
                ended.set()

        threading.Thread(target=receive, daemon=True).start()
        target = syslog(f"127.0.0.1:{server.getsockname()[1]}", "tcp", workdir)
        first, second = findings(2)
        assert post(target, first).verdict == "delivered"
        idle.set()
        assert ended.wait(30)
        idle.clear()
        assert post(target, second).verdict == "delivered"
        idle.set()
        until(lambda: len(came) == 2)


@needs_alertmanager
def test_alertmanager_shows_what_fires_keeps_it_while_it_is_repeated_and_lets_go_of_what_ends(workdir: Path) -> None:
    one, stop = desk(), Event()
    for alert in (finding("f", level="critical"), kpi("k"), kpi("g", dim="store:s2")):
        one.take(alert.shown_on("http://board/"), round(time.time() * 1000))
    notices = told(one)
    with alertmanager(workdir, free_port()) as there:
        sink = s.Alertmanager(url=there.url, resend_s=0.3)
        target = make_target("am", sink, "", workdir)
        assert [post(target, notice).status for notice in notices] == [200] * 3
        shown = {alert["labels"]["key"]: alert for alert in there.alerts()}
        assert shown.keys() == {notice.key for notice in notices}
        of_kpi = shown["store:s1-7"]
        assert of_kpi["labels"]["alertname"] == "orders low"
        assert of_kpi["annotations"]["dim"] == "store:s1"
        assert of_kpi["annotations"]["description"] == "store:s1 is low"
        assert of_kpi["generatorURL"] == "http://board/alerts/store%3As1-7"
        assert target.repeat
        kept = [notice for notice in notices if notice.key != "store:s2-7"]
        again = threading.Thread(target=target.repeat, args=(lambda: kept, stop), daemon=True)
        again.start()
        until(lambda: {a["labels"]["key"] for a in there.alerts()} == {notice.key for notice in kept})  # not repeated
        one.take(kpi("k2", "resolved"), round(time.time() * 1000))
        kept[:] = [notice for notice in kept if notice.kind != "kpi"]
        [resolved] = told(one)
        assert post(target, resolved).status == 200
        until(lambda: {a["labels"]["kind"] for a in there.alerts()} == {"security"})
        stop.set()
        again.join()


@needs_alertmanager
def test_an_alertmanager_that_comes_back_and_remembers_nothing_is_told_again(workdir: Path) -> None:
    port, stop, notices = free_port(), Event(), findings(3)
    target = make_target("am", s.Alertmanager(url=f"http://127.0.0.1:{port}", resend_s=0.2), "", workdir)
    assert post(target, notices[0]).verdict == "again"
    assert target.repeat
    again = threading.Thread(target=target.repeat, args=(lambda: notices, stop), daemon=True)
    again.start()
    for life in ("first", "second"):
        (workdir / life).mkdir()
        with alertmanager(workdir / life, port) as there:
            until(lambda: len(there.alerts()) == 3)
    stop.set()
    again.join()


def splunk(url: str, folder: Path, token: str = TOKEN, acknowledge_s: float = 1.0) -> tuple[Target, Splunk]:
    sink = s.Splunk(url=url, acknowledge_s=acknowledge_s, index="brewline")
    target = make_target("splunk", sink, token, folder)
    return target, target.post.__self__  # type: ignore[attr-defined]


def test_splunk_has_an_event_when_its_indexer_says_so_and_gets_again_what_it_lost(workdir: Path) -> None:
    one = desk()
    for rule in ("kept", "lost"):
        one.take(finding(rule, rule=rule), NOON_MS)
    kept, lost = one.notices
    with collector(TOKEN) as (there, url):
        there.lost, there.busy = {"lost"}, 1
        target, sink = splunk(url, workdir)
        sink.wait = lambda _: None
        assert post(target, kept).status == 503
        assert post(target, kept).verdict == "delivered"
        first = post(target, lost)
        assert (first.verdict, first.failure, there.indexed.keys()) == ("again", "timeout", {id_of(sent(kept).value)})
        assert post(target, lost).verdict == "delivered"
        assert len(there.channels) == 1
    assert there.came == {id_of(sent(kept).value): 1, id_of(sent(lost).value): 2}
    stored = there.indexed[id_of(sent(lost).value)]
    assert (stored["time"], stored["index"], stored["sourcetype"]) == (NOON_MS / 1000, "brewline", "brewline:ocsf")
    assert stored["event"]["class_uid"] == 2004


def test_a_wrong_token_or_a_collector_without_acknowledgement_holds_events_back(workdir: Path) -> None:
    [notice] = findings(1)
    with collector(TOKEN) as (there, url):
        answer = post(splunk(url, workdir, token="wrong")[0], notice)
        assert (answer.status, answer.verdict, answer.alive) == (403, "again", False)
        there.event = lambda body: (200, {"text": "Success", "code": 0})  # type: ignore[method-assign]
        assert post(splunk(url, workdir)[0], notice).verdict == "again"
        there.event = lambda body: (400, {"text": "Incorrect index", "code": 7})  # type: ignore[method-assign]
        assert post(splunk(url, workdir)[0], notice).verdict == "again"
        there.event = lambda body: (400, {"text": "?", "code": [12]})  # type: ignore[method-assign]
        assert post(splunk(url, workdir)[0], notice).verdict == "again"
        there.event = lambda body: (400, {"text": "Event field is required", "code": 12})  # type: ignore[method-assign]
        assert post(splunk(url, workdir)[0], notice).verdict == "refused"


@pytest.mark.parametrize("said", [{"acks": [True]}, {"acks": None}, {"acks": {"0": "yes"}}, [], {}])
def test_an_event_whose_acknowledgement_is_none_is_sent_again(workdir: Path, said: Any) -> None:
    [notice] = findings(1)
    with collector(TOKEN) as (there, url):
        there.ack = lambda body: (200, said)  # type: ignore[method-assign]
        target, sink = splunk(url, workdir)
        sink.wait = lambda _: None
        answer = post(target, notice)
        assert (answer.verdict, answer.failure) == ("again", "timeout")


def test_no_sink_takes_a_secret_that_is_no_word(workdir: Path) -> None:
    for wrong in ("", "two words", "tee\u00df"):
        with pytest.raises(ValueError, match="one word of printable ASCII") as caught:
            make_target("splunk", s.Splunk(url="http://x/"), wrong, workdir)
        assert not wrong or wrong not in str(caught.value)
