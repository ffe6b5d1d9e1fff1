"""The timers of one batch, old and new, in the order in which they are due."""

from __future__ import annotations

from heapq import heappop, heappush


class Agenda:
    """`timers` is what the store must learn: due_ms, or None once a timer has gone off."""

    def __init__(self, due: list[tuple[int, str]]) -> None:
        self._heap = list(due)  # sorted, so a heap
        self.timers: dict[str, int | None] = {timer: due_ms for due_ms, timer in due}

    def set(self, timer: str, due_ms: int) -> None:
        if self.timers.get(timer) != due_ms:
            self.timers[timer] = due_ms
            heappush(self._heap, (due_ms, timer))

    def leave(self, timer: str, due_ms: int) -> None:
        """Sets a timer for a later batch, even if it is due in this one."""
        self.timers[timer] = due_ms

    def pop(self, now_ms: int) -> tuple[int, str] | None:
        """The next timer due, or None."""
        while self._heap and self._heap[0][0] <= now_ms:
            due_ms, timer = heappop(self._heap)
            if self.timers.get(timer) == due_ms:
                self.timers[timer] = None
                return due_ms, timer
        return None
