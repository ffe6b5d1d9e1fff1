"""A mapping file: how the lines of one source become audit events, checked once, at load."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct, field

from features.events import AuditAccess
from features.written import hint, line_of, read_toml, told

OF_BREWLINE = {"at_ms", "day", "region", "customer", "who", "time", "trail", "before", "seal", "tz"}
FIELDS = tuple(n for n in (*AuditAccess.__struct_fields__, "customers") if n not in OF_BREWLINE)
Place = Annotated[str, Meta(min_length=1)]


class WrongMapping(ValueError):
    """A mapping file that cannot be used; the message names file, line, key, found and expected."""


class Route(Struct, frozen=True, forbid_unknown_fields=True):
    """Requests that match, with what they are; `{name}` takes one part of the path, `*` the rest of it."""

    match: Annotated[str, Meta(pattern=r"^(?:[A-Z]+|\*) /")]
    set: dict[str, str]


class Mapping(Struct, frozen=True, forbid_unknown_fields=True):
    """`fields`: audit field → where the line has it. `values`: of a field, what the line says → what it is called."""

    format: Literal["json", "access", "pgaudit"]
    time: Place = "time"
    timezone: str = ""  # of times without an offset, else UTC; a line that names a zone must name this one
    fields: dict[str, Place] = {}
    set: dict[str, str] = {}
    values: dict[str, dict[str, str]] = {}
    route: list[Route] = []
    customer_fields: list[str] = field(default_factory=lambda: ["object"])  # that may name one: pseudonyms


PARTS: dict[str, type[Struct]] = {"": Mapping, "route": Route}


def read_mapping(text: str, file: str) -> Mapping:
    """Raises WrongMapping."""
    raw = read_toml(text, file, WrongMapping, Mapping.__struct_fields__)
    try:
        mapping = msgspec.convert(raw, Mapping)
        ZoneInfo(mapping.timezone or "UTC")
    except msgspec.ValidationError as error:
        raise WrongMapping(told(error, raw, text, file, PARTS)) from error
    except (KeyError, ValueError, OSError) as error:
        found = f"timezone: found {raw['timezone']!r}, expected an IANA name"
        raise WrongMapping(f"{file}:{line_of(text, 'timezone')}: {found}") from error
    _check_names(mapping, text, file)
    return mapping


def _check_names(mapping: Mapping, text: str, file: str) -> None:
    placed = [name for route in mapping.route for name in (*route.set, *re.findall(r"\{(\w+)\}", route.match))]
    for name in (*mapping.fields, *mapping.set, *mapping.values, *mapping.customer_fields, *placed):
        if name not in FIELDS:
            where = f"{file}:{line_of(text, name)}"
            raise WrongMapping(f"{where}: an audit event has no field {name!r}{hint(name, FIELDS)}")
    if mapping.format == "json" and "actor" not in (*mapping.fields, *mapping.set):
        raise WrongMapping(f'{file}:1: fields: nothing says who it was: add actor = "user.name" or the like')
    if mapping.format == "access" and not mapping.route:
        raise WrongMapping(f'{file}:1: no route: add [[route]] with match = "GET /customers/{{object}}"')


def found_at(line: Any, place: str) -> Any:
    """What stands at `user.name` of an object of objects; None: nothing does."""
    for part in place.split("."):
        line = line.get(part) if isinstance(line, dict) else None
    return line
