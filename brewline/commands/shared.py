"""What commands share: where they print, and options that mean the same everywhere."""

from __future__ import annotations

from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from typer.core import TyperCommand

from brewline.results import STDOUT
from features.times import parse_time

out = Console()

CUSTOMER = "A customer id, or an identifier: card:123, phone:+8613800138000, ..."
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")]
JsonOut = Annotated[
    Path | None, typer.Option("--json", help="Write the figures to this file; without one, print them alone.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]
At = Annotated[str | None, typer.Option(help="RFC 3339 time or epoch ms; default: now.")]
From = Annotated[str | None, typer.Option("--from", help="RFC 3339 time or epoch ms; default: the beginning.")]
To = Annotated[str | None, typer.Option("--to", help="RFC 3339 time or epoch ms, excluded; default: the end.")]
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
    return parse_time(int(text) if text.isdigit() else text)
