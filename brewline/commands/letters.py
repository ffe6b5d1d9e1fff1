"""`brewline dead-letters`: what could not be used or delivered."""

from __future__ import annotations

from typing import Annotated

import typer

from brewline.commands.shared import JsonFile, beside, out
from brewline.trail import note, person
from config.settings import load

app = typer.Typer(
    name="dead-letters",
    invoke_without_command=True,
    help="What could not be used or delivered: how much and why, one by one, and sending it again.\n\n"
    "Example: `brewline dead-letters`",
)

Reason = Annotated[str, typer.Option(help="Only those with this reason.")]
Topic = Annotated[str, typer.Option(help="Only records of this topic, such as pos.events.")]
Id = Annotated[str, typer.Argument(help="Its id, as `brewline dead-letters list` shows it.")]


@app.callback()
def dead_letters(context: typer.Context, reason: Reason = "", topic: Topic = "", json: JsonFile = None) -> None:
    """Sums them up by topic and reason.

    Example: `brewline dead-letters --topic pos.events --json out/letters.json`; then `brewline dead-letters list`
    """
    from brewline.letters import Asked, read_letters, sum_up
    from brewline.results import write_json

    if context.invoked_subcommand is None:
        shown = beside(json)
        letters = read_letters(load(), Asked(reason, topic), shown, values=False)
        write_json(json, {"dead_letters": sum_up(letters, shown)})


@app.command("list")
def list_letters(
    reason: Reason = "",
    topic: Topic = "",
    last: Annotated[int, typer.Option(help="So many of the latest.", min=1)] = 50,
    json: JsonFile = None,
) -> None:
    """Lists the latest, without their values.

    Example: `brewline dead-letters list --reason too_large --last 10`
    """
    from brewline.letters import Asked, read_letters, show_letters
    from brewline.results import write_json

    shown = beside(json)
    letters = read_letters(load(), Asked(reason, topic), shown, values=False)
    if len(letters) > last:
        shown.print(f"{len(letters):,} in all; the latest {last}:")
    write_json(json, {"dead_letters": show_letters(letters[-last:], shown)})


@app.command("show")
def show(
    id: Id,
    value: Annotated[bool, typer.Option("--value", help="Also the record itself; it may hold personal data.")] = False,
) -> None:
    """Shows one.

    Example: `brewline dead-letters show pos.events/3/1204 --value`
    """
    from brewline.letters import Asked, read_letters, show_letter

    settings = load()
    [letter] = read_letters(settings, Asked(ids=(id,)), out, value)
    if value:
        note(settings, "view", f"dead letter {id}", 1)
    show_letter(letter, value, out)


@app.command("resend")
def resend_letters(
    ids: Annotated[list[str] | None, typer.Argument(help="Their ids; or name a reason.")] = None,
    reason: Reason = "",
    topic: Topic = "",
    by: Annotated[str, typer.Option(help="Who sends them; default: whoever gives the command.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Sends records again to where they came from, once what was wrong is mended: a limit that was raised, say. What
    is still wrong is a dead letter again; what was counted meanwhile is a duplicate and changes nothing.

    Example: `brewline dead-letters resend --reason too_large --yes`
    """
    from brewline.letters import Asked, read_letters, resend

    if not ids and not reason:
        raise ValueError("dead-letters resend: found neither an id nor --reason, expected one of them")
    settings = load()
    letters = read_letters(settings, Asked(reason, topic, tuple(ids or ())), out, values=True)
    if not letters:
        out.print("There are no such dead letters.")
    elif yes or typer.confirm(f"Send {len(letters):,} records again?"):
        note(settings, "dead_letter_resend", "dead letters", len(letters), by)
        out.print(f"sent again: {resend(settings, letters, by or person(), out):,}")
