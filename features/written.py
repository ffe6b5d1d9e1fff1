"""What people write in TOML: read, and told by line what is wrong with it."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

import msgspec
from msgspec import Struct

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


LISTED = 24
BACKSLASH, BACKSLASHES = "\\", "\\\\"
_REGEX = re.compile(r"`str` matching regex '(.*)'")
PATTERNS = {  # what texts that must match say when they do not
    "^[a-z0-9][a-z0-9-]{0,63}$": "lower-case letters, digits and hyphens, at most 64, such as 'winback-14d'",
    "^[a-z0-9][a-z0-9-]{0,31}$": "lower-case letters, digits and hyphens, at most 32, such as 'five-off'",
    "^[a-z][a-z0-9_]*$": "the name of a feature, such as 'points_balance'",
    r"^([01]\d|2[0-3]):[0-5]\d$": "a time of the day, such as '10:00'",
    r"^(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$": "a month and a day, such as '05-18'",
    "^[A-Z]{3}$": "three capitals, such as 'CNY'",
}


def read_toml(text: str, file: str, wrong: type[ValueError], known: Collection[str] | None = None) -> dict[str, Any]:
    """The tables and keys of a file's text. Raises `wrong` for what is no TOML, and for a key that is not `known`."""
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise wrong(f"{file}: not valid TOML: {error}") from error
    for key in raw:
        if known is not None and key not in known:
            raise wrong(f"{file}:{line_of(text, key)}: unknown key {key!r}{hint(key, known)}")
    return raw


def told(
    error: msgspec.ValidationError,
    raw: dict[str, Any],
    text: str,
    file: str,
    parts: Mapping[str, type[Struct]],
) -> str:
    """msgspec's "Expected X, got Y - at `$.then.coupon`" with line, key and what was found."""
    said, _, at = str(error).partition(" - at `$")
    keys = re.findall(r"\w+", at)
    where = ".".join(key for key in keys if not key.isdigit())
    part, before = keys[0] if keys else "", f"{where}: " if where else ""
    inner = next((key for key in reversed(keys) if key in parts), part)
    if unknown := re.search("unknown field `(.*)`", said):
        known = [f.name for f in msgspec.structs.fields(parts[inner])]
        return f"{file}:{line_of(text, unknown[1])}: {before}unknown key {unknown[1]!r}{hint(unknown[1], known)}"
    if missing := re.search("missing required field (`.*`)", said):
        return f"{file}:{line_of(text, part)}: {before}{missing[1]} is missing"
    found, name = _at(raw, keys), where.rpartition(".")[2]
    if said.startswith("Invalid enum value") and (words := _words(parts.get(inner, parts.get("")), name)):
        return f"{file}:{line_of(text, part)}: {where}: found {found!r}{hint(found, words)}"
    return f"{file}:{line_of(text, part)}: {plainly(error, raw)}"


def plainly(error: msgspec.ValidationError, raw: dict[str, Any]) -> str:
    """msgspec's words with the key and what was found before them, and a regular expression in words."""
    said, _, at = str(error).partition(" - at `$")
    keys = re.findall(r"\w+", at)
    where = ".".join(key for key in keys if not key.isdigit())
    expected = f"{said[:1].lower()}{said[1:]}"
    if pattern := _REGEX.search(said):
        expected = f"expected {PATTERNS.get(pattern[1].replace(BACKSLASHES, BACKSLASH), pattern[0])}"
    return f"{where}: found {_at(raw, keys)!r}, {expected}" if where and "missing" not in said else expected


def _at(raw: Any, keys: list[str]) -> Any:
    for key in keys:
        raw = raw[int(key) if key.isdigit() else key]
    return raw


def _words(table: type[Struct] | None, key: str) -> list[str]:
    """What a key can say, if it is one of some words."""
    types = [field.type for field in msgspec.structs.fields(table) if field.name == key] if table else []
    found = [msgspec.inspect.type_info(type) for type in types]
    return [str(v) for one in found if isinstance(one, msgspec.inspect.LiteralType) for v in one.values if v]


def line_of(text: str, word: str) -> int:
    """Line of a key, a value or a table of this name, sought in this order; 1 where there is none."""
    name = re.escape(word)
    for pattern in (rf"^[ \t]*{name}[ \t]*=", rf"[{{,]\s*{name}[ \t]*=", rf'"{name}"', rf"^\[+{name}\]"):
        if found := re.search(pattern, text, re.MULTILINE):
            return text.count("\n", 0, found.end()) + 1
    return 1


def hint(name: str, known: Any) -> str:
    """What was meant: a name nearly alike, else one that begins so, else one a little alike; or all there are."""
    names = list(known)
    longer = sorted((one for one in names if name and one.startswith(name)), key=len)
    close = get_close_matches(name, names, 1, 0.75) or longer or get_close_matches(name, names, 1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {_listed(sorted(names))}"


def _listed(names: list[str]) -> str:
    """Nobody reads a hundred of them."""
    more = len(names) - LISTED
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:LISTED])} and {more} more"
