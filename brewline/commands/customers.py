"""Commands on one customer, or a list of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from brewline.commands.shared import CUSTOMER, AsJson, At, moment, out, timed
from brewline.trail import about, note
from config.settings import load


def customer(
    id: Annotated[str, typer.Argument(help=CUSTOMER)],
    at: At = None,
    json: AsJson = False,
) -> None:
    """Shows what is known of a customer, with all features as of a time.

    Example: `brewline customer card:123 --at 2026-05-01T12:00:00+08:00`
    """
    from brewline.profile import show_customer

    at_ms, settings = moment(at), load()
    note(settings, "view", about(settings, id), 1)
    show_customer(settings, id, at_ms, json, out)


def why(
    id: Annotated[str, typer.Argument(help=CUSTOMER)],
    rule: Annotated[str, typer.Option(help="Also why this rule would fire now, or would not.")] = "",
    at: Annotated[
        str | None, typer.Option(callback=timed, help="RFC 3339 time, date or epoch ms instead of now, with --rule.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Explains what was decided for a customer: what each rule saw, and what stood in the way.

    Example: `brewline why card:123 --rule winback-14d`
    """
    from brewline.why import show_why

    at_ms, settings = moment(at), load()
    note(settings, "view", about(settings, id), 1)
    show_why(settings, id, rule, at_ms, json, out)


def forget(
    id: Annotated[str, typer.Argument(help=CUSTOMER)],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erases a customer for good, and proves it by a scan of all that Redis holds. The customers flow must be running.

    Example: `brewline forget card:123 --yes`
    """
    from brewline.forget import forget_customer

    settings = load()
    note(settings, "forget", "customer", 1)
    sys.exit(forget_customer(settings, id, out, (lambda question: True) if yes else typer.confirm))


def suppress(
    id: Annotated[str, typer.Argument(help=CUSTOMER)] = "",
    reason: Annotated[str, typer.Option(help="Why, in a word; with --lift, for that reason only.")] = "",
    until: Annotated[
        str | None, typer.Option(callback=timed, help="RFC 3339 time, date or epoch ms; default: until it is lifted.")
    ] = None,
    lift: Annotated[bool, typer.Option("--lift", help="The customer gets again what there is.")] = False,
    file: Annotated[
        Path | None, typer.Option(help="One customer a line, as above; what follows a comma is left.")
    ] = None,
) -> None:
    """Keeps all coupons and messages from a customer, or from all of a file, from now on.

    Example: `brewline suppress card:123 --reason complaint --until 2026-06-01T00:00:00+08:00`;
    `brewline suppress card:123 --lift`; `brewline suppress --file list.csv --reason vip`
    """
    from brewline.suppress import Word, suppress_customers

    word = Word(reason, moment(until) if until else 0, lift)
    settings = load()
    note(settings, "lift" if lift else "suppress", f"customers of {file.name}" if file else about(settings, id))
    sys.exit(suppress_customers(settings, [id] if id else [], file, word, out))
