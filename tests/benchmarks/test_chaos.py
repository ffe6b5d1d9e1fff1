"""The customers flow under a few faults does what its undisturbed twin does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from operators.servers import die_with_parent

ROOT = Path(__file__).parent.parent.parent
LIMIT_S = 560  # a busy machine takes its time: each fault starts processes or servers anew


@pytest.mark.servers
@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S + 40)
def test_customers_loses_nothing_and_does_nothing_twice_under_faults(workdir: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.chaos", "--faults", "4", "--events", "8000", "--customers", "400"]
    done = subprocess.run(
        [*command, "--json", str(workdir / "chaos.json"), "--folder", str(workdir / "run")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        preexec_fn=die_with_parent(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = orjson.loads((workdir / "chaos.json").read_bytes())
    assert figures["faults"] == 4
    assert [figures[name] for name in ("lost", "duplicated", "wrong_features", "stuck_partitions")] == [0, 0, 0, 0]
    assert figures["effects"]["coupons"] > 0
