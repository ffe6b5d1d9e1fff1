"""Points that a customer gave for coupons, as the ledger keeps them: no balance knows of some of them yet."""

from __future__ import annotations

from msgspec import Struct

SETTLED = 256  # that are kept: the latest


class Purse(Struct, array_like=True):
    """Spendings go by the 64-bit hash of their event's id."""

    promised: dict[int, int] = {}  # the points of those whose event has not come back yet
    settled: list[int] = []  # those whose event has come, in order
    spent_ms: int = 0  # the latest time of any, be it for something else

    @property
    def points(self) -> int:
        """Those that no balance knows of yet."""
        return sum(self.promised.values())

    def knows(self, id: int) -> bool:
        return id in self.promised or id in self.settled

    def promise(self, id: int, points: int, at_ms: int) -> None:
        self.promised[id] = points
        self.spent_ms = max(self.spent_ms, at_ms)

    def settle(self, id: int, at_ms: int) -> None:
        """The balance knows of it from now on. Of points that were spent otherwise, the time is noted."""
        self.spent_ms = max(self.spent_ms, at_ms)
        if self.promised.pop(id, None) is not None:
            self.settled = [*self.settled, id][-SETTLED:]

    def merge(self, other: Purse) -> Purse:
        """What either has promised is promised by both."""
        settled = list(dict.fromkeys([*other.settled, *self.settled]))[-SETTLED:]
        promised = {**other.promised, **self.promised}
        left = {id: points for id, points in promised.items() if id not in settled}
        return Purse(left, settled, max(self.spent_ms, other.spent_ms))
