"""The processes of the customers flow as something keeps them running: one that ends is started again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from operators.servers import die_with_parent

COMMAND = [sys.executable, "-m", "bytewax.run", "flows.customers:flow"]
STOP_S = 30.0
ASKED = (0, -signal.SIGTERM, -signal.SIGKILL)  # exit codes of those that were told to end, or killed


class Flow:
    """One process, which reads the partitions of its share."""

    def __init__(self, share: str, log: Path) -> None:
        self.share = share
        self.log = log
        with log.open("wb") as out:
            env = {**os.environ, "BREWLINE_KAFKA__SHARE": share}
            self.process = subprocess.Popen(COMMAND, stdout=out, stderr=out, env=env, preexec_fn=die_with_parent())

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def last_word(self) -> str:
        """Why it ended: the reason in its last line, without the numbers, in which ends of one kind differ."""
        lines = self.log.read_text("utf-8", "replace").strip().splitlines() or ["silent"]
        try:
            told = orjson.loads(lines[-1])
        except orjson.JSONDecodeError:
            return re.sub(r"\d+", "N", lines[-1])[:80]
        return re.sub(r"\d+", "N", str(told.get("reason", told.get("event"))))[:80]


class Fleet:
    """Processes by share. `ends` counts those that ended unasked; `unfenced` are former ones that did not end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.flows: dict[str, Flow] = {}
        self.started = 0
        self.ends: Counter[str] = Counter()
        self.unfenced = 0

    def start(self, share: str) -> Flow | None:
        """A process for this share; returns the former one, which is no longer looked after."""
        former, self.started = self.flows.get(share), self.started + 1
        self.flows[share] = Flow(share, self.folder / f"{self.started:03}.log")
        return former

    def scale(self, count: int) -> list[Flow]:
        """So many processes from now on, beside the former ones, which are returned."""
        former, self.flows = list(self.flows.values()), {}
        for mine in range(count):
            self.start(f"{mine}/{count}")
        return former

    def mend(self) -> None:
        for share, flow in list(self.flows.items()):
            if not flow.runs:
                self._note(flow)
                self.start(share)

    def _note(self, ended: Flow) -> None:
        if ended.process.returncode not in ASKED:
            self.ends[ended.last_word()] += 1

    def until(self, what: Callable[[], object], wait_s: float) -> bool:
        """Mends until it is so, or the time is up; whether it is so."""
        end = time.monotonic() + wait_s
        while not what():
            if time.monotonic() > end:
                return False
            self.mend()
            time.sleep(0.01)
        return True

    def retire(self, former: Flow, wait_s: float) -> None:
        """One that was succeeded must end by itself."""
        if self.until(lambda: not former.runs, wait_s):
            self._note(former)
        else:
            self.unfenced += 1
            former.kill()

    def stop(self) -> None:
        """As an operator does; those that do not listen are killed."""
        for flow in self.flows.values():
            flow.process.terminate()
        for flow in self.flows.values():
            try:
                flow.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                flow.kill()
        self.flows = {}


@contextmanager
def running_fleet(folder: Path, count: int) -> Iterator[Fleet]:
    fleet = Fleet(folder)
    fleet.scale(count)
    try:
        yield fleet
    finally:
        for flow in fleet.flows.values():
            flow.kill()
