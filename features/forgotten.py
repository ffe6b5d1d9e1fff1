"""Who has been forgotten: for each a tombstone, which says that somebody was, and not who.

A tombstone is a 64-bit hash of a customer id, and when it was set. The id is itself a keyed hash of an identifier
(`features/identity.py`), so without the key nobody can tell whose tombstone it is. Two ids of ten million share a hash
with one of a hundred thousand tombstones with a chance of 5 in 100 million.

Whoever comes back is somebody new. The id of a new customer is `first_name` of a pseudonym; where that has a
tombstone it is `next_name` of it, and so on until there is none: an id under a tombstone is never given again. The
time tells to which of these lives a late event belongs: one from before the tombstone is the forgotten customer's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np
from msgspec import Struct

from features.events import Event
from features.identity import first_name, next_name
from features.kernel.arrays import Ints
from features.kernel.words import hash_texts


class Past(Struct):
    """Of a pseudonym: until when its customers are forgotten, the id of the last, and of one who comes after."""

    until_ms: int
    last: str
    name: str


class Forgotten:
    """The tombstones that are known. They only become more."""

    def __init__(self, tombstones: Mapping[int, int] | None = None) -> None:
        self.since_ms: dict[int, int] = {}
        self.hashes: Ints = np.zeros(0, dtype=np.int64)
        self.add(tombstones or {})

    def __len__(self) -> int:
        return len(self.since_ms)

    def add(self, tombstones: Mapping[int, int]) -> None:
        """Hash → epoch ms; the first word on a hash stands."""
        if not tombstones.keys() <= self.since_ms.keys():
            self.since_ms = {**tombstones, **self.since_ms}
            self.hashes = np.sort(np.array(list(self.since_ms), dtype=np.int64))

    def among(self, names: Collection[str]) -> set[str]:
        """Those of these customer ids that have a tombstone."""
        if not self.since_ms or not names:
            return set()
        listed = list(names)
        hashes = hash_texts(listed)
        places = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return {listed[i] for i in np.flatnonzero(self.hashes[places] == hashes).tolist()}

    def pasts(self, pseudonyms: Iterable[str]) -> dict[str, Past]:
        """Of those pseudonyms under whose name somebody was forgotten."""
        names = {pseudonym: first_name(pseudonym) for pseudonym in pseudonyms} if self.since_ms else {}
        gone = self.among(names.values())
        return {pseudonym: self._past(name) for pseudonym, name in names.items() if name in gone}

    def _past(self, name: str) -> Past:
        until_ms, last = 0, name
        while (since_ms := self.since_ms.get(name_hash(name))) is not None:
            until_ms, last, name = max(until_ms, since_ms), name, next_name(name)
        return Past(until_ms, last, name)

    def names(self, customers: Collection[str], pseudonyms: Collection[str]) -> list[str]:
        """All ids of a customer who is to be forgotten: its own, and those that its pseudonyms would give anew.

        Where the forgetting was begun before, these are the ids that got a tombstone then.
        """
        begun_ms = {self.since_ms[name_hash(customer)] for customer in self.among(customers)}
        pasts = self.pasts(pseudonyms)
        more = {p: past.last if past.until_ms in begun_ms else past.name for p, past in pasts.items()}
        return sorted({*customers, *(more.get(p) or first_name(p) for p in pseudonyms)})


def living(
    events: list[tuple[int, Event, list[str]]],
    forgotten: Forgotten | None,
    pseudonyms: Collection[str],
    former: Mapping[str, list[str]],
) -> tuple[list[tuple[int, Event, list[str]]], dict[str, str]]:
    """The events without those of somebody who has been forgotten since; the ids of new customers, where not usual.

    `former`: what a pseudonym was under other keys: who was forgotten under one of them is forgotten.
    """
    pasts = forgotten.pasts(pseudonyms) if forgotten is not None else {}
    if not pasts:
        return events, {}
    until_ms = {p: past.until_ms for p, past in pasts.items()}
    for pseudonym, names in former.items():
        until_ms[pseudonym] = max(until_ms.get(name, 0) for name in (pseudonym, *names))
    kept = []
    for index, event, told in events:
        left = [p for p in told if event.at_ms > until_ms.get(p, 0)]
        if left or not told:
            kept.append((index, event, left))
    return kept, {pseudonym: past.name for pseudonym, past in pasts.items()}


def name_hash(name: str) -> int:
    return int(hash_texts([name])[0])


def tombstone_key(hash: int) -> str:
    """As it is written: 16 hex digits."""
    return hash.to_bytes(8, "big", signed=True).hex()


def tombstone_hash(key: str) -> int:
    return int.from_bytes(bytes.fromhex(key), "big", signed=True)
