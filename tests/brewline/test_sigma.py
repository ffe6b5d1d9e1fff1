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


def test_every_refused_rule_is_named_in_json_however_many_there_are(tmp_path: Path) -> None:
    for n in range(sigma.SHOWN + 9):
        (tmp_path / f"r{n}.yml").write_text(f"title: T{n}\nlogsource: {{product: odd}}\ndetection: 5\n")
    _, figures = ran("check", tmp_path)
    refusals: list[dict[str, str]] = figures["refusals"]  # type: ignore[assignment]
    assert {Path(each["file"]).stem: each["title"] for each in refusals} == {
        f"r{n}": f"T{n}" for n in range(sigma.SHOWN + 9)
    }
    assert all(each["reason"].startswith("detection: found 5, expected") for each in refusals)


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


SHELL, QUIET_HOST = RULE.split("---\n")


def test_tests_beside_a_correlation_in_a_file_of_its_own_are_run(tmp_path: Path) -> None:
    (tmp_path / "shell.yml").write_text(SHELL)
    (tmp_path / "host.yml").write_text(QUIET_HOST)
    (tmp_path / "host.test.toml").write_text(TESTS)
    assert ran("test", tmp_path) == (0, {"rules": 2, "tested": 1, "tests": 2, "failed": 0})
    (tmp_path / "host.test.toml").write_text(TESTS.replace("+10h 1m", "+99h"))
    assert ran("test", tmp_path) == (1, {"rules": 2, "tested": 1, "tests": 2, "failed": 1})


def test_a_file_of_tests_beside_no_rule_that_is_loaded_fails(tmp_path: Path) -> None:
    (tmp_path / "shell.yaml").write_text(SHELL)
    (tmp_path / "shel.test.toml").write_text(TESTS)
    assert ran("test", tmp_path) == (1, {"rules": 1, "tested": 0, "tests": 0, "failed": 1})


def test_a_file_that_is_no_utf_8_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "good.yml").write_text(SHELL)
    (tmp_path / "old.yaml").write_bytes(SHELL.replace("Shell", "Schäl").encode("latin-1"))
    out = Console(record=True, width=200)
    with out.capture() as captured:
        assert sigma.check(tmp_path, False, out) == 1
    assert "old.yaml: is no UTF-8: line 2 has the byte 0xe4; save it as UTF-8" in captured.get()
    assert "runnable: 1" in captured.get()
