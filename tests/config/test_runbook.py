"""docs/runbook.md has a section for each alert, and names only what there is."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from typer.exceptions import TyperException

from config.settings import Settings
from tests.commandline import COMMAND

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/runbook.md").read_text("utf-8")
HEAD, *REST = re.split(r"(?m)^## ", TEXT)
SECTIONS = {section.partition("\n")[0]: section.partition("\n")[2] for section in REST}
RULES = yaml.safe_load((ROOT / "config/alerts.rules.yml").read_text("utf-8"))
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule
}
PARTS = ["What it means.", "How to see it.", "What to do.", "When to wake someone."]
TOOLS = {"brewline", "curl", "docker", "redis-cli", "py-spy"}
ENDS = {"curl": ["-s"], "docker": ["compose"]}
COMMANDS = [
    (where, command)
    for where, text in [
        ("the head", HEAD),
        *SECTIONS.items(),
        *((f"action of {name}", rule["annotations"]["action"]) for name, rule in ALERTS.items()),
    ]
    for command in re.findall(r"`([^`]+)`", text)
    if " " in command and command.split()[0] in TOOLS
]


def test_each_alert_has_a_section_and_each_section_an_alert() -> None:
    assert list(SECTIONS) == list(ALERTS)


@pytest.mark.parametrize("name", ALERTS)
def test_a_section_says_how_bad_it_is_for_whom_and_answers_four_questions(name: str) -> None:
    labels = ALERTS[name]["labels"]
    assert SECTIONS[name].startswith(f"\n`{labels['severity']}`, team `{labels['team']}`\n")
    parts = re.split(r"(?m)^- \*\*(.*?)\*\* ", SECTIONS[name])
    assert parts[1::2] == PARTS
    assert all(len(said.split()) >= 2 for said in parts[2::2])


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_links_to_its_section(name: str) -> None:
    assert ALERTS[name]["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"


def test_every_alert_has_a_timeline_in_which_it_fires() -> None:
    timelines = yaml.safe_load((Path(__file__).parent / "alerts.tests.yml").read_text("utf-8"))["tests"]
    asked = [case for timeline in timelines for case in timeline.get("promql_expr_test", [])]
    fired = {
        name
        for case in asked
        if case["exp_samples"]
        for name in re.findall(r'alertname="(\w+)"', json.dumps(case).replace("\\", ""))
    }
    fired |= {
        case["alertname"]
        for timeline in timelines
        for case in timeline.get("alert_rule_test", [])
        if case.get("exp_alerts")
    }
    assert fired == ALERTS.keys()


@pytest.mark.parametrize(("where", "command"), COMMANDS, ids=[f"{where}: {command}" for where, command in COMMANDS])
def test_a_command_that_is_shown_can_be_given(where: str, command: str) -> None:
    tool, *words = shlex.split(re.sub(r"\{\{.*?\}\}", "X", command))
    assert words[:1] == ENDS.get(tool, words[:1])
    if tool == "brewline":
        parse(words)
    elif tool == "curl":
        assert re.fullmatch(r"http://127\.0\.0\.1:(\d+)/healthz", words[-1])
        assert int(words[-1].split(":")[2].split("/")[0]) in ports().values()
    elif tool == "docker":
        services = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
        assert words[1] in ("ps", "logs")
        assert words[1] == "ps" or words[-1] in services


def parse(words: list[str]) -> None:
    """Down to the command, with every option and as many arguments as it takes."""
    command = COMMAND
    while words and (under := getattr(command, "commands", None)):
        name, *words = words
        assert name in under, name
        command = under[name]
    if not hasattr(command, "commands"):
        command.make_context("brewline", words)


def ports() -> dict[str, int]:
    told = msgspec.to_builtins(Settings().metrics)
    return {name: port for name, port in told.items() if isinstance(port, int) and port > 1024}


def test_a_command_that_does_not_exist_would_be_noticed() -> None:
    with pytest.raises(AssertionError):
        parse(["dead-letters", "burn"])
    with pytest.raises(TyperException, match="--colour"):
        parse(["dead-letters", "list", "--colour", "red"])
    with pytest.raises(TyperException, match="model"):
        parse(["models", "rollback"])


def test_every_panel_that_is_named_is_on_the_board() -> None:
    board = json.loads((ROOT / "config/grafana/dashboards/engine.json").read_text("utf-8"))
    titles = {board["title"], *(panel["title"] for panel in board["panels"])}
    named = set(re.findall(r"(?<!\*)\*([^*\n]+)\*(?!\*)", TEXT.replace("\n  ", " ")))
    rows = {panel["title"] for panel in board["panels"] if panel["type"] == "row"}
    assert len(named) > 15
    assert {name for name in named if name.replace("Brewline: engine", board["title"]) not in titles} == set()
    assert named.isdisjoint(rows)


def test_settings_and_ports_that_are_named_exist() -> None:
    told = msgspec.to_builtins(Settings())
    for section, key in re.findall(r"`\[(\w+)\] (\w+)", TEXT):
        assert key in told[section], f"[{section}] {key}"
    said = {name: int(port) for name, port in re.findall(r"(\w+) (91\d\d)", HEAD)}
    assert said == ports()
