"""Brewline's own trail: audit events chained by seals, so that what is changed, missing or out of order shows.

An entry's seal is a hash over all that is published of the entry, and the seal before it. Who could write a whole
chain anew, and what Redis knows of its end, is found by a seal that was noted elsewhere.
"""

from __future__ import annotations

import json
from collections import Counter
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
    """An entry as it stands in a log, with its place; `raw`: its bytes, for an entry shows no key that it lacks."""

    entry: Entry
    partition: int
    offset: int
    raw: bytes = b""  # nothing: as the entry is encoded


def sealed(entry: Entry, head: Head) -> Entry:
    """The entry as the next of the chain; its id is the same whenever it is sent again."""
    number = head.number + 1
    place = {"id": f"trail-{number}-{head.seal[:12]}", "trail": number, "before": head.seal}
    chained = replace(entry, **place, at_ms=0, seal="")  # the time of the log is not known yet
    return replace(chained, seal=_seal(chained))


def _seal(entry: Entry) -> str:
    return blake2b(encode(replace(entry, seal="")), digest_size=16).hexdigest()


def _odd(written: Written) -> str:
    """How the bytes differ from what the entry says, which is all that its seal covers; empty where they do not."""
    if not written.raw or written.raw == encode(written.entry):
        return ""
    keys = [name for name, _ in json.loads(written.raw, object_pairs_hook=list)]
    known = ("type", *written.entry.__struct_fields__)
    for name, times in Counter(keys).items():
        if name not in known:
            return f"has the key {name[:40]!r}, which was not sealed"
        if times > 1:
            return f"has the key {name!r} {times} times"
    return "is spelt in another way than it was written"


def faults(log: Iterable[Written], head: Head, since_ms: int = 0, noted: Head | None = None) -> list[str]:
    """What is wrong with the trail, in words; nothing is good.

    `head` is where it should end, `noted` an earlier end that somebody has kept. What was noted before `since_ms` may
    have run out of the log, partition by partition: so the oldest that is left is not where what is left begins.
    """
    first, found = dict[int, Written](), list[str]()
    reached = dict[int, int]()  # by partition: the last entry there
    for written in sorted(log, key=lambda each: (each.partition, each.offset)):
        entry, number = written.entry, written.entry.trail
        if number in first:
            if entry != first[number].entry or written.raw != first[number].raw:
                found.append(f"entry {number} stands there twice, and differs")
            continue
        if number < reached.get(written.partition, 0):
            found.append(f"entry {number} stands behind entry {reached[written.partition]}")
        reached[written.partition] = max(number, reached.get(written.partition, 0))
        first[number] = written
        if entry.seal != _seal(entry):
            found.append(f"entry {number} was changed")
        elif said := _odd(written):
            found.append(f"entry {number} {said}")
    numbers = sorted(first)
    missing = _missing(first, head, since_ms)
    found += [f"entry {a} is missing" if a == b else f"entries {a} to {b} are missing" for a, b in missing]
    for one, other in pairwise(numbers):
        if other == one + 1 and first[other].entry.before != first[one].entry.seal:
            found.append(f"entry {other} does not follow on entry {one} as it is")
    seals = {number: written.entry.seal for number, written in first.items()}
    return found + _ends(seals, head) + _ends_noted(seals, head, missing, noted)


def _missing(first: dict[int, Written], head: Head, since_ms: int) -> list[tuple[int, int]]:
    """First and last of each gap. Where those behind an entry as old as that may have run out, it is none."""
    noted_ms = {0: 0} | {number: int(written.entry.time) for number, written in first.items()}
    gaps = [(one, other) for one, other in pairwise([0, *sorted(first), head.number + 1]) if other > one + 1]
    return [(one + 1, other - 1) for one, other in gaps if noted_ms[one] >= since_ms]


def _ends(seals: dict[int, str], head: Head) -> list[str]:
    found = []
    if head.number in seals and seals[head.number] != head.seal:
        found.append(f"entry {head.number} is not the one that was written last")
    if seals and max(seals) > head.number:
        found.append(f"entry {max(seals)} stands there, and only {head.number} were written")
    return found


def _ends_noted(seals: dict[int, str], head: Head, missing: list[tuple[int, int]], noted: Head | None) -> list[str]:
    if noted is None:
        return []
    if noted.number in seals:
        same = seals[noted.number] == noted.seal
        return [] if same else [f"entry {noted.number} has another seal than was noted"]
    if noted.number > head.number or any(a <= noted.number <= b for a, b in missing):
        return [f"entry {noted.number}, whose seal was noted, is not there"]
    return []
