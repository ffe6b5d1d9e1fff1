"""Brewline's own trail: audit events chained by seals, so that what is changed, missing or out of order shows.

An entry's seal is a hash over the entry and the seal before it. Who could write a whole chain anew, and what Redis
knows of its end, is found by a seal that was noted elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from itertools import pairwise
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from features.audited import AuditAccess, AuditExport
from features.events import encode

Entry: TypeAlias = AuditAccess | AuditExport


class Head(Struct, array_like=True):
    """The end of the chain."""

    number: int = 0
    seal: str = ""


class Written(Struct):
    """An entry as it stands in a log, with its place there."""

    entry: Entry
    partition: int
    offset: int


def sealed(entry: Entry, head: Head) -> Entry:
    """The entry as the next of the chain; its id is the same whenever it is sent again."""
    number = head.number + 1
    chained = replace(entry, id=f"trail-{number}-{head.seal[:12]}", trail=number, before=head.seal, seal="")
    return replace(chained, seal=_seal(chained))


def _seal(entry: Entry) -> str:
    return blake2b(encode(replace(entry, seal="", at_ms=0)), digest_size=16).hexdigest()


def faults(log: Iterable[Written], head: Head, expired: bool = False, noted: Head | None = None) -> list[str]:
    """What is wrong with the trail, in words; nothing is good.

    `head` is where it should end, `noted` an earlier end that somebody has kept. `expired`: the log's beginning is
    no longer kept, so that the trail may begin later.
    """
    first, found = dict[int, Written](), list[str]()
    reached = dict[int, int]()  # by partition: the last entry there
    for written in sorted(log, key=lambda each: (each.partition, each.offset)):
        entry, number = written.entry, written.entry.trail
        if number in first:
            if entry != first[number].entry:
                found.append(f"entry {number} stands there twice, and differs")
            continue
        if number < reached.get(written.partition, 0):
            found.append(f"entry {number} stands behind entry {reached[written.partition]}")
        reached[written.partition] = max(number, reached.get(written.partition, 0))
        first[number] = written
        if entry.seal != _seal(entry):
            found.append(f"entry {number} was changed")
    numbers = sorted(first)
    found += _gaps(numbers, head, expired)
    for one, other in pairwise(numbers):
        if other == one + 1 and first[other].entry.before != first[one].entry.seal:
            found.append(f"entry {other} does not follow on entry {one} as it is")
    return found + _ends({number: written.entry.seal for number, written in first.items()}, head, noted)


def _gaps(numbers: list[int], head: Head, expired: bool) -> list[str]:
    start = numbers[0] if numbers and expired else 1
    edges = [start - 1, *numbers, head.number + 1]
    spans = [(one + 1, other - 1) for one, other in pairwise(edges) if other > one + 1]
    return [f"entry {a} is missing" if a == b else f"entries {a} to {b} are missing" for a, b in spans]


def _ends(seals: dict[int, str], head: Head, noted: Head | None) -> list[str]:
    found = []
    if head.number in seals and seals[head.number] != head.seal:
        found.append(f"entry {head.number} is not the one that was written last")
    if seals and max(seals) > head.number:
        found.append(f"entry {max(seals)} stands there, and only {head.number} were written")
    if noted is not None and noted.number not in seals:
        found.append(f"entry {noted.number}, whose seal was noted, is not there")
    elif noted is not None and seals[noted.number] != noted.seal:
        found.append(f"entry {noted.number} has another seal than was noted")
    return found
