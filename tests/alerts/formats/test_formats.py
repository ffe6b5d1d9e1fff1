"""Each format is as its specification wants it, whatever stands in an alert, and names no customer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from msgspec.structs import replace

from alerts.formats.alertmanager import postable_alert, postable_alerts
from alerts.formats.attack import read_attack
from alerts.formats.cef import cef_line
from alerts.formats.ecs import ecs_event
from alerts.formats.figures import figure_text
from alerts.formats.leef import leef_line
from alerts.formats.ocsf import detection_finding
from alerts.formats.pagerduty import pagerduty_event
from alerts.formats.syslog import framed, syslog_message
from alerts.notices.standing import notice_message
from features.outgoing import Notice
from tests.alerts.notices.made import NOON_MS, desk, finding, kpi, word

SCHEMA = json.loads((Path(__file__).parent / "ocsf-1.8.0-detection-finding.json").read_text("utf-8"))
OCSF = Draft202012Validator(SCHEMA)
TAGS = ["attack.t1213.004", "attack.T1567", "attack.exfiltration", "attack.defense_evasion", "cve.2024-1"]


def notices() -> list[Notice]:
    """One of every action, of findings and of KPIs."""
    one = desk()
    for id, rule in (("f0", "r0"), ("f1", "r0"), ("f2", "r1"), ("f3", "r2")):  # the fourth is held
        one.take(finding(id, rule=rule, tags=TAGS, evidence=["e1", "e2"], observed=2.5e4), NOON_MS)
    one.take(kpi("k", observed=3, p=1e-9), NOON_MS)
    one.take(kpi("k2", "resolved"), NOON_MS + 1)
    key = one.notices[0].key
    one.hear(word("acknowledged", key, reason="asking"))
    one.hear(word("closed", key, reason="agreed on"))
    one.sweep(NOON_MS + 10**10)
    one.take(finding("fa", rule="r1"), NOON_MS + 10**10)
    return one.notices


NOTICES = notices()
texts = st.text(max_size=30) | st.sampled_from(["a|b", "a=b", r"a\b", "a\nb", "a\r\nb", "a\tb", '"]', "\x00", "\u2028"])
odd = st.builds(
    Notice,
    action=st.sampled_from(["opened", "updated", "acknowledged", "resolved", "closed", "held"]),
    key=texts,
    alert=texts,
    kind=st.sampled_from(["security", "kpi", "service", "model"]),
    severity=st.sampled_from(["informational", "low", "medium", "high", "critical"]),
    entity=texts,
    title=texts,
    why=texts,
    labels=st.dictionaries(
        st.sampled_from(["rule", "rule_id", "actor", "store", "dim", "client_ip", "device"]),
        texts.filter(bool) | st.ip_addresses().map(str),
    ),
    started_ms=st.integers(0, 2**41),
    opened_ms=st.integers(0, 2**41),
    at_ms=st.integers(0, 2**41),
    count=st.integers(1, 10**9),
    by=texts,
    reason=texts,
    tags=st.lists(st.sampled_from(TAGS)),
    evidence=st.lists(texts),
    figures=st.dictionaries(st.sampled_from(["observed", "threshold"]), st.floats(allow_nan=False)),
)


def test_there_is_a_notice_of_every_action() -> None:
    assert {n.action for n in NOTICES} == {"opened", "updated", "acknowledged", "resolved", "closed", "held"}


@given(odd)
def test_a_detection_finding_is_as_the_schema_of_ocsf_wants_it(notice: Notice) -> None:
    assert [error.message for error in OCSF.iter_errors(detection_finding(notice, "id"))] == []


@pytest.mark.parametrize("notice", NOTICES, ids=lambda n: f"{n.action} {n.kind}")
def test_the_life_of_a_finding_is_create_update_close_under_one_uid(notice: Notice) -> None:
    found = detection_finding(notice, "id")
    activity = {"opened": 1, "updated": 2, "acknowledged": 2, "resolved": 3, "closed": 3, "held": 99}[notice.action]
    assert (found["activity_id"], found["type_uid"]) == (activity, 200400 + activity)
    assert found["finding_info"]["uid"] == notice.key
    assert not list(OCSF.iter_errors(found))


def test_the_schema_that_findings_are_held_to_refuses_what_is_wrong() -> None:
    found = detection_finding(NOTICES[0], "id")
    for wrong in (
        {**found, "severity_id": 42},
        {**found, "unheard_of": 1},
        {**found, "evidences": [{"verdict": "x"}]},
        {**found, "finding_info": {"title": "no uid"}},
        {name: value for name, value in found.items() if name != "metadata"},
    ):
        assert list(OCSF.iter_errors(wrong))


def test_attack_evidence_confidence_and_observables_stand_in_a_finding() -> None:
    found = detection_finding(NOTICES[0], "id")
    attacks = found["finding_info"]["attacks"]
    assert {"technique": {"uid": "T1213"}, "sub_technique": {"uid": "T1213.004"}} in attacks
    assert {"tactic": {"uid": "TA0010", "name": "Exfiltration"}} in attacks
    assert found["evidences"][0]["data"]["events"] == ["e1", "e2"]
    assert found["evidences"][0]["actor"] == {"user": {"name": "anna"}}
    assert found["observables"][0] == {
        "name": "evidences.actor.user.name",
        "type_id": 4,
        "type": "User Name",
        "value": "anna",
    }
    of_kpi = next(detection_finding(n, "id") for n in NOTICES if n.kind == "kpi")
    assert (found["confidence"], of_kpi["confidence"]) == ("High", "Medium")


def test_a_finding_says_from_which_address_and_device_in_the_fields_of_each_format() -> None:
    notice = replace(NOTICES[0], labels={**NOTICES[0].labels, "client_ip": "10.20.4.7", "device": "pc-7"})
    found = detection_finding(notice, "id")
    assert found["evidences"][0]["src_endpoint"] == {"ip": "10.20.4.7", "name": "pc-7"}
    assert {"name": "evidences.src_endpoint.ip", "type_id": 2, "type": "IP Address", "value": "10.20.4.7"} in found[
        "observables"
    ]
    assert not list(OCSF.iter_errors(found))
    ecs = ecs_event(notice, "id")
    assert (ecs["source"], ecs["device"]) == ({"address": "10.20.4.7", "ip": "10.20.4.7"}, {"id": "pc-7"})
    assert ecs["related"] == {"user": ["anna"], "ip": ["10.20.4.7"]}
    pairs = read_cef(cef_line(notice, "id"))[1]
    assert (pairs["src"], pairs["shost"]) == ("10.20.4.7", "pc-7")
    assert "\tsrc=10.20.4.7\tidentHostName=pc-7\t" in leef_line(notice, "id")


def test_an_address_of_sixteen_bytes_has_its_own_field_in_cef_and_the_name_of_a_host_none() -> None:
    labels = NOTICES[0].labels
    long = read_cef(cef_line(replace(NOTICES[0], labels={**labels, "client_ip": "2001:db8::7"}), "id"))[1]
    assert (long["c6a2"], long["c6a2Label"], "src" in long) == ("2001:db8::7", "Source IPv6 Address", False)
    named = replace(NOTICES[0], labels={**labels, "client_ip": "office-7"})
    assert "src" not in read_cef(cef_line(named, "id"))[1]
    assert "src_endpoint" not in detection_finding(named, "id")["evidences"][0]
    assert ecs_event(named, "id")["source"] == {"address": "office-7"}


def test_an_address_of_four_bytes_is_told_as_one_though_it_came_over_a_socket_of_sixteen() -> None:
    notice = replace(NOTICES[0], labels={**NOTICES[0].labels, "client_ip": "::ffff:10.20.4.7"})
    assert detection_finding(notice, "id")["evidences"][0]["src_endpoint"]["ip"] == "10.20.4.7"
    assert ecs_event(notice, "id")["source"] == {"address": "::ffff:10.20.4.7", "ip": "10.20.4.7"}
    pairs = read_cef(cef_line(notice, "id"))[1]
    assert (pairs["src"], "c6a2" in pairs) == ("10.20.4.7", False)
    assert "\tsrc=10.20.4.7\t" in leef_line(notice, "id")


@pytest.mark.parametrize("sign", ["\x7f", "\x80", "\x85", "\x9b", "\x9d", "\x9f"])
def test_no_control_sign_gets_into_a_line(sign: str) -> None:
    notice = replace(NOTICES[0], title=f"a{sign}b", why=f"a{sign}b")
    assert sign not in cef_line(notice, "id") + leef_line(notice, "id")


def test_tags_that_are_not_of_attack_leave_no_label_without_its_value() -> None:
    assert "flexString1" not in cef_line(replace(NOTICES[0], tags=["cve.2024-1"]), "id")
    assert "flexString1Label=Attack flexString1=T1" in cef_line(NOTICES[0], "id")


def test_tags_of_attack_are_told_apart() -> None:
    attack = read_attack(TAGS)
    assert (attack.techniques, attack.parts) == (["T1567"], ["T1213.004"])
    assert [uid for uid, _ in attack.tactics] == ["TA0010", "TA0005"]


def read_cef(line: str) -> tuple[list[str], dict[str, str]]:
    """Written from the text of the standard: seven fields with | between, then key=value with blanks between."""
    assert "\n" not in line
    fields, rest = [""], line
    while len(fields) < 8:
        if rest[0] == "\\":
            assert rest[1] in "\\|"
            fields[-1], rest = fields[-1] + rest[1], rest[2:]
        elif rest[0] == "|":
            fields, rest = [*fields, ""], rest[1:]
        else:
            fields[-1], rest = fields[-1] + rest[0], rest[1:]
    pairs = re.findall(r"(\w+)=((?:\\[\\=nr]|[^\\=])*)(?= \w+=|$)", rest)
    plain = {r"\\": "\\", r"\=": "=", r"\n": "\n", r"\r": "\r"}
    return fields[:7], {key: re.sub(r"\\[\\=nr]", lambda m: plain[m[0]], value) for key, value in pairs}


def shown(text: str) -> str:
    """What CEF keeps of a text: line ends as one, no other controls."""
    kept = text.replace("\r\n", "\n")
    return re.sub("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]", " ", kept)


@given(odd)
def test_a_cef_line_is_read_back_as_it_was_whatever_stands_in_it(notice: Notice) -> None:
    head, pairs = read_cef(cef_line(notice, "id-1"))
    assert head[:4] == ["CEF:0", "Brewline", "Brewline", "1"]
    assert head[5] == re.sub("[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", notice.title)
    assert (pairs["externalId"], pairs["act"]) == ("id-1", notice.action)
    assert pairs.get("msg", "") == shown(notice.why)
    assert pairs.get("suser", "") == shown(notice.labels.get("actor", ""))
    assert 0 <= int(head[6]) <= 10


@given(odd)
def test_a_leef_line_has_its_five_heads_and_attributes_that_nothing_divides(notice: Notice) -> None:
    line = leef_line(notice, "id-1")
    version, vendor, product, _, _, delimiter, rest = line.split("|", 6)
    assert (version, vendor, product, delimiter) == ("LEEF:2.0", "Brewline", "Brewline", "x09")
    pairs = dict(pair.split("=", 1) for pair in rest.split("\t"))
    assert (pairs["id"], pairs["devTime"]) == ("id-1", str(notice.at_ms))
    assert pairs.get("msg", "") == re.sub("[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", notice.why)
    assert len(line.splitlines()) == 1


SYSLOG = re.compile(
    rb"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128})"
    rb' ([!-~]{1,32}) (\[origin software="brewline"\]) (\xef\xbb\xbf)?(.*)',
    re.DOTALL,
)


@given(odd, st.text(max_size=300))
def test_a_syslog_message_is_of_rfc_5424_and_its_frame_counts_bytes(notice: Notice, host: str) -> None:
    line = cef_line(notice, "id")
    message = syslog_message(notice.severity, notice.at_ms, host, notice.action, line)
    found = SYSLOG.fullmatch(message)
    assert found
    facility, severity = divmod(int(found[1]), 8)
    assert (facility, severity) == (13, {"critical": 2, "high": 3, "medium": 4, "low": 5}.get(notice.severity, 6))
    assert (found[8] is None, found[9].decode()) == (line.isascii(), line)
    length, blank, rest = framed(message).partition(b" ")
    assert (int(length), blank, rest) == (len(rest), b" ", message)


@given(odd)
def test_an_ecs_event_has_the_fields_that_elastic_needs(notice: Notice) -> None:
    event = json.loads(json.dumps(ecs_event(notice, "id-1")))
    assert event["event"]["kind"] in ("alert", "event")
    assert event["event"]["id"] == "id-1"
    assert event["ecs"]["version"].startswith("8.")
    assert set(event) - {"@timestamp", "ecs", "message", "event", "rule", "observer", "labels", "brewline"} <= {
        "user",
        "source",
        "device",
        "related",
        "threat",
        "tags",
    }
    actor = notice.labels.get("actor")
    assert event.get("user") == ({"name": actor} if actor else None)


def test_pagerduty_gets_trigger_acknowledge_and_resolve_under_one_key_and_no_sum() -> None:
    found: dict[str, list[str]] = {}
    for notice in NOTICES:
        event = pagerduty_event(notice, "R" * 32)
        if notice.action == "held":
            assert event is None
            continue
        assert event
        found.setdefault(event["dedup_key"], []).append(event["event_action"])
        if event["event_action"] == "trigger":
            payload = event["payload"]
            assert len(payload["summary"]) <= 1024
            assert payload["severity"] in ("critical", "error", "warning", "info")
            assert payload["source"]
    assert found[NOTICES[0].key] == ["trigger", "trigger", "acknowledge", "resolve"]


@given(odd, st.integers(0, 2**41))
def test_alertmanager_gets_no_empty_label_and_an_end_that_is_not_before_the_beginning(
    notice: Notice, until_ms: int
) -> None:
    alert = postable_alert(notice, until_ms)
    assert all(alert["labels"].values())
    assert all(re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name) for name in (*alert["labels"], *alert["annotations"]))
    assert alert["startsAt"] <= alert["endsAt"]


@pytest.mark.parametrize(
    ("value", "text"), [(12_345_678.0, "12345678"), (0.1234567891, "0.1234567891"), (1e-9, "1e-09"), (1e300, "1e+300")]
)
def test_a_figure_is_written_as_it_is(value: float, text: str) -> None:
    assert figure_text(value) == text
    notice = NOTICES[0]
    shown = replace(notice, figures={"observed": value, "due_ms": float(NOON_MS)})
    assert postable_alert(shown, NOON_MS)["annotations"]["observed"] == text
    assert postable_alert(shown, NOON_MS)["annotations"]["due"] == "2026-05-03T12:00:00.000Z"
    assert f"cfp1={text} " in cef_line(shown, "id")
    assert f"deviceCustomDate1Label=due_ms deviceCustomDate1={NOON_MS}" in cef_line(shown, "id")
    assert leef_line(shown, "id").endswith(f"observed={text}\tdue=2026-05-03T12:00:00.000Z")


@given(st.floats())
def test_a_figure_is_read_as_the_number_that_it_was(value: float) -> None:
    assert repr(float(figure_text(value))) in (repr(value), repr(abs(value)))  # there is one zero


def test_alertmanager_is_told_of_one_alert_at_a_time_whatever_changes_but_its_title_and_severity() -> None:
    one = desk()
    one.take(kpi("a", severity="warning"), NOON_MS)
    one.take(kpi("b", severity="warning", dim="region:r", incident="store:s1-7", series="aov_cents"), NOON_MS)
    first, second = (postable_alerts(notice, NOON_MS, NOON_MS + 1) for notice in one.notices)
    one.clear()
    one.take(kpi("c", severity="critical", dim="region:r", incident="store:s1-7", series="aov_cents"), NOON_MS)
    [third] = [postable_alerts(notice, NOON_MS, NOON_MS + 1) for notice in one.notices]
    old, new = third
    assert (len(first), len(second)) == (1, 2)
    assert old["labels"] == second[1]["labels"] != new["labels"]
    assert (old["endsAt"] < new["endsAt"], new["labels"]["severity"]) == (True, "critical")
    assert {*new["labels"]} == {"alertname", "key", "kind", "severity"}
    assert new["annotations"]["dim"] == "region:r"


def test_each_body_leads_to_the_page_of_the_alert_on_the_board_if_people_can_reach_that() -> None:
    one, page = desk(), "https://board.example.com/alerts/region%3Ar%2F1-7"
    one.take(kpi("k", dim="region:r/1").shown_on("https://board.example.com/"), NOON_MS)
    one.take(kpi("l", dim="region:none").shown_on(""), NOON_MS)
    found, bare = one.notices
    pager = pagerduty_event(found, "R" * 32) or {}
    assert [link["href"] for link in pager["links"]] == [page]
    assert postable_alert(found, NOON_MS)["generatorURL"] == page
    assert detection_finding(found, "i")["finding_info"]["src_url"] == ecs_event(found, "i")["event"]["url"] == page
    assert "http" not in json.dumps([*everything(bare), postable_alert(bare, NOON_MS)])
    assert json.loads(notice_message("notices", found).value)["data"]["url"] == page


def everything(notice: Notice) -> list[Any]:
    pager = pagerduty_event(notice, "R" * 32)
    return [
        detection_finding(notice, "i"),
        ecs_event(notice, "i"),
        cef_line(notice, "i"),
        leef_line(notice, "i"),
        pager,
    ]


def test_what_a_finding_says_of_a_customer_reaches_no_receiver() -> None:
    """A field that is not known to be about staff, stores and numbers is not passed on."""
    one = desk()
    one.take(finding("f", object="customer:c-123", phone="+8613800138000", customers=["c-123"]), NOON_MS)
    [notice] = one.notices
    assert not [format for format in everything(notice) if re.search("c-123|138001380", json.dumps(format))]
