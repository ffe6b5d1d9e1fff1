"""`brewline cohorts`: who comes back, month by month after the first order, and what they spend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from alerts.kpis.cohorts import MONTHS, READ, Cohorts, month_of
from alerts.triggers.backtests.backtest import Span
from brewline.backtests.command import bar, opened
from brewline.histories.archives import Archive
from brewline.histories.history import WrongHistory
from brewline.results import write_json
from config.settings import Settings
from features.times import DAY_MS, rfc3339

Figures = dict[str, Any]


def show_cohorts(settings: Settings, history: str, span: Span, file: Path | None, out: Console) -> Figures:
    """Prints them and writes them to `file`. Raises WrongHistory, Unreachable."""
    with bar(out) as progress:
        archive = opened(settings, history, progress)
        task = progress.add_task("counting", total=archive.events)
        figures = counted(archive, span, lambda events: progress.advance(task, events))
    if not figures["cohorts"]:
        raise WrongHistory(f"{history}: no month that is over has a first order between --from and --to")
    out.print(_table(figures, "retention", "share of the cohort that ordered in the month", "{:.1%}"))
    out.print(_table(figures, "arpu_cents", "spent in the month by one of the cohort, on average", "{:,.2f}", 100))
    out.print(
        f"{figures['customers']:,} customers; {figures['repeat_rate']:.1%} ordered twice or more;"
        f" loyalty index {_or_dash(figures['loyalty_index'], '{:.1f}')} of 100; as of {figures['end']}",
        highlight=False,
        soft_wrap=True,
    )
    write_json(file, figures)
    return figures


def counted(archive: Archive, span: Span, walk: Any = lambda events: None) -> Figures:
    """Cohorts from --from on, as all that is before --to shows them: at most a day behind what the history holds."""
    cohorts, end_ms = Cohorts(), min(span.to_ms, archive.last_ms + DAY_MS)
    columns = [name for name in READ if name in archive.columns]
    for share in archive.shares:
        cohorts.add(archive.read(share, columns), end_ms)
        walk(share.length)
    first_month = month_of(span.from_ms, archive.timezone) if span.from_ms else 0
    return {"end": rfc3339(end_ms), **cohorts.figures(month_of(end_ms, archive.timezone), first_month)}


def _table(figures: Figures, name: str, title: str, spelt: str, units: int = 1) -> Table:
    table = Table("first order", "customers", box=SIMPLE_HEAD, title=title)
    for age in range(MONTHS + 1):
        table.add_column("that month" if age == 0 else f"+{age}", justify="right")
    table.add_column("twice or more", justify="right")
    table.add_column("loyalty", justify="right")
    for row in [*figures["cohorts"], {**figures, "month": "all"}]:
        cells = [spelt.format(month[name] / units) for month in row["months"]]
        cells += ["-"] * (MONTHS + 1 - len(cells))
        again, loyalty = f"{row['repeat_rate']:.1%}", _or_dash(row["loyalty_index"], "{:.1f}")
        table.add_row(row["month"], f"{row['customers']:,}", *cells, again, loyalty)
    return table


def _or_dash(value: float | None, spelt: str) -> str:
    return "-" if value is None else spelt.format(value)
