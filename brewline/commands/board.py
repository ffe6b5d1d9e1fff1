"""The board, and who may look at it."""

from __future__ import annotations

from typing import Annotated

import typer

from board.access.person import ROLES, Person
from brewline.commands.shared import out
from brewline.entrance import entrance
from brewline.trail import note
from config.settings import load
from features.written import hint

users = typer.Typer(name="users", help="Who may look at the board.", no_args_is_help=True)


def board() -> None:
    """Serves the live board and its API until told to stop.

    Example: `brewline board`; `BREWLINE_BOARD__PORT=9000 brewline board`
    """
    from board.serve import serve

    serve(load())


@users.command()
def link(
    name: Annotated[str, typer.Argument(help="Who signs in by it.")],
    role: Annotated[list[str], typer.Option(help="marketing, security, engineer, store, auditor.")],
    store: Annotated[list[str] | None, typer.Option(help="Of a store manager: the stores that are theirs.")] = None,
) -> None:
    """Makes a link that signs somebody in, once, within ten minutes.

    Example: `brewline users link mei --role marketing`; `brewline users link li --role store --store 0012`
    """
    for one in role:
        if one not in ROLES:
            raise ValueError(f"users: --role: found {one!r}, expected one of {', '.join(ROLES)}{hint(one, ROLES)}")
    settings = load()
    note(settings, "board_link", f"user {name}")
    person = Person(name, frozenset(role), frozenset(store or ()))  # type: ignore[arg-type]
    out.print(entrance(settings, person), soft_wrap=True, highlight=False)
