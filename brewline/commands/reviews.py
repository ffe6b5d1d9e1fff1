"""`brewline reviews`: cases of possible abuse."""

from __future__ import annotations

from typing import Annotated

import typer

from brewline.commands.shared import JsonFile, beside, out
from brewline.trail import note
from config.settings import load

app = typer.Typer(
    name="reviews",
    invoke_without_command=True,
    help="Cases of possible abuse: show them, release or confirm one.\n\nExample: `brewline reviews --open`",
)


@app.callback()
def reviews(
    context: typer.Context,
    waiting: Annotated[bool, typer.Option("--open", help="Only cases that wait for a human.")] = False,
    json: JsonFile = None,
) -> None:
    """Shows cases of possible abuse, those that wait for a human first.

    Example: `brewline reviews --open --json out/reviews.json`; then `brewline reviews release CASE` or
    `brewline reviews confirm CASE`
    """
    from brewline.results import write_json
    from brewline.reviews import show_cases

    if context.invoked_subcommand is None:
        settings = load()
        note(settings, "view", "reviews")
        write_json(json, {"reviews": show_cases(settings, waiting, beside(json))})


Case = Annotated[str, typer.Argument(help="Id of the case, as `brewline reviews` shows it.")]
By = Annotated[str, typer.Option(help="Who decides; default: whoever is logged in.")]


@app.command("release")
def reviews_release(case: Case, by: By = "") -> None:
    """Lets the customers of a case go: nothing was wrong.

    Example: `brewline reviews release 0f3a5c7d9e1b2a4c`
    """
    from brewline.reviews import decide_case

    settings = load()
    note(settings, "hold_release", f"review {case}", by=by)
    decide_case(settings, case, "released", by, out)


@app.command("confirm")
def reviews_confirm(case: Case, by: By = "") -> None:
    """Confirms a case: its customers stay suppressed without end.

    Example: `brewline reviews confirm 0f3a5c7d9e1b2a4c --by anna`
    """
    from brewline.reviews import decide_case

    settings = load()
    note(settings, "hold_confirm", f"review {case}", by=by)
    decide_case(settings, case, "confirmed", by, out)
