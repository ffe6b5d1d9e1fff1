"""`brewline audit`: our own trail."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from brewline.commands.shared import out
from config.settings import load

app = typer.Typer(
    name="audit",
    no_args_is_help=True,
    help="Who has read or taken what with this tool.\n\nExample: `brewline audit verify`",
)


@app.callback()
def audit() -> None:
    """Keeps `verify` a word of its own."""


@app.command("verify")
def audit_verify(
    noted: Annotated[str, typer.Option(help="An end of the trail that a former run has printed.")] = "",
) -> None:
    """Reads Brewline's own audit trail to its end, and says what was changed, is missing or out of order.

    Example: `brewline audit verify`; `brewline audit verify --noted 12:9f54f116241643f4aaeeb1aeb096fe76`
    """
    from brewline.trail import verify_trail

    sys.exit(verify_trail(load(), noted, out))
