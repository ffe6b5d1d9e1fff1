"""What commands share: where they print, and options that mean the same everywhere."""

from __future__ import annotations

import os
import re
import sys
from datetime import date, datetime, timezone
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from typer.core import TyperCommand

from brewline.paths import writing
from brewline.results import STDOUT
from config.settings import load
from features.times import DAY_MS, EPOCH_DAY, LATEST_MS, parse_moment

WIDE = 200
NARROW = sys.stdout.isatty() or "COLUMNS" in os.environ
out = Console(width=None if NARROW else WIDE)  # no screen cuts what goes to a file or a pipe

CUSTOMER = "A customer id, or an identifier: card:123, phone:+8613800138000, ..."


def writable(option: typer.CallbackParam, file: Path | None) -> Path | None:
    """A file for the outcome of some work, tried before the work. Raises ValueError."""
    if file is None or file == STDOUT:
        return file
    with writing(file, option.opts[0]):
        if not file.exists():
            TemporaryFile(dir=next(place for place in file.absolute().parents if place.exists())).close()
        elif file.is_file() or file.is_dir():
            file.open("ab").close()
    return file


JsonFile = Annotated[
    Path | None,
    typer.Option("--json", callback=writable, help="Write the figures to this file; `-` prints them alone."),
]
JsonOut = Annotated[
    Path | None,
    typer.Option("--json", callback=writable, help="Write the figures to this file; without one, print them alone."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


def timed(option: typer.CallbackParam, typed: str | None) -> str | None:
    """A time as it was typed; a date as the moment at which it begins at the stores. Raises ValueError."""
    if typed is None:
        return None
    day = None
    try:
        day = date.fromisoformat(typed) if re.fullmatch(r"\d{4}-\d\d-\d\d", typed) else None
        at_ms = (day.toordinal() - EPOCH_DAY) * DAY_MS if day else moment(typed)
    except ValueError:
        at_ms = -1
    if not 0 <= at_ms < LATEST_MS - DAY_MS:
        raise ValueError(
            f"{option.opts[0]}: found {typed!r}, expected RFC 3339 with offset such as 2026-05-01T08:30:00+08:00,"
            " epoch ms, or a date such as 2026-05-01"
        )
    return datetime.combine(day, datetime.min.time(), ZoneInfo(load().stores.timezone)).isoformat() if day else typed


At = Annotated[str | None, typer.Option(callback=timed, help="RFC 3339 time, date or epoch ms; default: now.")]
From = Annotated[
    str | None, typer.Option("--from", callback=timed, help="RFC 3339 time, date or epoch ms; default: the beginning.")
]
To = Annotated[
    str | None,
    typer.Option("--to", callback=timed, help="RFC 3339 time, date or epoch ms, excluded; default: the end."),
]
HISTORIES = "completejourney, cdnow, kafka, FILE.parquet, FILE.ndjson, or a folder of exported files."


class WithJson(TyperCommand):
    """A command whose `--json` may stand without a file."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        whole = []
        for word, after in pairwise([*args, "--"]):
            whole.append(word)
            if word == "--json" and after.startswith("-") and after != str(STDOUT):
                whole.append(str(STDOUT))
        return super().parse_args(ctx, whole)


def beside(json: Path | None) -> Console:
    """Where tables go: not between the figures."""
    return Console(stderr=True) if json == STDOUT else out


def moment(text: str | None) -> int:
    """Epoch ms of what was typed; now when nothing was."""
    if text is None:
        return round(datetime.now(timezone.utc).timestamp() * 1000)
    return parse_moment(int(text) if text.isdigit() else text)
