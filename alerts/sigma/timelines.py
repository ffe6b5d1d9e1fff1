"""Written events as a stream sees them, for the tests beside rules and for cases that others publish."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from alerts.sigma.flatten import flat
from alerts.sigma.logsource import LogSource
from alerts.sigma.reading import Rules
from alerts.sigma.stream import Stream, Told
from features.times import DAY_MS, parse_duration, parse_offset


def firings(rules: Rules, ids: set[str], events: Iterable[Mapping[str, Any]], source: LogSource) -> list[int]:
    """Event times, in ms from the start, at which the rules with these ids fire. Raises ValueError."""
    told = sorted(
        (each for n, event in enumerate(events) for each in repeated(event, n, source)), key=lambda e: e.at_ms
    )
    stream = Stream(rules, lateness_ms=999 * DAY_MS)
    alerts = [*stream.feed(told), *stream.end(2 * 999 * DAY_MS)]
    return [alert.at_ms for alert in alerts if alert.rule_id in ids]


def repeated(written: Mapping[str, Any], number: int, source: LogSource) -> list[Told]:
    """`at`, `repeat`, `every` and `logsource` say when and whence; all else are fields, {n} its number."""
    fields = dict(written)
    at_ms, every_ms = parse_offset(str(fields.pop("at", "+0s"))), parse_duration(str(fields.pop("every", "1m")))
    times = msgspec.convert(fields.pop("repeat", 1), int)
    whence = LogSource(**msgspec.convert(fields.pop("logsource", source._asdict()), dict[str, str]))
    return [Told(whence, at_ms + n * every_ms, f"e{number}-{n}", flat(_numbered(fields, n))) for n in range(times)]


def _numbered(value: Any, n: int) -> Any:
    if isinstance(value, str):
        return value.replace("{n}", str(n))
    if isinstance(value, dict):
        return {name: _numbered(each, n) for name, each in value.items()}
    return [_numbered(each, n) for each in value] if isinstance(value, list) else value


def windows_event(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a Windows event as JSON, under the names that Sigma rules use."""
    event = raw.get("Event", raw)
    found: dict[str, Any] = {}
    for name, value in event.get("System", {}).items():
        if isinstance(value, dict):
            attributes = value.get("#attributes") or {}
            found |= {f"{name}_{inner}": each for inner, each in attributes.items()}
            found |= {name: value["#text"]} if "#text" in value else attributes
        else:
            found[name] = value
    for part in ("EventData", "UserData"):
        found |= _data(event.get(part) or {})
    return {name: value for name, value in found.items() if value is not None}


def _data(data: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in data.items():
        if isinstance(value, dict):
            found |= _data(value)
        elif name != "#attributes":
            found[name.replace(" ", "")] = value
    return found
