"""What a gateway answered, what that means for the coupon, and when to try again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import Literal

from msgspec import Struct

TOO_MANY = 429
AGAIN = {408, TOO_MANY}
Verdict = Literal["delivered", "again", "refused"]


class Answer(Struct):
    """`status` is 0 when none came; `failure` then says why."""

    status: int = 0
    failure: Literal["", "timeout", "connection"] = ""
    retry_after_s: float | None = None
    seconds: float = 0.0  # from the start of the attempt
    retry: bool = False  # whatever the status says: it is not what was sent that is wrong

    @property
    def kind(self) -> str:
        """One of few words, for counting."""
        return self.failure or (str(TOO_MANY) if self.status == TOO_MANY else f"{self.status // 100}xx")

    @property
    def alive(self) -> bool:
        """Whether the gateway does its work, be it that it refuses the coupon."""
        return self.verdict != "again" or self.status == TOO_MANY

    @property
    def verdict(self) -> Verdict:
        if 200 <= self.status < 300 and not self.retry:
            return "delivered"
        if self.retry:
            return "again"
        return "again" if self.failure or self.status in AGAIN or self.status >= 500 else "refused"


def read_retry_after(text: str | None, now_ms: int) -> float | None:
    """Seconds to wait by a Retry-After header, which holds seconds or a date (RFC 9110, 10.2.3); None without one."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=timezone.utc)
    return max(0.0, at.timestamp() - now_ms / 1000)


def backoff_s(attempt: int, first_s: float, most_s: float, uniform: Callable[[float, float], float]) -> float:
    """A wait after so many attempts: exponential, with full jitter, so that many who wait do not come back at once."""
    return uniform(0.0, min(most_s, first_s * 2.0 ** min(attempt - 1, 60)))
