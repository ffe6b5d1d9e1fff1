"""What every figure is printed with: machine, commit, Python and package versions."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

from brewline.paths import writing

ROOT = Path(__file__).parent.parent
STDOUT = Path("-")
PACKAGES = ("bytewax", "confluent-kafka", "msgspec", "numpy", "orjson", "polars", "redis", "river")


def circumstances() -> dict[str, Any]:
    return {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {_cpu()}",
        "commit": _commit(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def write_json(file: Path | None, figures: dict[str, Any]) -> None:
    """Figures and circumstances as one JSON object, to a file or to STDOUT; no file, nothing written."""
    if file is None:
        return
    told = orjson.dumps({**figures, **circumstances()}, option=orjson.OPT_INDENT_2)
    if file == STDOUT:
        print(told.decode(), flush=True)
        return
    with writing(file, "--json"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(told + b"\n")


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown CPU")


def _commit() -> str:
    run = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return run.stdout.strip() or "unknown"
