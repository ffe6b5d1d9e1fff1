"""Nested events as flat ones: a field of a field is named with a dot between."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def flat(event: Mapping[str, Any]) -> dict[str, Any]:
    """Lists of mappings become, for each of their fields, the list of its values."""
    if not any(isinstance(value, Mapping | list) for value in event.values()):
        return dict(event)
    found: dict[str, Any] = {}
    for name, value in event.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{inner}": each for inner, each in flat(value).items()}
        elif isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
            _gather(name, value, found)
        else:
            found[name] = value
    return found


def _gather(name: str, values: list[Any], found: dict[str, Any]) -> None:
    plain = [each for each in values if not isinstance(each, Mapping)]
    if plain:
        found[name] = plain
    for value in values:
        for inner, each in (flat(value) if isinstance(value, Mapping) else {}).items():
            held: list[Any] = found.setdefault(f"{name}.{inner}", [])
            held += each if isinstance(each, list) else [each]
