"""What was counted of the chain, its stores, campaigns and so on."""

from __future__ import annotations

from typing import Annotated

import typer

from brewline.commands.shared import AsJson, From, To, moment, out
from config.settings import load


def kpis(
    dim: Annotated[str, typer.Argument(help="chain:*, store:0012, region+channel:north+app, ...")] = "chain:*",
    kpi: Annotated[list[str] | None, typer.Option(help="Show these counters and ratios of kpis.toml.")] = None,
    step: Annotated[str, typer.Option(help="minute, 5m or hour.")] = "minute",
    start: From = None,
    to: To = None,
    json: AsJson = False,
) -> None:
    """Prints a dimension's KPIs, slot by slot; the running minute is as it stands now.

    Example: `brewline kpis store:0012 --kpi orders --kpi aov_cents`; `brewline kpis chain:* --step hour --json`
    """
    from brewline.kpis import Asked, show_kpis

    times = [None if text is None else moment(text) for text in (start, to)]
    show_kpis(load(), Asked(dim, kpi or [], step, *times), json, out)


def demand(
    dim: Annotated[str, typer.Argument(help="store+category:0012+milk_tea, region+category:north+coffee, ...")],
    counter: Annotated[str, typer.Option(help="A counter of kpis.toml.")] = "sold_items",
    hours: Annotated[int, typer.Option(help="How far ahead.", min=1, max=336)] = 24,
    json: AsJson = False,
) -> None:
    """Foretells what a dimension will come to hour by hour, beside how far off that was of late.

    Example: `brewline demand store+category:0012+milk_tea --hours 48`; `brewline demand store:0012 --counter orders`
    """
    from brewline.demand import Asked, show_demand

    show_demand(load(), Asked(dim, counter, hours), json, out)
