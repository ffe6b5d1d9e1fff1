"""`brewline sigma` says of any folder what runs, what does not and why, and runs the tests beside its rules."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from brewline import sigma

RULE = """
title: Shell from office
name: office_shell
logsource: {product: windows, category: process_creation}
detection:
  a: {ParentImage|endswith: '\\winword.exe', Image|endswith: '\\cmd.exe'}
  condition: a
---
title: Quiet host
correlation: {type: event_count, rules: [office_shell], group-by: [Computer], timespan: 1h, condition: {lt: 3}}
"""
TESTS = """
[[test]]
name = "twice in an hour is few"
events = [{ ParentImage = 'C:\\winword.exe', Image = 'C:\\cmd.exe', Computer = "pc", at = "+10h", repeat = 2 }]
fires_at = ["+10h 1m"]
[[test]]
name = "often"
events = [{ ParentImage = 'C:\\winword.exe', Image = 'C:\\cmd.exe', Computer = "pc", at = "+10h", repeat = 5 }]
"""
CASE = """
title: Loader
id: 8a2f4b1c-3d5e-4f7a-9b2c-1e4f6d8a9c2b
logsource: {product: windows, category: image_load}
regression_tests_path: cases/info.yml
detection: {a: {ImageLoaded|endswith: '\\dbg.dll', EventID: 7}, condition: a}
"""


def ran(what: str, folder: Path) -> tuple[int, dict[str, object]]:
    out = Console(record=True, width=200)
    with out.capture() as captured:
        code = getattr(sigma, what)(folder, True, out)
    return code, json.loads(captured.get())


def test_refusals_are_counted_by_reason(tmp_path: Path) -> None:
    (tmp_path / "good.yml").write_text(RULE)
    for name in "ab":
        detection = f"detection: {{a: {{User|expand: '%{name}%'}}, condition: a}}"
        (tmp_path / f"{name}.yml").write_text(f"title: {name}\nlogsource: {{product: windows}}\n{detection}\n")
    (tmp_path / "broken.yaml").write_text("title: [")
    code, figures = ran("check", tmp_path)
    assert code == 1
    assert (figures["rules"], figures["loaded"], figures["runnable"]) == (5, 4, 2)
    assert sorted(figures["refused"].values()) == [1, 2]  # type: ignore[attr-defined]


def test_the_rules_that_are_shipped_run_and_pass_their_tests() -> None:
    folder = Path(__file__).parents[2] / "config/rules/security"
    code, figures = ran("check", folder)
    assert (code, figures["refused"]) == (0, {})
    code, figures = ran("test", folder)
    assert (code, figures["failed"]) == (0, 0)
    assert figures["tests"] >= 20  # type: ignore[operator]


def test_tests_beside_rules_of_others_are_run(tmp_path: Path) -> None:
    (tmp_path / "r.yml").write_text(RULE)
    (tmp_path / "r.test.toml").write_text(TESTS)
    assert ran("test", tmp_path) == (0, {"rules": 2, "tested": 1, "tests": 2, "failed": 0})
    (tmp_path / "r.test.toml").write_text(TESTS.replace("+10h 1m", "+10h"))
    assert ran("test", tmp_path) == (1, {"rules": 2, "tested": 1, "tests": 2, "failed": 1})


def test_recorded_cases_that_a_rule_names_must_meet_it(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "cases").mkdir()
    (tmp_path / "rules" / "r.yml").write_text(CASE)
    (tmp_path / "cases" / "info.yml").write_text("regression_tests_info: [{type: evtx, path: cases/one.evtx}]")
    event = {"System": {"EventID": 7}, "EventData": {"Image Loaded": "C:\\dbg.dll"}}
    (tmp_path / "cases" / "one.json").write_text(json.dumps({"Event": event}) + "\n" + json.dumps({"Event": {}}))
    assert ran("test", tmp_path / "rules") == (0, {"rules": 1, "tested": 1, "tests": 1, "failed": 0})
    (tmp_path / "cases" / "one.json").write_text(json.dumps({"Event": {**event, "EventData": {}}}))
    assert ran("test", tmp_path / "rules")[0] == 1


OURS = """
title: Export
logsource: {product: brewline, service: audit}
detection: {a: {action: export}, condition: a}
"""


def test_a_rule_over_audit_events_without_tests_fails_and_so_does_one_that_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.yml").write_text(OURS)
    assert ran("test", tmp_path) == (1, {"rules": 1, "tested": 0, "tests": 0, "failed": 1})
    events = 'events = [{ type = "audit_export", actor = "ann", at = "+10h" }]\nfires_at = ["+10h"]'
    (tmp_path / "r.test.toml").write_text(f'[[test]]\nname = "one"\n{events}\n[[test]]\nname = "none"\nevents = []\n')
    assert ran("test", tmp_path) == (0, {"rules": 1, "tested": 1, "tests": 2, "failed": 0})
    (tmp_path / "r.yml").write_text(f"{OURS}---{OURS.replace('action', 'acton')}")
    assert ran("test", tmp_path)[0] == 1
