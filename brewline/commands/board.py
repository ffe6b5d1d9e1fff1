"""The board, and who may look at it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from board.access.person import Person
from board.access.users import Users, check
from brewline.commands.shared import out
from brewline.entrance import entrance, sessions
from brewline.trail import note
from config.settings import Settings, load
from flows.files import text
from operators.redis_link import connect_redis

Name = Annotated[str, typer.Argument(help="Who, as the audit trail will name them.")]
PasswordFile = Annotated[Path | None, typer.Option(help="Holds the password; without it, it is asked for.")]
Roles = Annotated[list[str], typer.Option("--role", help="marketing, security, engineer, store, auditor.")]
Stores = Annotated[list[str] | None, typer.Option("--store", help="Of a store manager: the stores that are theirs.")]
users = typer.Typer(name="users", help="Who may look at the board.", no_args_is_help=True)


def board() -> None:
    """Serves the live board and its API until told to stop.

    Example: `brewline board`; `BREWLINE_BOARD__PORT=9000 brewline board`
    """
    from board.serve import serve

    serve(load())


@users.command()
def add(name: Name, role: Roles, store: Stores = None, password_file: PasswordFile = None) -> None:
    """Adds somebody who signs in with a password, or changes their roles and password.

    Example: `brewline users add mei --role marketing`; `brewline users add li --role store --store 0012`
    """
    settings = load()
    person = _person(name, role, store)
    if password_file:
        password = text(password_file).strip()
    else:
        password = typer.prompt(f"password of {name}", hide_input=True, confirmation_prompt=True)
    note(settings, "board_user", f"user {name}: {' '.join(sorted(role))}")
    known = _known(settings)
    known.put(person, password)
    sessions(settings).close_all(name)  # they hold the roles of before
    out.print(f"{name} may sign in at {settings.board.address}", soft_wrap=True, highlight=False, markup=False)


@users.command("list")
def list_users() -> None:
    """Lists who signs in with a password.

    Example: `brewline users list`
    """
    table = Table("name", "roles", "stores", box=SIMPLE_HEAD)
    for user in _known(load()).all():
        person = user.person
        table.add_row(escape(person.name), " ".join(sorted(person.roles)), escape(" ".join(sorted(person.stores))))
    out.print(table)


@users.command()
def remove(name: Name) -> None:
    """Shuts somebody out: their password, their sessions, tokens and links end at once.

    Example: `brewline users remove mei`
    """
    settings = load()
    note(settings, "board_user", f"user {name}: removed")
    known, ended = _known(settings).remove(name), sessions(settings).close_all(name)
    if not known and not ended:
        raise ValueError(f"users: there is no user {name!r}: see `brewline users list`")
    out.print(f"{name} is shut out; sessions, tokens and links that ended: {ended}", highlight=False, markup=False)


@users.command()
def link(name: Name, role: Roles, store: Stores = None) -> None:
    """Makes a link that signs somebody in, once, within ten minutes.

    Example: `brewline users link mei --role marketing`; `brewline users link li --role store --store 0012`
    """
    settings, person = load(), _person(name, role, store)
    note(settings, "board_link", f"user {name}")
    out.print(entrance(settings, person), soft_wrap=True, highlight=False)


@users.command()
def token(
    name: Name,
    role: Roles,
    store: Stores = None,
    days: Annotated[int, typer.Option(help="Until it expires.", min=1, max=365)] = 90,
    writes: Annotated[bool, typer.Option("--writes", help="It may also change what its roles may.")] = False,
) -> None:
    """Makes a program's key for the API, shown this once; `brewline users remove NAME` ends it.

    Example: `brewline users token crm-sync --role marketing --days 30`, then
    `curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8080/api/v1/me`
    """
    settings, person = load(), _person(name, role, store)
    note(settings, "board_token", f"user {name}: {' '.join(sorted(role))}{' writes' if writes else ''}")
    out.print(sessions(settings).token(person, days * 86_400, not writes), soft_wrap=True, highlight=False)


def _person(name: str, roles: list[str], stores: list[str] | None) -> Person:
    person = Person(name, frozenset(roles), frozenset(stores or ()))  # type: ignore[arg-type]
    check(person)
    return person


def _known(settings: Settings) -> Users:
    return Users(connect_redis(settings.redis.url, settings.redis.start_timeout_s), settings.redis.prefix)
