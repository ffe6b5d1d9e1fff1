"""What is still to come, as a heap of steps: the discrete-event core of the simulation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import Any

from msgspec import Struct


class Record(Struct, gc=False):
    """One record at the moment it is sent; a tick is meant for every partition of its topic."""

    at_ms: int
    topic: str
    key: str
    value: bytes
    tick: bool = False


Step = Callable[..., Record | None]  # called with its moment and arguments; hands back what is sent at that moment


class Agenda:
    """Steps by moment; those of the same moment run in the order they were planned."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self._steps: list[tuple[int, int, Step, tuple[Any, ...]]] = []
        self._planned = 0

    def plan(self, at_ms: int, step: Step, *args: Any) -> None:
        """Raises ValueError for a moment that has passed: records would leave out of order."""
        if at_ms < self.now_ms:
            raise ValueError(f"{step.__name__} planned for {at_ms} ms, but it is {self.now_ms} ms")
        self._planned += 1
        heappush(self._steps, (at_ms, self._planned, step, args))

    def run(self, until_ms: int) -> Iterator[Record]:
        """Records of all steps before `until_ms`, in order of time."""
        while self._steps and self._steps[0][0] < until_ms:
            at_ms, _, step, args = heappop(self._steps)
            self.now_ms = at_ms
            record = step(at_ms, *args)
            if record is not None:
                yield record
        self.now_ms = until_ms
