"""A back-test in a process of its own: it may take memory and time that the board needs, and can be ended.

What is asked comes by standard input; each line that is written tells how far it has come, the last one what came out.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import msgspec
from msgspec import Struct
from rich.progress import Progress

from alerts.triggers.backtests.backtest import Span
from brewline.backtests.choice import FOREVER_MS, choose
from brewline.backtests.command import opened, tried_over
from config.settings import Settings

NICE = 10


class Asked(Struct):
    settings: Settings
    rule: str
    history: str
    assume_consent: bool


class Line(Struct):
    """`figures` and `error` are of the last one."""

    doing: str = ""
    done: int = 0
    of: int = 0
    figures: dict[str, Any] | None = None
    error: str = ""


class Written(Progress):
    """Writes a line instead of drawing a bar."""

    def __init__(self) -> None:
        super().__init__(disable=True)

    def update(self, *told: Any, **more: Any) -> None:
        super().update(*told, **more)
        self._say()

    def advance(self, *told: Any, **more: Any) -> None:
        super().advance(*told, **more)
        self._say()

    def _say(self) -> None:
        task = self.tasks[-1]
        say(Line("reading" if len(self.tasks) == 1 else "trying", round(task.completed), round(task.total or 0)))


def say(line: Line) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    os.nice(NICE)
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Asked)
    try:
        chosen = choose(asked.settings, [asked.rule], [], False, Span(0, FOREVER_MS))
        progress = Written()
        archive = opened(asked.settings, asked.history, progress)
        say(Line(figures=tried_over(asked.settings, archive, chosen, asked.assume_consent, progress)))
    except Exception as error:
        say(Line(error=f"{error}"))


if __name__ == "__main__":
    main()
