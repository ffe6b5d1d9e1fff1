"""Every rule file stands with its timelines: the shipped ones come out as written, and no rule loads without."""

from __future__ import annotations

from pathlib import Path

import pytest
from sigma.collection import SigmaCollection

from alerts.security.rule_tests import WrongTest, failures, load_tested, read_tests

FOLDER = Path(__file__).parents[3] / "config" / "rules" / "security"
SHIPPED = [(path.name, path.read_text("utf-8")) for path in sorted(FOLDER.iterdir())]
RULE = """
title: Export
logsource: {product: brewline, service: audit}
detection: {a: {action: export}, condition: a}
"""
FIRING = '[[test]]\nname = "f"\nevents = [{ type = "audit_export", actor = "a", at = "+1h" }]\nfires_at = ["+1h"]\n'
QUIET = '[[test]]\nname = "q"\nevents = [{ type = "audit_access", action = "view", actor = "a" }]\n'


def test_every_shipped_rule_loads() -> None:
    rules, refused = load_tested(SHIPPED)
    assert refused == []
    files = {name for name, _ in SHIPPED if name.endswith(".yml")}
    assert {rule.file for rule in rules.heads} == files
    assert len(files) >= 6


def test_every_shipped_timeline_comes_out_as_written() -> None:
    assert failures(SHIPPED) == []


def test_every_shipped_rule_that_alerts_names_a_technique() -> None:
    rules, _ = load_tested(SHIPPED)
    alerting = [each.rule for each in rules.detections if each.alerts] + [each.rule for each in rules.correlations]
    assert all(any(tag.startswith("attack.t") for tag in rule.tags) for rule in alerting)


@pytest.mark.parametrize("name", [name for name, _ in SHIPPED if name.endswith(".yml")])
def test_shipped_files_are_plain_sigma_to_other_tools(name: str) -> None:
    rules = SigmaCollection.from_yaml(dict(SHIPPED)[name]).rules
    assert all(rule.errors == [] and rule.custom_attributes.keys() <= {"correlation"} for rule in rules)


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        (None, "has no tests: write export.test.toml beside it"),
        ("", "has no firing test: add a [[test]] to export.test.toml"),
        (QUIET, "has no firing test: add a [[test]] to export.test.toml"),
        (FIRING, "has no quiet test: add a [[test]] to export.test.toml"),
        ("[[test]", "export.test.toml: "),
        ('[[test]]\nname = "x"\nevent = []\n', "export.test.toml: Object contains unknown field `event`"),
    ],
)
def test_a_rule_without_its_tests_is_refused(tests: str | None, said: str) -> None:
    beside = [] if tests is None else [("rules/export.test.toml", tests)]
    rules, refused = load_tested([("rules/export.yml", RULE), *beside])
    assert not rules.heads
    ((file, _, reason),) = refused
    assert file == "rules/export.yml"
    assert said in reason


def test_a_wrong_expectation_is_told_with_both_times() -> None:
    tests = FIRING.replace('["+1h"]', '["+2h"]') + QUIET
    assert failures([("e.yml", RULE), ("e.test.toml", tests)]) == ["e.test.toml: test 'f': fired at +1h, expected +2h"]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ('{ type = "audit_export" }', "missing required field `actor`"),
        ('{ type = "audit_export", actor = "a", at = "1h" }', "expected a time from the start such as '+14d'"),
        ('{ type = "audit_export", actor = "a", every = "soon" }', "expected a duration"),
        ('{ type = "audit_export", actor = "a", repeat = "often" }', "Expected `int`, got `str`"),
        ('{ type = "audit_export", actor = "a", row = 5 }', "there is no field 'row'"),
    ],
)
def test_a_timeline_that_cannot_be_run_is_told_apart(event: str, said: str) -> None:
    tests = FIRING + QUIET + f'[[test]]\nname = "odd"\nevents = [{event}]\n'
    with pytest.raises(WrongTest) as wrong:
        failures([("e.yml", RULE), ("e.test.toml", tests)])
    assert str(wrong.value).startswith("e.test.toml: test 'odd': ")
    assert said in str(wrong.value)


def test_repeats_are_numbered() -> None:
    timeline = '[[test]]\nname = "r"\nevents = [{ type = "audit_access", action = "a{n}", actor = "a", repeat = 3 }]'
    assert len(read_tests(timeline, "f")[0].events) == 1
    rule = RULE.replace("action: export", "action: a2")
    tests = timeline + '\nfires_at = ["+2m"]\n' + QUIET
    assert failures([("e.yml", rule), ("e.test.toml", tests)]) == []


def test_a_rule_file_may_end_in_yaml() -> None:
    rules, refused = load_tested([("e.yaml", RULE), ("e.test.toml", FIRING + QUIET)])
    assert (len(rules.heads), refused) == (1, [])
    wrong = FIRING.replace('fires_at = ["+1h"]', 'fires_at = ["+2h"]')
    assert len(failures([("e.yaml", RULE), ("e.test.toml", wrong + QUIET)])) == 1
    _, refused = load_tested([("e.yaml", RULE)])
    assert "write e.test.toml beside it" in refused[0].reason
