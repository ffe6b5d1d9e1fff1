"""From a settings file's tables and environment variables to plain values; what is wrong, in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec import Struct

from config import gateways

READ_ELSEWHERE = {  # variables that are no settings
    "BREWLINE_SETTINGS",
    "BREWLINE_IDENTITY_KEY",
    "BREWLINE_FORMER_IDENTITY_KEY",
    "BREWLINE_COUPON_KEY",
    "BREWLINE_FORMER_COUPON_KEY",
    "BREWLINE_CACHE",
    "BREWLINE_REQUIRE_REAL",
    "BREWLINE_AS",
    "BREWLINE_PURPOSE",
}
SINK_SECRET = "BREWLINE_SINK_SECRET_"  # and the sink's name


class WrongSettings(ValueError):
    """A settings file that cannot be used; the message names file, key, found and expected."""


def refuse_unknown(raw: dict[str, Any], shape: type[Struct], where: str) -> None:
    known = _types(shape)
    for key, value in raw.items():
        if key not in known:
            raise WrongSettings(f"{where}: unknown key {key!r}; {hint_of(key, known)}")
        if isinstance(value, dict) and _is_section(known[key]):
            refuse_unknown(value, known[key], f"{where}: [{key}]")


def _types(shape: type[Struct]) -> dict[str, Any]:
    return {f.name: f.type for f in msgspec.structs.fields(shape)}


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


def hint_of(key: str, known: Iterable[str], otherwise: str | None = None) -> str:
    close = get_close_matches(key, known, 1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"expected one of {', '.join(known)}" if otherwise is None else otherwise


def override(raw: dict[str, Any], shape: type[Struct], environ: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """Writes BREWLINE_SECTION__KEY values into `raw`; the variables by section and key."""
    sections = {name: kind for name, kind in _types(shape).items() if _is_section(kind)}
    named: dict[tuple[str, str], str] = {}
    for name, value in environ.items():
        if not name.startswith("BREWLINE_") or name in READ_ELSEWHERE:
            continue
        if name.startswith((gateways.SECRET, SINK_SECRET)):
            continue
        section, double, key = name.removeprefix("BREWLINE_").lower().partition("__")
        if not double:
            every = [f"BREWLINE_{s}__{key}".upper() for s, kind in sections.items() for key in _types(kind)]
            hint = hint_of(name, [*every, *READ_ELSEWHERE], "settings are BREWLINE_SECTION__KEY")
            raise WrongSettings(f"environment variable {name}: unknown; {hint}")
        if section not in sections:
            raise WrongSettings(
                f"environment variable {name}: unknown section {section!r}; {hint_of(section, sections)}"
            )
        known = _types(sections[section])
        if key not in known:
            raise WrongSettings(f"environment variable {name}: unknown key {key!r}; {hint_of(key, known)}")
        table = raw.setdefault(section, {})
        if isinstance(table, dict):  # else it is refused with the file
            table[key] = _plain(value, known[key], name)
        named[section, key] = name
    return named


def _plain(text: str, kind: Any, name: str) -> Any:
    """A value as it is typed; numbers are written plainly, tables and lists as JSON."""
    if get_origin(kind) in (dict, list) or _is_section(kind):
        return _table(text, kind, name)
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        raise WrongSettings(f"environment variable {name}: found {text!r}; {_expected(str(error), kind)}") from error


def _table(text: str, kind: Any, name: str) -> Any:
    try:
        if _is_section(kind):
            return msgspec.to_builtins(msgspec.json.decode(text, type=kind))
        return msgspec.json.decode(text, type=dict[str, Any] if _is_section(get_args(kind)[-1]) else kind)
    except msgspec.DecodeError as error:  # what was found may hold a password
        example = {dict: '{"security.protocol": "SSL"}', list: '["former.key"]'}.get(get_origin(kind))
        example = example or f'{{"{next(iter(_types(kind)))}": …}}'
        raise WrongSettings(f"environment variable {name}: expected JSON such as {example}: {error}") from error


def place_of(error: msgspec.ValidationError, raw: dict[str, Any], shape: type[Struct]) -> str:
    """msgspec's "Expected X, got Y - at `$.a.b`" as "[a] b: found ...; expected X"."""
    text, _, at = str(error).partition(" - at `$.")
    keys = re.split(r"[`\[]", at)[0].split(".")  # within a table of free keys, the path ends in [...]
    found, kind = raw, shape
    for key in keys:
        found, kind = found[key], _types(kind)[key]
    name = f"[{keys[0]}] {keys[1]}" if len(keys) > 1 else keys[0]
    said = f"a table of {', '.join(found)}" if isinstance(found, dict) else repr(found)  # it may hold a password
    return f"{name}: found {said}; {_expected(text, kind)}"


def _expected(text: str, kind: Any) -> str:
    """What was expected, in msgspec's words, or as the values that there are."""
    if get_origin(kind) is Literal:
        return f"expected one of {', '.join(get_args(kind))}"
    return f"{text[:1].lower()}{text[1:]}"
