"""What was taken from one partition, and how far all of it is done."""

from __future__ import annotations

from itertools import takewhile


class Window:
    """Offsets are taken in order and done in any; all before `reached` are done, so that it may be committed."""

    def __init__(self, reached: int) -> None:
        self.reached = reached
        self.taken: dict[int, bool] = {}  # offset → done, in order

    def take(self, offset: int) -> None:
        if not self.taken:
            self.reached = offset
        self.taken[offset] = False

    def finish(self, offset: int) -> None:
        self.taken[offset] = True
        for done in [*takewhile(self.taken.__getitem__, self.taken)]:
            del self.taken[done]
            self.reached = done + 1
        self.reached = next(iter(self.taken), self.reached)
