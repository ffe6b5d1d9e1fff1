"""Checks and tests folders of Sigma rules, whoever wrote them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import yaml
from msgspec import Struct
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from alerts.security import rule_tests
from alerts.security.rule_tests import Timeline, lack, read_tests
from alerts.security.sigma import PRODUCT, load_any
from alerts.sigma.engine import Engine
from alerts.sigma.logsource import LogSource
from alerts.sigma.reading import RefusedRule, Rules, StoppedRule
from alerts.sigma.timelines import firings, windows_event
from features.times import parse_offset, spell_offsets
from flows.guards import rule_texts, timeline_texts

VALUE = re.compile(r"'[^']*'|\"[^\"]*\"|%[^%\s]+%")  # what differs between refusals of one kind
SHOWN = 50  # refused rules that are listed


class Tested(Struct):
    """How many tests of which rules were run, and one line for each that failed."""

    rules: int = 0
    tests: int = 0
    failed: list[str] = []


def check(folder: Path, as_json: bool, out: Console) -> int:
    """Prints what loads and what runs; the exit code, 1 when a rule is refused."""
    rules, refused = load_any(rule_texts(folder))
    figures = figures_of(rules, refused)
    if as_json:
        out.print_json(orjson.dumps(figures).decode())
        return 1 if refused else 0
    table = Table("log source", "rules")
    sources = Counter(str(detection.source) for detection in rules.detections)
    for source, count in sources.most_common():
        table.add_row(escape(source), str(count))
    if rules.correlations:
        table.add_row("correlations", str(len(rules.correlations)))
    out.print(table)
    for each in refused[:SHOWN]:
        out.print(f"[red]refused: {escape(each.line)}[/]", soft_wrap=True)
    if len(refused) > SHOWN:
        out.print(f"... and {len(refused) - SHOWN} more; --json names them all")
    out.print(
        f"rules: {figures['rules']}, loaded: {figures['loaded']}, runnable: {figures['runnable']}", highlight=False
    )
    return 1 if refused else 0


def figures_of(rules: Rules, refused: list[RefusedRule]) -> dict[str, Any]:
    reasons = Counter(VALUE.sub("...", each.reason) for each in refused)
    runnable = len(rules.heads)
    return {
        "rules": runnable + len(refused),
        "loaded": runnable + sum(isinstance(each, StoppedRule) for each in refused),
        "runnable": runnable,
        "refused": dict(reasons.most_common()),
        "refusals": [each._asdict() for each in refused],
    }


def test(folder: Path, as_json: bool, out: Console) -> int:
    """Runs the timelines beside rules, and the cases that rules name; the exit code, 1 when one fails or a rule is
    refused."""
    found = rule_texts(folder)
    rules, refused = load_any(found)
    beside = timeline_texts(folder)
    tested, sources = Tested(), sources_of(rules)
    foreign = {file: source for file, source in sources.items() if source.product != PRODUCT}
    whole = dict([*found, *beside])
    tested.failed += [f"{file}: {said}" for file in sources if file not in foreign and (said := lack(file, whole))]
    run = {rule_tests.test_file(file) for file in sources}
    tested.failed += [f"{file}: not run: no rule beside it is loaded" for file, _ in beside if file not in run]
    _test_ours([pair for pair in found if pair[0] not in foreign], beside, {*sources} - {*foreign}, tested)
    _test_foreign(rules, dict(beside), foreign, tested)
    _test_cases(rules, dict(found), folder, tested)
    figures = {"rules": len(rules.heads), "tested": tested.rules, "tests": tested.tests, "failed": len(tested.failed)}
    if as_json:
        out.print_json(orjson.dumps(figures).decode())
    else:
        for line in tested.failed:
            out.print(f"[red]{escape(line)}[/]", soft_wrap=True)
        out.print(", ".join(f"{name}: {number}" for name, number in figures.items()), highlight=False)
        if refused:
            out.print(f"{len(refused)} rules are refused; `brewline sigma check` names them")
    return 1 if tested.failed or refused else 0


def sources_of(rules: Rules) -> dict[str, LogSource]:
    """By file the log source of its first rule; of a correlation, that of what it counts."""
    found: dict[str, LogSource] = {}
    for detection in rules.detections:
        found.setdefault(detection.rule.file, detection.source)
    counted: list[LogSource] = []
    for rule in rules.correlations:  # those that it counts come before it
        part = rule.parts[0]
        counted.append(counted[part.place] if part.chained else rules.detections[part.place].source)
        found.setdefault(rule.rule.file, counted[-1])
    return found


def _test_ours(ours: list[tuple[str, str]], beside: list[tuple[str, str]], loaded: set[str], tested: Tested) -> None:
    """Rules about audit events, by the job that runs live."""
    mine = {rule_tests.test_file(file) for file in loaded}
    kept = [pair for pair in beside if pair[0] in mine]
    tested.failed += rule_tests.failures([*ours, *kept])
    tested.rules += len(kept)
    tested.tests += sum(len(read_tests(text, file)) for file, text in kept)


def _test_foreign(rules: Rules, beside: dict[str, str], foreign: dict[str, LogSource], tested: Tested) -> None:
    for file, source in sorted(foreign.items()):
        name = rule_tests.test_file(file)
        if name not in beside:
            continue
        ids = {rule.id for rule in rules.heads if rule.file == file}
        tested.rules += 1
        for timeline in read_tests(beside[name], name):
            tested.tests += 1
            tested.failed += _failure(rules, ids, timeline, source, name)


def _failure(rules: Rules, ids: set[str], timeline: Timeline, source: LogSource, file: str) -> list[str]:
    try:
        fired = sorted(firings(rules, ids, timeline.events, source))
        wanted = sorted(parse_offset(at) for at in timeline.fires_at)
    except (ValueError, TypeError) as error:
        return [f"{file}: test {timeline.name!r}: {error}"]
    if fired == wanted:
        return []
    return [f"{file}: test {timeline.name!r}: fired at {spell_offsets(fired)}, expected {spell_offsets(wanted)}"]


def _test_cases(rules: Rules, texts: dict[str, str], folder: Path, tested: Tested) -> None:
    """The published cases of rules that name some by `regression_tests_path`: recorded events that each must meet."""
    engine = Engine(rules)
    for place, detection in enumerate(rules.detections):
        match = re.search(r"^regression_tests_path:\s*(\S+)", texts[detection.rule.file], re.MULTILINE)
        if match is None:
            continue
        tested.rules += 1
        for number, events in enumerate(_cases(folder, match[1])):
            tested.tests += 1
            met = engine.match(detection.source, [windows_event(event) for event in events])
            if not any(place in found for found in met):
                tested.failed.append(f"{detection.rule.file}: case {number} of {match[1]}: no event meets the rule")


def _cases(folder: Path, named: str) -> Iterator[list[dict[str, Any]]]:
    """The events of each case, as JSON beside the recording."""
    roots = [root for root in (folder.resolve(), *folder.resolve().parents) if (root / named).is_file()]
    if not roots:
        raise ValueError(f"{named}: is not there; it was looked for in {folder} and the folders above")
    about = yaml.safe_load((roots[0] / named).read_text(encoding="utf-8"))
    for case in about.get("regression_tests_info") or []:
        recorded = (roots[0] / case["path"]).with_suffix(".json")
        yield list(_objects(recorded.read_text(encoding="utf-8-sig"))) if recorded.is_file() else []


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """JSON objects one after the other, or lists of them."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        yield from value if isinstance(value, list) else [value]
        while at < len(text) and text[at] in " \r\n\t,":
            at += 1
