"""Writes the reference of commands and of settings from the code: `python -m brewline.reference`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import orjson
import typer.main
from msgspec import Struct

from brewline.cli import app
from config import gateways
from config.board import Company
from config.settings import Settings

FOLDER = Path(__file__).parent.parent / "docs/reference"
FIELD = re.compile(r"^    (\w+): .*?(?:  # (.*))?$", re.MULTILINE)
SET_BY = "Written by `python -m brewline.reference`; do not edit."


def pages() -> dict[str, str]:
    """By file name."""
    return {"cli.md": "\n".join(_commands()), "settings.md": "\n".join(_settings())}


def _commands() -> Iterator[str]:
    yield f"# Commands\n\n{SET_BY}\n\n`brewline COMMAND --help` says the same.\n"
    root = typer.main.get_command(app)
    yield from _options(root)
    for words, command in _walk(root, ()):
        usage = " ".join(_metavar(one) for one in command.params if one.param_type_name == "argument")
        yield f"## brewline {' '.join(words)}\n"
        yield f"{inspect.cleandoc(command.help or '')}\n"
        if not hasattr(command, "commands"):
            yield f"```text\n{' '.join(filter(None, ('brewline', *words, usage)))}\n```\n"
        yield from _options(command)


def _walk(group: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in sorted(group.commands.items()):
        yield (*words, name), command
        if hasattr(command, "commands"):
            yield from _walk(command, (*words, name))


def _metavar(argument: Any) -> str:
    name = argument.name.upper() + ("..." if argument.nargs != 1 else "")
    return name if argument.required else f"[{name}]"


def _options(command: Any) -> Iterator[str]:
    rows = [_option(one) for one in command.params if "--help" not in one.opts and "completion" not in one.name]
    if rows:
        yield "| | |\n| --- | --- |"
        yield "\n".join(rows) + "\n"


def _option(one: Any) -> str:
    name = one.name.upper() if one.param_type_name == "argument" else ", ".join(one.opts)
    text = (getattr(one, "help", None) or "").replace("|", "\\|")
    given = one.default not in (None, "", False) and not callable(one.default) and not one.required
    return f"| `{name}` | {text}{f' Default: `{one.default}`.' if given else ''} |"


def _settings() -> Iterator[str]:
    yield f"# Settings\n\n{SET_BY}\n"
    yield (
        "They stand in a TOML file that `BREWLINE_SETTINGS` names (default: the shipped `config/brewline.toml`). Each"
        " can come from the environment instead, where tables and lists are JSON. What is unknown or does not fit is"
        " refused with its name and with what was expected.\n"
    )
    yield from _section("", Settings)
    for field in msgspec.structs.fields(Settings):
        if isinstance(field.type, type) and issubclass(field.type, Struct):
            yield from _section(field.name, field.type)
    yield from _section("board.company", Company)
    yield from _section("dispatch.gateways.<name>", gateways.Gateway)


def _section(name: str, shape: type[Struct]) -> Iterator[str]:
    notes = dict(FIELD.findall(inspect.getsource(shape)))
    yield f"## [{name}]\n" if name else "## At the top of the file\n"
    yield "| key | from the environment | default | |\n| --- | --- | --- | --- |"
    for field in msgspec.structs.fields(shape):
        if (isinstance(field.type, type) and issubclass(field.type, Struct)) or field.name == "folder":
            continue
        variable = f"`BREWLINE_{name}__{field.name}`".upper() if name and "." not in name else "–"
        default = "needed" if field.required else f"`{_toml(field)}`"
        yield f"| `{field.name}` | {variable} | {default} | {notes.get(field.name, '').replace('|', chr(92) + '|')} |"
    yield ""


def _toml(field: Any) -> str:
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    return orjson.dumps(value).decode()  # of the values that there are, TOML is the same but for empty tables


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text.rstrip() + "\n", "utf-8")


if __name__ == "__main__":
    main()
