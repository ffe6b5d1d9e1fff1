"""Which labelled rows a model has had before: sets of short hashes of their ids, by model and the day of `known_ms`.

After a crash rows are sent again, cut into other messages; a row's id stays the same. A set is dropped whole `KEPT_MS`
after it was last added to: about 64 bytes a row in Redis until then. What comes again even later is learned from again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from msgspec import Struct, field

from features.labels import Examples
from features.seen import id_hash
from features.times import DAY_MS

KEPT_MS = 7 * DAY_MS
_PREFIX = "rows|"


def is_set(name: str) -> bool:
    """Also of its timer."""
    return name.startswith(_PREFIX)


def marks(told: Examples) -> list[tuple[str, bytes]]:
    """By row: the set that it belongs to, and its hash there."""
    days = (f"{_PREFIX}{told.model}|{known_ms // DAY_MS}" for known_ms in told.known_ms)
    return list(zip(days, map(id_hash, told.ids), strict=True))


def asked(every: Iterable[Examples]) -> dict[str, list[bytes]]:
    """By set, the hashes to look up in it."""
    found: dict[str, list[bytes]] = {}
    for told in every:
        for name, mark in marks(told):
            found.setdefault(name, []).append(mark)
    return found


class Repeats(Struct):
    """Sorts out what is `known`, and notes the others."""

    known: set[tuple[str, bytes]]
    now_ms: int
    seen: dict[str, list[bytes]] = field(default_factory=dict)
    timers: dict[str, int | None] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=lambda: Counter(labels=0))

    def fresh(self, told: Examples) -> Examples:
        """The rows that were not there before."""
        rows = []
        for row, (mark, known_ms) in enumerate(zip(marks(told), told.known_ms, strict=True)):
            if mark not in self.known:
                self.known.add(mark)
                self.seen.setdefault(mark[0], []).append(mark[1])
                self.timers[mark[0]] = max(self.now_ms, (known_ms // DAY_MS + 1) * DAY_MS) + KEPT_MS
                rows.append(row)
        self.counts["labels"] += len(rows)
        if len(rows) < len(told.ids):
            self.counts["labels_repeated"] += len(told.ids) - len(rows)
        return told.only(rows)
