"""A circuit breaker: a gateway that fails again and again is left alone for a while."""

from __future__ import annotations

from typing import Literal

State = Literal["closed", "open", "half-open"]


class Breaker:
    """Opens after `failures` in a row; after a pause one probe is let through, which closes it or opens it anew."""

    def __init__(self, failures: int, pause_s: float) -> None:
        self.failures = failures
        self.pause_s = pause_s
        self.in_a_row = 0
        self.opened_s: float | None = None
        self.probing = False

    def state(self, now_s: float) -> State:
        if self.opened_s is None:
            return "closed"
        return "half-open" if self.probing or now_s >= self.opened_s + self.pause_s else "open"

    def admits(self, now_s: float) -> bool:
        """Whether an attempt may start."""
        return not self.probing and self.state(now_s) != "open"

    def start(self) -> bool:
        """An attempt starts; whether it is the probe."""
        self.probing = self.opened_s is not None
        return self.probing

    def answered(self, alive: bool, probe: bool, now_s: float) -> None:
        """What was under way when the circuit opened says nothing of how things are now."""
        if self.opened_s is not None and not probe:
            return
        self.probing = False
        self.in_a_row = 0 if alive else self.in_a_row + 1
        if alive:
            self.opened_s = None
        elif probe or self.in_a_row >= self.failures:
            self.opened_s = now_s
