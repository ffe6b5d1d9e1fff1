"""A mapping file: how the lines of one source become audit events, checked once, at load."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct, field

from features.events import AuditAccess
from features.written import hint, line_of, read_toml, told

NUMBERS = ("rows", "without_consent")
NUMBER = re.compile(r"[0-9]{1,12}")
OF_BREWLINE = {"at_ms", "day", "region", "customer", "who", "time", "trail", "before", "seal", "tz"}
FIELDS = tuple(n for n in (*AuditAccess.__struct_fields__, "customers") if n not in OF_BREWLINE)
MOST_STARS = 2  # each more multiplies what a path takes by its length
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
    _check_texts(raw, text, file)
    try:
        mapping = msgspec.convert(raw, Mapping)
        ZoneInfo(mapping.timezone or "UTC")
    except msgspec.ValidationError as error:
        for name, of in raw["values"].items() if isinstance(raw.get("values"), dict) else ():
            if not isinstance(of, dict):
                said = f"values.{name}: found {of!r:.60}, expected a table: [values.{name}] with a line for each word"
                raise WrongMapping(f"{file}:{line_of(text, name)}: {said}") from error
        raise WrongMapping(told(error, raw, text, file, PARTS)) from error
    except (KeyError, ValueError, OSError) as error:
        found = f"timezone: found {raw['timezone']!r}, expected an IANA name"
        raise WrongMapping(f"{file}:{line_of(text, 'timezone')}: {found}") from error
    _check_names(mapping, text, file)
    _check_routes(mapping, text, file)
    _check_numbers(raw, text, file)
    return mapping


def _written(raw: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """What a file says of single fields, one by one: table, key and value; other shapes are told by their type."""
    routes, values = raw.get("route"), raw.get("values")
    tables = [(f"{name}.", raw.get(name)) for name in ("fields", "set")]
    tables += [("route.set.", route.get("set")) for route in _list(routes) if isinstance(route, dict)]
    if isinstance(values, dict):
        tables += [(f"values.{name}.", of) for name, of in values.items()]
    for where, table in tables:
        if isinstance(table, dict):
            yield from ((where, name, value) for name, value in table.items())


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []


def _check_routes(mapping: Mapping, text: str, file: str) -> None:
    for route in mapping.route:
        if (stars := route.match.partition(" ")[2].count("*")) > MOST_STARS:
            said = f"route.match: found {route.match!r}, which has {stars} times *; a path takes {MOST_STARS} at most"
            raise WrongMapping(f"{file}:{line_of(text, route.match)}: {said}")
        for name, times in Counter(re.findall(r"\{(\w+)\}", route.match)).items():
            if times > 1:
                said = (
                    f"route.match: found {route.match!r}, which names {{{name}}} {times} times; write * for the others"
                )
                raise WrongMapping(f"{file}:{line_of(text, route.match)}: {said}")


def _check_texts(raw: dict[str, Any], text: str, file: str) -> None:
    for where, name, value in _written(raw):
        if not isinstance(value, str) or not value:
            said = f"{where}{name}: found {value!r:.60}, expected a text in quotes"
            raise WrongMapping(f"{file}:{line_of(text, name)}: {said}")


def _check_numbers(raw: dict[str, Any], text: str, file: str) -> None:
    for where, name, value in _written(raw):
        field = where.split(".")[1] if where.startswith("values.") else "" if where == "fields." else name
        if field in NUMBERS and not NUMBER.fullmatch(value):
            found = f"{where}{name}: found {value!r}, expected a whole number in quotes, such as '1'"
            raise WrongMapping(f"{file}:{line_of(text, name)}: {found}")


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
