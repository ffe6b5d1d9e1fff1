"""Alert rules and dashboards ask only for metrics and labels that exist, and leave no metric out."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from operators import health

CONFIG = Path(__file__).parents[2] / "config"
RULES = CONFIG / "alerts.rules.yml"
DASHBOARDS = sorted((CONFIG / "grafana/dashboards").glob("*.json"))
SUFFIXES = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}
FROM_ELSEWHERE = {"up": {"job", "instance"}, "process_start_time_seconds": {"job", "instance"}}
TEAMS = {"engineers", "marketing", "security"}
PROMQL = {
    *("and", "or", "unless", "by", "on", "bool", "sum", "min", "max", "count"),
    *("rate", "changes", "time", "label_join", "min_over_time", "avg_over_time", "histogram_quantile"),
}


def exported() -> dict[str, set[str]]:
    """Labels of every sample that a flow exports; Prometheus adds `flow` where a metric has none."""
    found = {name: labels | {"flow"} for name, labels in FROM_ELSEWHERE.items()}
    for metric in vars(health).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            for suffix in SUFFIXES[family.type]:
                buckets = {"le"} if suffix == "_bucket" else set()
                found[family.name + suffix] = {*metric._labelnames, "flow", *buckets}
    return found


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]


def panels(path: Path) -> list[dict[str, Any]]:
    """Without the rows that they stand in."""
    return [panel for panel in json.loads(path.read_text("utf-8"))["panels"] if panel["type"] != "row"]


def asked_by_rules() -> Iterator[tuple[str, str]]:
    """(name, PromQL)"""
    return ((rule.get("alert") or rule["record"], rule["expr"]) for rule in rules())


def asked_by_panels() -> Iterator[tuple[str, str]]:
    """(file and title, PromQL)"""
    for path in DASHBOARDS:
        for panel in panels(path):
            for target in panel["targets"]:
                yield f"{path.name}: {panel['title']}", target["expr"]


def names_and_labels(expression: str) -> tuple[set[str], set[str]]:
    """What a PromQL expression asks for: samples, and labels it matches or groups by."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    groupings = re.findall(r"\b(?:by|on) \(([^)]*)\)", bare)
    labels = {label.strip() for grouping in groupings for label in grouping.split(",")}
    labels |= set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", bare))
    for part in (r"\b(by|on) \([^)]*\)", r"\{[^}]*\}", r"\[[^\]]*\]", r"\b\d[\d.]*\b"):
        bare = re.sub(part, " ", bare)
    return set(re.findall(r"[a-z_][\w:]*", bare)) - PROMQL, labels


QUESTIONS = [*asked_by_rules(), *asked_by_panels()]


@pytest.mark.parametrize(("where", "expression"), QUESTIONS, ids=[where for where, _ in QUESTIONS])
def test_every_question_asks_for_metrics_and_labels_that_exist(where: str, expression: str) -> None:
    known = {**exported(), **{rule["record"]: {"flow"} for rule in rules() if "record" in rule}}
    names, labels = names_and_labels(expression)
    assert names
    assert names <= known.keys()
    assert labels <= set().union(*(known[name] for name in names))


def test_a_misspelt_metric_or_label_would_be_noticed() -> None:
    names, labels = names_and_labels('sum by (flow, topik) (rate(brewline_event_total{outcom!="read"}[5m])) > 9')
    assert (names, labels) == ({"brewline_event_total"}, {"flow", "topik", "outcom"})


def test_every_metric_is_on_the_engine_board() -> None:
    shown = {name for _, expression in asked_by_panels() for name in names_and_labels(expression)[0]}
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exported().keys() - FROM_ELSEWHERE.keys()}
    assert families == {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown - FROM_ELSEWHERE.keys()}


def test_every_alert_says_how_bad_it_is_what_it_is_and_what_to_do() -> None:
    alerts = [rule for rule in rules() if "alert" in rule]
    assert len({rule["alert"] for rule in alerts}) == len(alerts) >= 6
    for rule in alerts:
        assert rule["labels"]["severity"] in {"page", "ticket"}, rule["alert"]
        assert rule["labels"]["team"] in TEAMS, rule["alert"]
        assert rule["annotations"].keys() == {"summary", "action", "runbook"}, rule["alert"]
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s")), rule["alert"]


def test_the_promise_is_measured_at_a_bucket_that_exists() -> None:
    health.LATENCY.labels("customers")
    bounds = {sample.labels.get("le") for family in health.LATENCY.collect() for sample in family.samples}
    asked = {bound for _, expression in QUESTIONS for bound in re.findall(r'le="([^"]*)"', expression)}
    assert asked == {"1.0"}
    assert asked <= bounds


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_panels_are_complete_and_read_from_the_provisioned_source(path: Path) -> None:
    provisioned = yaml.safe_load((CONFIG / "grafana/provisioning/datasources/prometheus.yml").read_text("utf-8"))
    (source,) = provisioned["datasources"]
    found = panels(path)
    assert len({panel["id"] for panel in found}) == len(found)
    for panel in found:
        assert panel["datasource"] == {"type": source["type"], "uid": source["uid"]}, panel["title"]
        assert panel["title"], panel["id"]
        assert panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


@pytest.mark.parametrize(
    "command",
    [
        ["check", "config", str(CONFIG / "prometheus.yml")],
        ["check", "rules", str(RULES)],
        ["test", "rules", str(Path(__file__).parent / "alerts.tests.yml")],
    ],
    ids=" ".join,
)
def test_promtool_agrees(command: list[str]) -> None:
    promtool(*command)


def test_promtool_can_read_what_the_panels_ask(tmp_path: Path) -> None:
    """Panels as recording rules, with Grafana's variables filled in."""
    asked = (expression for _, expression in asked_by_panels())
    filled = [expression.replace("$__rate_interval", "1m").replace("$flow", ".*") for expression in asked]
    written = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(filled)]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": written}]}), "utf-8")
    promtool("check", "rules", str(path))


def promtool(*command: str) -> None:
    if not shutil.which("promtool"):
        pytest.skip("promtool is not on PATH")
    done = subprocess.run(["promtool", *command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
