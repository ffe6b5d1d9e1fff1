"""A token bucket: how often a gateway may be asked."""

from __future__ import annotations


class Bucket:
    """Fills evenly with `rate_per_s` tokens up to one second's worth, at least one."""

    def __init__(self, rate_per_s: float, now_s: float) -> None:
        self.rate_per_s = rate_per_s
        self.size = max(1.0, rate_per_s)
        self.tokens = self.size
        self.at_s = now_s  # when `tokens` was counted; in the future while it is paused

    def take(self, now_s: float) -> bool:
        """Takes a token, if there is one."""
        if now_s > self.at_s:
            self.tokens = min(self.size, self.tokens + (now_s - self.at_s) * self.rate_per_s)
            self.at_s = now_s
        if now_s < self.at_s or self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True

    def pause(self, until_s: float) -> None:
        """No token until then, and one at first."""
        if until_s > self.at_s:
            self.at_s, self.tokens = until_s, 1.0
