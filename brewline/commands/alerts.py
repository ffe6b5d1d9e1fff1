"""`brewline alerts`: what fires, who knows of it, and what is silenced."""

from __future__ import annotations

from typing import Annotated

import typer

from brewline.commands.shared import AsJson, out
from config.settings import load

app = typer.Typer(
    name="alerts",
    no_args_is_help=True,
    help="Alerts: list them, acknowledge, silence or close one.\n\nExample: `brewline alerts list`",
)

Key = Annotated[str, typer.Argument(help="Key of the alert, or how it begins, as `brewline alerts list` shows it.")]
By = Annotated[str, typer.Option(help="Your name: it is told to all who get the alert, and kept.")]
Reason = Annotated[str, typer.Option(help="Why, for who reads it later.")]


@app.command("list")
def alerts_list(
    every: Annotated[bool, typer.Option("--all", help="Also what is over.")] = False,
    json: AsJson = False,
) -> None:
    """Lists what fires, also what is acknowledged, held or silenced, and the silences that last.

    Example: `brewline alerts list --all`
    """
    from brewline.alerts import list_alerts

    list_alerts(load(), every, json, out)


@app.command("show")
def alerts_show(key: Key, json: AsJson = False) -> None:
    """Shows all that is known of one alert.

    Example: `brewline alerts show 3fa1`
    """
    from brewline.alerts import show_alert

    show_alert(load(), key, json, out)


@app.command("ack")
def alerts_ack(key: Key, by: By, reason: Reason = "") -> None:
    """Says that somebody looks after an alert. It stays until it is over.

    Example: `brewline alerts ack 3fa1 --by anna --reason 'asking the store'`
    """
    from brewline.alert_words import say_of_alert

    say_of_alert(load(), "acknowledged", key, by, reason, out)


@app.command("close")
def alerts_close(key: Key, by: By, reason: Reason) -> None:
    """Closes a finding, which does not end by itself. What ends by itself cannot be closed: silence it.

    Example: `brewline alerts close 3fa1 --by anna --reason 'a migration, agreed on'`
    """
    from brewline.alert_words import say_of_alert

    say_of_alert(load(), "closed", key, by, reason, out)


@app.command("silence")
def alerts_silence(
    matchers: Annotated[list[str], typer.Argument(help="name=glob: an alert is covered when all of them match.")],
    by: By,
    reason: Reason,
    last: Annotated[str, typer.Option("--for", help="How long: 30m, 4h, 2d.")] = "2h",
) -> None:
    """Silences what matches for a while: it is listed, and not sent.

    Example: `brewline alerts silence dim='store:sz-*' series=orders --for 4h --by anna --reason 'power cut'`
    """
    from brewline.alert_words import silence_alerts

    silence_alerts(load(), matchers, last, by, reason, out)


@app.command("unsilence")
def alerts_unsilence(
    silence: Annotated[str, typer.Argument(help="Id of the silence, or how it begins.")], by: By, reason: Reason = ""
) -> None:
    """Ends a silence: what still fires and ends by itself is sent.

    Example: `brewline alerts unsilence 9c2e --by anna`
    """
    from brewline.alert_words import end_silence

    end_silence(load(), silence, by, reason, out)
