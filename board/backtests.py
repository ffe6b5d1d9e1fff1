"""Back-tests that people ask for on the board: one at a time, for a limited time; the latest report of each rule stays.

bl:{board}:backtest:running     what is tried now, by whom and how far it has come; gone when it is over
bl:{board}:backtest:of:<rule>   the latest report of a rule
"""

from __future__ import annotations

import subprocess
import sys
import time
from threading import Thread, Timer
from typing import Any

import msgspec
from msgspec import Struct
from redis import Redis

from board.trying import Asked, Line
from config.settings import HERE
from operators.health import log
from operators.servers import die_with_parent

LIMIT_S = 300
KEPT_S = 90 * 86_400


class Running(Struct):
    """`done` of `of` events are read, or tried; `of` 0: how many there are is not known yet."""

    rule: str
    history: str
    by: str
    began_ms: int
    doing: str = "starting"
    done: int = 0
    of: int = 0


class Report(Struct):
    """`figures` as `brewline rules backtest --json` writes them; null where there is an `error`."""

    rule: str
    history: str
    by: str
    ended_ms: int
    seconds: float
    figures: dict[str, Any] | None = None
    error: str = ""


_running, _report = msgspec.json.Decoder(Running).decode, msgspec.json.Decoder(Report).decode


class Backtests:
    def __init__(self, redis: Redis, prefix: str) -> None:
        self.redis, self.start = redis, f"{prefix}:{{board}}:backtest:"

    def running(self) -> Running | None:
        raw: Any = self.redis.get(f"{self.start}running")
        return _running(raw) if raw else None

    def report(self, rule: str) -> Report | None:
        raw: Any = self.redis.get(f"{self.start}of:{rule}")
        return _report(raw) if raw else None

    def begin(self, asked: Asked, by: str) -> Running | None:
        """None: another one runs."""
        now = Running(asked.rule, asked.history, by, round(time.time() * 1000))
        if not self.redis.set(f"{self.start}running", msgspec.json.encode(now), nx=True, ex=LIMIT_S + 60):
            return None
        Thread(target=self._run, args=(asked, now), name="backtest", daemon=True).start()
        return now

    def _run(self, asked: Asked, now: Running) -> None:
        began_s, last = time.monotonic(), Line(error="it ended without a report")
        try:
            last = self._followed(asked, now)
        except Exception as error:
            log.warning("a back-test broke off", rule=asked.rule, error=f"{type(error).__name__}: {error}")
        seconds = round(time.monotonic() - began_s, 1)
        if seconds >= LIMIT_S:
            last = Line(error=f"it was ended after {LIMIT_S} s: use `brewline rules backtest` for a history this long")
        told = (asked.rule, asked.history, now.by, round(time.time() * 1000), seconds, last.figures, last.error)
        self.redis.set(f"{self.start}of:{asked.rule}", msgspec.json.encode(Report(*told)), ex=KEPT_S)
        self.redis.delete(f"{self.start}running")

    def _followed(self, asked: Asked, now: Running) -> Line:
        """The last line."""
        command = [sys.executable, "-m", "board.trying"]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        last, said_s = Line(error="it ended without a report"), 0.0
        with subprocess.Popen(command, cwd=HERE.parent, preexec_fn=die_with_parent(), **pipes) as process:
            ended = Timer(LIMIT_S, process.kill)
            ended.start()
            try:
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(msgspec.json.encode(asked))
                process.stdin.close()
                for raw in process.stdout:
                    last = msgspec.json.decode(raw, type=Line)
                    if time.monotonic() > said_s + 0.5:
                        said_s = time.monotonic()
                        self._tell(now, last)
            finally:
                ended.cancel()
        return last if last.figures or last.error else Line(error="it ended without a report")

    def _tell(self, now: Running, line: Line) -> None:
        now.doing, now.done, now.of = line.doing or now.doing, line.done, line.of
        self.redis.set(f"{self.start}running", msgspec.json.encode(now), keepttl=True, xx=True)
