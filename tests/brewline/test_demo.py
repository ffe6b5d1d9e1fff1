"""The demo, run as a person runs it: it ends well and its account balances to the unit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillWaiting
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import psutil
import pytest

from brewline.demo import Demo
from sim.chain import Record
from tests.flowprocess import until

PROCESSES_AT_LEAST = 4  # the demo, Redis and two for the flows


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_demo_accounts_for_every_event_and_leaves_nothing_running(tmp_path: Path) -> None:
    file = tmp_path / "demo.json"
    command = [sys.executable, "-m", "brewline", "demo", "--duration", "15"]
    demo = subprocess.Popen(
        [*command, "--json", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path), "COLUMNS": "160"},
    )
    with ThreadPoolExecutor() as pool:
        said = pool.submit(demo.communicate, timeout=170)
        seen: set[int] = set()
        while demo.poll() is None and len(seen) < PROCESSES_AT_LEAST:
            seen |= {process.pid for process in started_in(tmp_path)}
            time.sleep(0.2)
        stdout, _ = said.result()
    assert demo.returncode == 0, stdout
    figures = orjson.loads(file.read_bytes())
    fates = ("applied", "duplicates", "too_late", "dead_lettered")
    assert figures["events_in"] == sum(figures[name] for name in fates)
    assert figures["events_in"] > 5_000
    assert figures["all_out"], "all clocks at the end, and nothing on its way"
    assert figures["duplicates"] > 0
    assert figures["coupons"] == sum(figures["coupons_by_rule"].values()) > 0
    ways = figures["redemptions"]  # a machine that is slow redeems nothing in so short a time
    assert ways.get("redeemed", 0) <= ways.get("opened", 0) <= figures["coupons"]
    assert figures["security_alerts"] > 0
    assert figures["latency_p50_ms"] > 0
    assert "mock cluster" in figures["kafka"]
    for name in ("coupon", "kpi", "alert", "the account"):
        assert name in stdout
    assert len(seen) >= PROCESSES_AT_LEAST, "what the demo starts is found by its folder"
    assert started_in(tmp_path) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_demo_that_is_killed_leaves_nothing_running(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "brewline", "demo", "--duration", "60"]
    demo = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "TMPDIR": str(tmp_path)})
    try:
        until(lambda: len(started_in(tmp_path)) >= PROCESSES_AT_LEAST)
        demo.send_signal(number)
        assert demo.wait(60) == (-number if number == signal.SIGKILL else 128 + number)
        until(lambda: started_in(tmp_path) == [])
    finally:
        demo.kill()


def started_in(folder: Path) -> list[psutil.Process]:
    """The processes that live in a folder or hold their temporary files there; Redis hides its environment."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("TMPDIR") == str(folder) or process.cwd().startswith(str(folder)):
                found.append(process)
    return found


def test_the_chain_waits_for_flows_that_are_a_day_behind() -> None:
    demo, stop = Demo.__new__(Demo), threading.Event()
    life: Any = SimpleNamespace(records=lambda: iter([record(1), record(9)]), end_ms=9)
    demo.chain, demo.speed, demo.may_ms = life, 7200.0, 5
    records = demo._records(stop)
    assert next(records).at_ms == 1
    with ThreadPoolExecutor() as pool:
        ahead = pool.submit(next, records)
        with pytest.raises(StillWaiting):
            ahead.result(0.3)
        demo.may_ms = 9
        assert ahead.result(5).at_ms == 9


def record(at_ms: int) -> Record:
    return Record(at_ms, "pos.events", "k", b"{}")
