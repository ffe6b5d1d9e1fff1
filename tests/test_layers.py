"""The layers hold: imports point left only, the pure core stays pure, and flows stay short."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOW_LINES = 80
PURE = {"features", "alerts"}
IMPURE = {
    "bytewax", "confluent_kafka", "http", "prometheus_client", "random", "redis", "requests",
    "secrets", "socket", "structlog", "time", "urllib", "urllib3",
}  # fmt: skip
PURE_PARTS = {"urllib.parse"}  # of these: text in, text out
CLOCKS = {"datetime": {"now", "today", "utcnow"}, "date": {"today"}}
OURS = {"features", "alerts", "operators", "flows", "config", "sim", "brewline", "board", "benchmarks", "tests"}
MAY_IMPORT = {
    "features": set(),
    "alerts": {"features"},
    "operators": {"features", "alerts"},
    "flows": {"features", "alerts", "operators", "config"},
    "config": set(),
    "sim": {"features"},
    "brewline": OURS - {"tests"},
    "board": OURS - {"sim", "benchmarks", "tests"},
}


def broken_rules(source: str, package: str) -> Iterator[tuple[int, str]]:
    """Line and rule of everything in a module of `package` that its layer forbids."""
    for node in ast.walk(ast.parse(source)):
        for name in imported(node, package):
            if name in OURS - {package} - MAY_IMPORT[package]:
                allowed = ", ".join(sorted(MAY_IMPORT[package])) or "none of ours"
                yield node.lineno, f"{package} may not import {name} (only: {allowed})"
            elif package in PURE and name in IMPURE:
                yield node.lineno, f"{package} is pure and may not import {name}"
        if package in PURE and (call := clock_read(node)):
            yield node.lineno, f"{package} takes time as an argument and may not call {call}()"


def imported(node: ast.AST, package: str) -> list[str]:
    """The top-level packages an import statement names."""
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module not in PURE_PARTS:
        return [package if node.level else (node.module or "").partition(".")[0]]
    return []


def clock_read(node: ast.AST) -> str | None:
    """ "datetime.now" for a call of datetime.now or datetime.datetime.now."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return None
    owner = node.func.value
    name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
    return f"{name}.{node.func.attr}" if node.func.attr in CLOCKS.get(name, ()) else None


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_every_module_keeps_to_its_layer(package: str) -> None:
    broken = [
        f"{path.relative_to(ROOT)}:{line}: {rule}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for line, rule in broken_rules(path.read_text("utf-8"), package)
    ]
    assert not broken, "\n" + "\n".join(broken)


def test_every_flow_fits_on_a_screen() -> None:
    lengths = {path.name: len(path.read_text("utf-8").splitlines()) for path in (ROOT / "flows").glob("*.py")}
    assert not {name: lines for name, lines in lengths.items() if lines > FLOW_LINES}


@pytest.mark.parametrize(
    ("package", "source", "line", "rule"),
    [
        ("features", "import json\nfrom alerts.kpis import kpi", 2, "features may not import alerts"),
        ("alerts", "def f():\n    import redis.asyncio", 2, "alerts is pure and may not import redis"),
        ("operators", "from config.settings import load", 1, "operators may not import config"),
        ("flows", "import brewline.cli", 1, "flows may not import brewline"),
        ("sim", "import json, operators.kafka", 1, "sim may not import operators"),
        ("brewline", "from tests import tally", 1, "brewline may not import tests"),
        ("features", "x = datetime.now(UTC)", 1, "may not call datetime.now"),
        ("alerts", "x = datetime.date.today()", 1, "may not call date.today"),
    ],
)
def test_a_forbidden_import_is_named_with_its_line(package: str, source: str, line: int, rule: str) -> None:
    [(found_line, found_rule)] = broken_rules(source, package)
    assert found_line == line
    assert rule in found_rule


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("features", "import numpy\nfrom features import events\nfrom .times import DAY_MS"),
        ("alerts", "from features.job import Batch"),
        ("operators", "import time, redis\nfrom datetime import datetime\nx = datetime.now()"),
        ("flows", "from config import settings\nfrom operators import kafka"),
        ("features", "def f(clock):\n    return clock.now()"),
    ],
)
def test_an_allowed_import_breaks_no_rule(package: str, source: str) -> None:
    assert list(broken_rules(source, package)) == []
