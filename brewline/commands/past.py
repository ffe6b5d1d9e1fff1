"""`brewline cohorts`, `brewline attribution`: what a past says of customers."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from brewline.commands.shared import HISTORIES, From, JsonFile, To, beside
from brewline.trail import note
from config.settings import load

History = Annotated[str, typer.Option(help=HISTORIES)]


def cohorts(from_: From = None, to: To = None, history: History = "kafka", json: JsonFile = None) -> None:
    """Shows who comes back in the six months after the first order, and what they spend, by the month of that order.

    Example: `brewline cohorts --history cdnow`; of what Kafka holds, as of a day,
    `brewline cohorts --from 2026-01-01T00:00:00+08:00 --to 2026-07-01T00:00:00+08:00 --json out/cohorts.json`
    """
    from brewline.backtests.choice import span_of
    from brewline.cohorts import show_cohorts

    settings = load()
    if history == "kafka":
        note(settings, "view", "cohorts of the history")
    show_cohorts(settings, history, span_of(from_, to), json, beside(json))


def attribution(
    from_: From = None,
    to: To = None,
    history: History = "kafka",
    by: Annotated[
        Literal["channel", "campaign"], typer.Option(help="Tell touches of a type apart by channel or gateway, or so.")
    ] = "channel",
    within: Annotated[str, typer.Option(help="A way ends where nothing follows for so long.")] = "7d",
    json: JsonFile = None,
) -> None:
    """Shows which touches (coupons issued, delivered, opened; the app; shares) lead to orders, by a Markov chain: what
    would be lost without each kind, and what more of it would bring.

    Example: `brewline attribution --within 14d`; `brewline attribution --history completejourney --by campaign`
    """
    from brewline.attribution import show_attribution
    from brewline.backtests.choice import span_of
    from features.times import parse_duration

    try:
        window_ms = parse_duration(within)
    except ValueError as error:
        raise ValueError(f"--within: {error}") from error
    settings = load()
    if history == "kafka":
        note(settings, "view", "attribution of the history")
    show_attribution(settings, history, span_of(from_, to), by, window_ms, json, beside(json))
