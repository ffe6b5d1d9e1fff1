"""Quiet hours: when customers are not to be disturbed, by the clock where they are."""

from __future__ import annotations

from msgspec import Struct

from features.times import DAY_MS, MINUTE_MS


class QuietHours(Struct, frozen=True):
    """From one minute of the day up to another, past midnight where that is the smaller; none where both are one."""

    start: int = 0
    end: int = 0

    @property
    def from_ms(self) -> int:
        return self.start * MINUTE_MS

    @property
    def length_ms(self) -> int:
        return (self.end - self.start) * MINUTE_MS % DAY_MS

    def left_ms(self, local_ms: int) -> int:
        """How long they still last at a local time; 0 outside of them."""
        return max(0, self.length_ms - (local_ms - self.from_ms) % DAY_MS)


ALWAYS_AWAKE = QuietHours()
