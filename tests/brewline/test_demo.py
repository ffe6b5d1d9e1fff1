"""The demo, run as a person runs it: it ends well and its account balances to the unit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_demo_accounts_for_every_event_and_leaves_nothing_running(tmp_path: Path) -> None:
    file = tmp_path / "demo.json"
    command = [sys.executable, "-m", "brewline", "demo", "--duration", "15"]
    run = subprocess.run(
        [*command, "--json", str(file)],
        capture_output=True,
        text=True,
        timeout=170,
        env={**os.environ, "COLUMNS": "160"},
    )
    assert run.returncode == 0, run.stdout + run.stderr
    figures = orjson.loads(file.read_bytes())
    fates = ("applied", "duplicates", "too_late", "dead_lettered")
    assert figures["events_in"] == sum(figures[name] for name in fates)
    assert figures["events_in"] > 5_000
    assert figures["duplicates"] > 0
    assert figures["coupons"] == sum(figures["coupons_by_rule"].values()) > 0
    assert figures["security_alerts"] > 0
    assert figures["latency_p50_ms"] > 0
    assert "mock cluster" in figures["kafka"]
    for name in ("coupon", "kpi", "alert", "the account"):
        assert name in run.stdout
    left = subprocess.run(["pgrep", "-f", str(file)], capture_output=True, text=True, check=False)
    assert left.stdout == ""
