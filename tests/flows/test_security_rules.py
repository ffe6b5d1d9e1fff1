"""The folder of security rules as the flow loads it: what a file holds stops neither the flow nor others' rules."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from config import settings as conf
from config.settings import Settings
from flows.guards import load_security_rules, security_texts

LOG = "logsource: {{product: brewline, service: audit}}\n"
RULE = "title: {0}\n" + LOG + "detection: {{s: {{action: export}}, condition: {1}}}\n"
TESTS = """
[[test]]
name = "f"
events = [{ type = "audit_export", actor = "a", at = "+1h" }]
fires_at = ["+1h"]
[[test]]
name = "q"
events = []
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.yaml").write_text(RULE.format("Good", "s"))
    for name in ("good", "bad"):
        (tmp_path / f"{name}.test.toml").write_text(TESTS)
    return tmp_path


def loaded(folder: Path) -> tuple[list[str], list[str]]:
    settings: Settings = replace(conf.load(environ={}), security=conf.Security(rules=str(folder)))
    with capture_logs() as told:
        rules = load_security_rules(security_texts(settings))
    return [rule.title for rule in rules.heads], [f"{Path(one['file']).name}: {one['reason']}" for one in told]


def test_a_file_may_end_in_yaml(folder: Path) -> None:
    assert loaded(folder) == (["Good"], [])


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (RULE.format("Bad", 5).encode(), "bad.yml: detection.condition: found 5, expected a text"),
        (RULE.format("Bäd", "s").encode("latin-1"), "bad.yml: is no UTF-8: line 1 has the byte 0xe4"),
        (b"name: p\npriority: x\ntransformations: []\n", "bad.yml: priority: found 'x', expected a whole number"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_and_the_others_run(folder: Path, held: bytes, said: str) -> None:
    (folder / "bad.yml").write_bytes(held)
    titles, told = loaded(folder)
    assert titles == ["Good"]
    assert [line[: len(said)] for line in told] == [said]


def test_tests_that_are_no_utf_8_are_told_with_their_rule(folder: Path) -> None:
    (folder / "bad.yml").write_text(RULE.format("Bad", "s"))
    (folder / "bad.test.toml").write_bytes(TESTS.replace('"q"', '"ä"').encode("latin-1"))
    titles, told = loaded(folder)
    assert titles == ["Good"]
    assert "bad.test.toml: is no UTF-8: line 7" in told[0]
