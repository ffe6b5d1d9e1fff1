"""`brewline attribution`: which touches lead to orders, and what would be lost without each kind of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from alerts.kpis.attribution import KEPT, READ, By, Ways
from alerts.triggers.backtests.backtest import Span
from brewline.backtests.command import bar, opened
from brewline.histories.archives import Archive
from brewline.histories.history import WrongHistory
from brewline.results import write_json
from config.settings import Settings

Figures = dict[str, Any]


def show_attribution(
    settings: Settings, history: str, span: Span, by: By, window_ms: int, file: Path | None, out: Console
) -> Figures:
    """Prints it and writes it to `file`. Raises WrongHistory, Unreachable."""
    with bar(out) as progress:
        archive = opened(settings, history, progress)
        task = progress.add_task("following", total=archive.events)
        figures = followed(archive, span, by, window_ms, lambda events: progress.advance(task, events))
    if not figures["ways"]:
        raise WrongHistory(f"{history}: nobody was touched between --from and --to whose way has ended since")
    out.print(_table(figures))
    out.print(
        f"{figures['ways']:,} ways, of which {figures['orders']:,} came to an order;"
        f" {figures['orders_alone']:,} orders without a touch before; {figures['open']:,} ways are open",
        highlight=False,
        soft_wrap=True,
    )
    write_json(file, figures)
    return figures


def followed(archive: Archive, span: Span, by: By, window_ms: int, walk: Any = lambda events: None) -> Figures:
    """Ways from --from on, as all that is before --to shows them."""
    ways, end_ms = Ways(by, window_ms), min(span.to_ms, archive.last_ms + 1)
    columns = [name for name in READ if name in archive.columns]
    for share in archive.shares:
        ways.add(archive.read(share, columns), span.from_ms, end_ms)
        walk(share.length)
    return ways.figures()


def _table(figures: Figures) -> Table:
    table = Table(
        "touch", box=SIMPLE_HEAD, title="orders by kind of touch; the last columns: orders if so many were left"
    )
    kept = [f"{share:.0%}" for share in KEPT[:-1]]
    for name in ("touches", "removal effect", "orders", "as last touch", "by 1,000 more", *kept):
        table.add_column(name, justify="right")
    for touch in figures["touches"]:
        table.add_row(
            touch["touch"],
            f"{touch['touches']:,}",
            f"{touch['removal_effect']:.1%}",
            f"{touch['orders']:,.1f}",
            f"{touch['orders_last']:,}",
            f"{1_000 * touch['marginal_orders']:,.1f}",
            *(f"{point['orders']:,.0f}" for point in touch["curve"][:-1]),
        )
    return table
