"""Records that were used lately, kept as Redis holds them, so that a batch asks Redis only for the others.

Every commit writes through, so any record may be forgotten at any time: none is ever ahead of Redis.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

ENTRY_BYTES = 250  # what a dictionary and two objects take for one record, the record itself left out


class Cache:
    """Two generations: writes go to the young one; when that holds half of the budget, the old one is forgotten."""

    def __init__(self, budget_bytes: float) -> None:
        self.budget_bytes = budget_bytes
        self.young: dict[str, bytes] = {}
        self.old: dict[str, bytes] = {}

    def get(self, names: Iterable[str]) -> tuple[dict[str, bytes], list[str]]:
        """The records it holds of these, and the names of the others."""
        found: dict[str, bytes] = {}
        missing: list[str] = []
        young, old = self.young.get, self.old.get
        for name in names:
            raw = young(name) or old(name)
            if raw is None:
                missing.append(name)
            else:
                found[name] = raw
        return found, missing

    def put(self, records: Mapping[str, bytes]) -> None:
        if not records:
            return
        self.young.update(records)
        mean_bytes = sum(map(len, records.values())) / len(records)
        if len(self.young) * (mean_bytes + ENTRY_BYTES) > self.budget_bytes / 2:
            self.old, self.young = self.young, {}

    def drop(self, names: Iterable[str]) -> None:
        for name in names:
            self.young.pop(name, None)
            self.old.pop(name, None)
