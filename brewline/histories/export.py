"""`brewline history export`: clean events as columns in a Parquet file."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from rich.console import Console

from brewline.backtests.choice import span_of
from brewline.backtests.command import bar, opened
from brewline.histories.archives import TIMEZONE
from brewline.histories.history import WrongHistory
from brewline.paths import writing
from brewline.trail import NotedRows
from config.settings import Settings

ROWS = 65_536  # of a row group: a share is read without much of its neighbours


def export_history(
    settings: Settings,
    history: str,
    file: Path,
    from_text: str | None,
    to_text: str | None,
    out: Console,
    noted: NotedRows | None = None,
) -> None:
    """Events at or after --from and before --to, by their own time. Raises WrongHistory, Unreachable."""
    span = span_of(from_text, to_text)
    if file.suffix != ".parquet":
        raise WrongHistory(f"--out: found {file}, expected a file that ends in .parquet")
    with bar(out) as progress:
        archive = opened(settings, history, progress)
    inside = (pl.col("at_ms") >= span.from_ms) & (pl.col("at_ms") < span.to_ms)
    rows = archive.rows.filter(inside | (pl.col("share") < 0)).collect()
    events = rows.filter(pl.col("share") >= 0).height
    if not events:
        raise WrongHistory(f"{history}: there are no events between --from and --to")
    if noted:
        noted(rows["customer"].drop_nulls().n_unique(), rows.columns)
    write_archive(rows, file, archive.timezone)
    out.print(f"{file}: {events:,} events, {file.stat().st_size / 1e6:,.1f} MB", highlight=False)


def write_archive(rows: pl.DataFrame, file: Path, timezone: str) -> None:
    """Whole or not at all; it remembers whose days its days are."""
    with writing(file, "--out"):
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_name(file.name + ".new")
        rows.write_parquet(new, row_group_size=ROWS, metadata={TIMEZONE: timezone})
        new.replace(file)
