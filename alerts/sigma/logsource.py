"""Where events come from, and which rules look at them."""

from __future__ import annotations

from typing import NamedTuple


class LogSource(NamedTuple):
    """Of a rule: what its events must have, "" where any will do. Of an event: what it has."""

    product: str = ""
    category: str = ""
    service: str = ""

    def covers(self, event: LogSource) -> bool:
        return all(not wanted or wanted == found for wanted, found in zip(self, event, strict=True))

    def __str__(self) -> str:
        return ", ".join(f"{name}: {value}" for name, value in zip(self._fields, self, strict=True) if value)
