"""`brewline cohorts`: what a past says of customers."""

from __future__ import annotations

from typing import Annotated

import typer

from brewline.commands.shared import HISTORIES, From, JsonFile, To, out
from config.settings import load

History = Annotated[str, typer.Option(help=HISTORIES)]


def cohorts(from_: From = None, to: To = None, history: History = "kafka", json: JsonFile = None) -> None:
    """Shows who comes back in the six months after the first order, and what they spend, by the month of that order.

    Example: `brewline cohorts --history cdnow`; of what Kafka holds, as of a day,
    `brewline cohorts --from 2026-01-01T00:00:00+08:00 --to 2026-07-01T00:00:00+08:00 --json out/cohorts.json`
    """
    from brewline.backtests.choice import span_of
    from brewline.cohorts import show_cohorts

    show_cohorts(load(), history, span_of(from_, to), json, out)
