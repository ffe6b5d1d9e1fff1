"""Who is told of which alert, and what is kept back, asked of Alertmanager itself."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import yaml

from operators.servers import die_with_parent, free_port
from tests.flowprocess import until

CONFIG = Path(__file__).parents[2] / "config"
FILE = CONFIG / "alertmanager.yml"
RULES = yaml.safe_load((CONFIG / "alerts.rules.yml").read_text("utf-8"))
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule]
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
NOTIFIED = [  # alerts of the flow notify have a kind and no team
    ({"kind": "security", "severity": "critical"}, "security-now"),
    ({"kind": "security", "severity": "low"}, "security"),
    ({"kind": "kpi", "severity": "high"}, "marketing-now"),
    ({"kind": "service", "severity": "medium"}, "marketing"),
    ({"kind": "experiment", "severity": "medium"}, "marketing"),
    ({"kind": "model", "severity": "medium"}, "engineers"),
    ({"severity": "page"}, "engineers-now"),
    ({"severity": "none"}, "engineers"),
]


def amtool(*command: str) -> str:
    if not shutil.which("amtool"):
        pytest.skip("amtool is not on PATH")
    done = subprocess.run(["amtool", *command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def receiver(labels: dict[str, str]) -> str:
    return amtool("config", "routes", "test", f"--config.file={FILE}", *(f"{n}={v}" for n, v in labels.items()))


def test_amtool_agrees_and_every_receiver_is_reached() -> None:
    assert "SUCCESS" in amtool("check-config", str(FILE))
    config = yaml.safe_load(FILE.read_text("utf-8"))
    reached = {receiver(rule["labels"]) for rule in ALERTS} | {receiver(labels) for labels, _ in NOTIFIED}
    assert reached == {each["name"] for each in config["receivers"]}


@pytest.mark.parametrize("team", ["engineers", "marketing", "security"])
@pytest.mark.parametrize("severity", ["page", "ticket"])
def test_an_alert_reaches_its_own_team_and_a_page_at_once(team: str, severity: str) -> None:
    assert receiver({"team": team, "severity": severity}) == team + ("-now" if severity == "page" else "")


@pytest.mark.parametrize(("labels", "told"), NOTIFIED)
def test_alerts_of_the_shops_reach_those_who_mind_them(labels: dict[str, str], told: str) -> None:
    assert receiver(labels) == told


def test_only_alerts_that_exist_are_inhibited_or_inhibit() -> None:
    known = {rule["alert"] for rule in ALERTS}
    for rule in yaml.safe_load(FILE.read_text("utf-8"))["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            name, _, pattern = re.fullmatch(r'(\w+)(=|!=|=~)"(.*)"', matcher).groups()  # type: ignore[union-attr]
            if name == "alertname":
                assert {alert for alert in known if re.fullmatch(pattern, alert)}, matcher


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[str]:
    """The url of one that runs under the shipped file."""
    if ALERTMANAGER is None:
        pytest.skip("Alertmanager is not on PATH")
    port, folder = free_port(), tmp_path
    address = f"127.0.0.1:{port}"
    flags = [f"--web.listen-address={address}", "--cluster.listen-address=", f"--storage.path={folder}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [ALERTMANAGER, f"--config.file={FILE}", *flags], stdout=log, stderr=log, preexec_fn=die_with_parent()
        )
    try:
        until(lambda: answers(f"http://{address}/-/ready"), because=(folder / "log").read_text)
        yield f"http://{address}/api/v2/alerts"
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    with suppress(OSError), urlopen(url, timeout=2) as answer:
        return bool(answer.status == 200)
    return False


def kept_back(url: str, alerts: list[dict[str, str]], number: int) -> list[dict[str, str]]:
    """Of alerts that fire together, those that are inhibited, once so many are."""
    rules = {rule["alert"]: rule["labels"] for rule in ALERTS}
    body = json.dumps([{"labels": {**rules[alert["alertname"]], **alert}} for alert in alerts]).encode()
    urlopen(Request(url, body, {"Content-Type": "application/json"}), timeout=10).close()
    found: list[dict[str, str]] = []

    def told() -> bool:
        with urlopen(url, timeout=10) as answer:
            known = json.load(answer)
        inhibited = [each["labels"] for each in known if each["status"]["inhibitedBy"]]
        found[:] = [alert for alert in alerts if any(alert.items() <= labels.items() for labels in inhibited)]
        return len(known) == len(alerts) and len(found) >= number

    until(told, wait_s=20, because=lambda: str(found))
    return found


def alert(name: str, flow: str) -> dict[str, str]:
    return {"alertname": name, "flow": flow}


def test_a_flow_that_is_down_silences_what_follows_from_that_and_nothing_else(alertmanager: str) -> None:
    follows = [
        alert("FlowBehindFast", "kpis"),
        alert("PartitionStalled", "kpis-merge"),
        alert("KpiMinutesLate", "kpis"),
        alert("FlowStandsStill", "brake"),
        alert("FlowBehindSlowly", "customers"),
    ]
    stays = [alert("FlowDown", "kpis"), alert("FlowBehindFast", "customers"), alert("OutboxGrowing", "security")]
    assert kept_back(alertmanager, [*stays, *follows], len(follows)) == follows


def test_without_redis_nothing_else_is_told_but_what_is_down_and_what_waits_outside(alertmanager: str) -> None:
    follows = [alert("PartitionStalled", "customers"), alert("DecisionsLateFast", "kpis-judge")]
    stays = [alert("RedisAway", "customers"), alert("FlowDown", "learning"), alert("SinkAway", "notify")]
    assert kept_back(alertmanager, [*stays, *follows], len(follows)) == follows


def test_without_ingest_no_ticks_come_to_anybody(alertmanager: str) -> None:
    follows = [alert("FlowStandsStill", "customers"), alert("KpiMinutesLate", "kpis")]
    stays = [alert("FlowDown", "ingest"), alert("FlowBehindFast", "customers")]
    assert kept_back(alertmanager, [*stays, *follows], len(follows)) == follows
