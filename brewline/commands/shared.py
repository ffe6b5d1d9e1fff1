"""What commands share: where they print, and options that mean the same everywhere."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from features.times import parse_time

out = Console()

CUSTOMER = "A customer id, or an identifier: card:123, phone:+8613800138000, ..."
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]
At = Annotated[str | None, typer.Option(help="RFC 3339 time or epoch ms; default: now.")]
From = Annotated[str | None, typer.Option("--from", help="RFC 3339 time or epoch ms; default: the beginning.")]
To = Annotated[str | None, typer.Option("--to", help="RFC 3339 time or epoch ms, excluded; default: the end.")]
HISTORIES = "completejourney, cdnow, kafka, FILE.parquet, FILE.ndjson, or a folder of exported files."


def moment(text: str | None) -> int:
    """Epoch ms of what was typed; now when nothing was."""
    if text is None:
        return round(datetime.now(timezone.utc).timestamp() * 1000)
    return parse_time(int(text) if text.isdigit() else text)
