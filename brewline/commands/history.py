"""`brewline history`: keep what has happened."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from brewline.commands.shared import HISTORIES, From, To, out, writable
from brewline.trail import note_export
from config.settings import load

app = typer.Typer(
    name="history",
    no_args_is_help=True,
    help="Keep what has happened.\n\nExample: `brewline history export --out may.parquet`",
)


@app.command("export")
def history_export(
    to_file: Annotated[Path, typer.Option("--out", callback=writable, help="The file to write: F.parquet.")],
    from_: From = None,
    to: To = None,
    history: Annotated[str, typer.Option(help=HISTORIES)] = "kafka",
) -> None:
    """Writes clean events as columns, from the topic `events` or another history, for back-tests that parse no JSON.

    Example: `brewline history export --out may.parquet --from 2026-05-01T00:00:00+08:00`;
    `brewline history export --history completejourney --out year.parquet`
    """
    from brewline.histories.export import export_history

    settings = load()
    noted = note_export(settings, "history") if history == "kafka" else None
    export_history(settings, history, to_file, from_, to, out, noted)
