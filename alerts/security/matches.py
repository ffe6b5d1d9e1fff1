"""What the groups of a correlation that spans partitions are told: audit.events → `audit.matches`, keyed by group.

Neither who was touched nor what was searched for is in it: of an object there is a hash.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct, json

from alerts.security.finding import hashed
from alerts.sigma.correlating import Correlation
from alerts.sigma.reading import Rules


class Match(Struct, tag="match", omit_defaults=True):
    """An event that counts in one group of a correlation, as the parts in `mask`; `fields`: what is still looked at."""

    rule: str
    values: tuple[str, ...]
    mask: int
    event: str
    at_ms: int
    stamp_ms: int  # Kafka timestamp of the audit event
    store: str = ""
    fields: dict[str, Any] = {}
    shape: str = ""  # of the correlation when this was sent: one that was edited since counts other groups


class Mark(Struct, tag="mark"):
    """How far one of `of` partitions of audit.events has come in event time."""

    source: int
    of: int
    at_ms: int


encode_match = json.Encoder().encode
decode_match = json.Decoder(Match | Mark).decode


def spanning(rules: Rules) -> frozenset[int]:
    """Correlations, by place, whose groups are not of one actor, or that count such."""
    found = set[int]()
    for place, rule in enumerate(rules.correlations):
        of_actor = "actor" in rule.group_by and "actor" not in rule.aliases
        if not of_actor or any(part.chained and part.place in found for part in rule.parts):
            found.add(place)
    return frozenset(found)


def carried(rules: Rules, places: frozenset[int]) -> dict[int, frozenset[str]]:
    """The fields that each correlation and all that count it look at once its groups are known."""
    found = {place: frozenset(rules.correlations[place].fields) for place in places}
    for place in sorted(places, reverse=True):
        for part in rules.correlations[place].parts:
            if part.chained and part.place in found:
                found[part.place] |= found[place] | {*grouped(rules.correlations[place])}
    return found


def grouped(rule: Correlation) -> Iterator[str]:
    """The fields that it is grouped by, in any of its parts."""
    for name in rule.group_by:
        yield name
        yield from rule.aliases.get(name, {}).values()


def counted(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an event as correlations see them."""
    return {**fields, "object": hashed("object", fields["object"])} if "object" in fields else {**fields}
