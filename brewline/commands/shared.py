"""What commands share: where they print, and options that mean the same everywhere."""

from __future__ import annotations

import re
from datetime import date, datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from typer.core import TyperCommand

from brewline.results import STDOUT
from config.settings import load
from features.times import parse_moment

out = Console()

CUSTOMER = "A customer id, or an identifier: card:123, phone:+8613800138000, ..."
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")]
JsonOut = Annotated[
    Path | None, typer.Option("--json", help="Write the figures to this file; without one, print them alone.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


def timed(option: typer.CallbackParam, typed: str | None) -> str | None:
    """A time as it was typed; a date as the moment at which it begins at the stores. Raises ValueError."""
    if typed is None:
        return None
    try:
        day = date.fromisoformat(typed) if re.fullmatch(r"\d{4}-\d\d-\d\d", typed) else None
        if day is None:
            parse_moment(int(typed) if typed.isdigit() else typed)
    except ValueError as error:
        raise ValueError(f"{option.opts[0]}: {error}, or a date such as 2026-05-01") from error
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
