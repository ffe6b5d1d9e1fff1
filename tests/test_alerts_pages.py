"""What docs/alerts.md and docs/security-alerts.md tell of settings, and show of what receivers got, is so."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import msgspec

from alerts.formats.alertmanager import postable_alert
from alerts.formats.cef import cef_line
from alerts.formats.leef import leef_line
from alerts.formats.ocsf import ACTIVITY, detection_finding
from alerts.notices.alert import MATCHED, read_alert
from alerts.notices.desk import Desk, State
from alerts.notices.sink import KINDS, Sinks, read_sinks, variable
from alerts.notices.standing import Action, notice_message
from features.messages import cloudevent

DOCS = Path(__file__).parent.parent / "docs"
ALERTS, SOC = ((DOCS / name).read_text("utf-8") for name in ("alerts.md", "security-alerts.md"))
NOON_MS = 1_777_824_000_000
BULK = {
    "rule": "bulk_export",
    "rule_id": "6f1d5b1e-6f0a-4a3e-9a52-0d7f1f2f7a11",
    "title": "Bulk export of customer data",
    "level": "high",
    "tags": ["attack.exfiltration", "attack.t1567"],
    "actor": "analyst-03",
    "store": "s17",
    "client_ip": "10.20.4.7",
    "device": "pc-31",
    "group": {"actor": "analyst-03"},
    "observed": 20_000.0,
    "threshold": 5_000.0,
    "why": "analyst-03 did export with rows 20000, the limit is 5000",
    "evidence": ["a-20931"],
    "started_ms": NOON_MS,
}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def rows(page: str, under: str) -> dict[str, str]:
    """Key → default, of the table that follows."""
    part = page.partition(under)[2].partition("\n\n|")[2].partition("\n\n")[0]
    return dict(re.findall(r"^\| `(\w+)`(?:, `\w+`)? \|([^|]*)\|", part, re.MULTILINE))


def default(value: Any) -> str:
    if value in ("", [], None):
        return "none"
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def test_the_files_shown_are_taken() -> None:
    (whole,) = blocks(ALERTS, "toml")
    assert read_sinks(whole, "f").sinks.keys() == {"on-call", "pager", "siem", "splunk", "own"}
    assert f"`{variable('pager')}`" in ALERTS
    assert len([read_sinks(part, "f") for part in blocks(SOC, "toml")]) == 3


def test_every_setting_is_told_with_its_default() -> None:
    told = {**rows(ALERTS, "with file, line, sink and key."), **rows(ALERTS, "Every sink:")}
    told |= rows(ALERTS, "Those of one kind:")
    for field in msgspec.structs.fields(Sinks):
        assert field.name == "sinks" or told[field.name].strip() == default(field.default), field.name
    for kind in KINDS.values():
        for field in msgspec.structs.fields(kind):
            if field.name in ("url", "address"):
                assert told[field.name].strip() == ""
            elif field.name == "format":
                assert f"`{field.default}`" in told["format"]
            elif field.name == "alerts":
                assert told["alerts"].strip() == "all"
            elif field.name != "key_file":  # it stands beside the certificate
                found = field.default if field.default is not msgspec.NODEFAULT else []
                assert told[field.name].strip() == default(found), (kind, field.name)
    assert {*KINDS} == {*re.findall(r"`(\w+)`", ALERTS.partition("| `kind` | | ")[2].partition(" |")[0])}


def test_every_action_and_every_label_that_matchers_may_name_is_told() -> None:
    told = re.findall(
        r"^\| `(\w+)` \|", ALERTS.partition("one of six actions")[2].partition("- **Ids")[0], re.MULTILINE
    )
    assert tuple(told) == get_args(Action) == tuple(ACTIVITY)
    named = ALERTS.partition("they name any of ")[2].partition(", with `*`")[0]
    assert set(re.findall(r"`(\w+)`", named)) == set(MATCHED)


def test_what_receivers_got_is_what_they_would_get_now() -> None:
    event = cloudevent("alerts", "analyst-03", "4f6c2a", "alert.security", "security", NOON_MS, "analyst-03", BULK)
    desk = Desk(Sinks().terms, State())
    desk.take(read_alert(event.value).shown_on("https://board.example.com"), NOON_MS + 412)
    [notice] = desk.notices
    id = json.loads(notice_message("notices", notice).value)["id"]
    assert blocks(SOC, "cef") == [cef_line(notice, id) + "\n"]
    assert blocks(SOC, "leef") == [leef_line(notice, id).replace("\t", "#011") + "\n"]
    ocsf, alertmanager = map(json.loads, blocks(SOC, "json"))
    assert ocsf == detection_finding(notice, id)
    [shown] = alertmanager
    sent = postable_alert(notice, NOON_MS)
    assert {key: shown[key] for key in ("labels", "annotations", "startsAt", "generatorURL")} == {
        key: sent[key] for key in ("labels", "annotations", "startsAt", "generatorURL")
    }
