"""What models learn from, and what has been published of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from brewline.commands.shared import out
from config.settings import load


def training_set(
    model: Annotated[str, typer.Argument(help="A model of config/models.toml.")],
    out_file: Annotated[Path, typer.Option("--out", help="The Parquet file to write.")],
    history: Annotated[
        str,
        typer.Option(help="kafka, an archive or folder of `history export`, FILE.ndjson, or a packaged history."),
    ] = "kafka",
    from_: Annotated[str | None, typer.Option("--from", help="First moment of scoring: RFC 3339 or epoch ms.")] = None,
    to: Annotated[str | None, typer.Option(help="Moments before this one: RFC 3339 or epoch ms.")] = None,
) -> None:
    """Writes what a model would have learned from a history: rows as they were when scored, each with its label and
    the time from which that was known.

    Example: `brewline training-set churn_risk --out out/churn.parquet`; of a past that was kept,
    `brewline training-set churn_risk --history may.parquet --from 2026-05-01T00:00:00+08:00 --out out/may.parquet`
    """
    from brewline.training import write_training_set

    write_training_set(load(), model, history, out_file, from_, to, out)
