"""What the house allows: consent, holdout, caps, quiet hours; and what it notes in the customer's ledger.

What a campaign adds to that stands in `campaign.py`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b

from msgspec import Struct

from alerts.triggers.rule import Rule
from features.quiet import ALWAYS_AWAKE, QuietHours
from features.record import Ledger
from features.times import DAY_MS, parse_duration

_CAP = re.compile(r"([1-9]\d*) per ([1-9]\d*[smhd])")


class Cap(Struct, frozen=True):
    """So many within a window that moves on."""

    count: int
    window_ms: int

    @classmethod
    def read(cls, text: str) -> Cap:
        """Of "3 per 7d". Raises ValueError."""
        match = _CAP.fullmatch(text)
        if not match:
            raise ValueError(f"expected for example '3 per 7d', found {text!r}")
        return cls(int(match[1]), parse_duration(match[2]))

    @property
    def kept_ms(self) -> int:
        """An event that comes up to a window late, or a day, still finds what counts against it."""
        return self.window_ms + max(self.window_ms, DAY_MS)


class Policy(Struct, frozen=True):
    """`cap` coupons per customer within `cap_window_ms`; `holdout` of all customers get none (0 to 1)."""

    cap: int
    cap_window_ms: int
    holdout: float
    holdout_salt: str
    consent: str
    quiet: QuietHours = ALWAYS_AWAKE
    channel_caps: dict[str, Cap] = {}
    margin_percent: int = 60  # of an order, for what an arm has brought
    least_share: float = 0.05  # how often an arm is given at least (0 to 1), to go on learning of it

    def recent(self, ledger: Ledger, at_ms: int) -> list[int]:
        """Times of the coupons that count against the cap."""
        return [issued_ms for issued_ms in ledger.issued_ms if issued_ms > at_ms - self.cap_window_ms]

    def recent_on(self, channel: str, ledger: Ledger, at_ms: int) -> list[int]:
        """Times of what counts against the channel's cap."""
        since_ms = at_ms - self.channel_caps[channel].window_ms
        return [sent_ms for sent_ms in ledger.messages_ms.get(channel, ()) if sent_ms > since_ms]

    def issue(self, rule: Rule, ledger: Ledger, at_ms: int, nothing: bool = False, send_ms: int = 0) -> None:
        """Keeps the coupons of two windows: an event up to one window late still finds those that count against it.

        `send_ms`: when its message leaves, if not now; on its channel it counts then.
        `nothing`: it is the control that fires, which counts for cooldowns alone.
        """
        ledger.fired_ms[rule.id] = at_ms
        kept_ms = max([at_ms, *ledger.issued_ms]) - 2 * self.cap_window_ms
        counted = [at_ms] if rule.counted and not nothing else []
        ledger.issued_ms = [*(issued_ms for issued_ms in ledger.issued_ms if issued_ms > kept_ms), *counted]
        if not nothing and not rule.then.spends:
            self._count_message(rule.then.channel, ledger, send_ms or at_ms)
        if rule.exit:
            ledger.inside[rule.id] = at_ms

    def _count_message(self, channel: str, ledger: Ledger, at_ms: int) -> None:
        """On its channel everything counts that we send of ourselves, also what no cap asks."""
        if cap := self.channel_caps.get(channel):
            times_ms = [*ledger.messages_ms.get(channel, ()), at_ms]
            ledger.messages_ms[channel] = [ms for ms in times_ms if ms > max(times_ms) - cap.kept_ms]


@lru_cache(maxsize=4096)  # the gate and the receipt of a decision ask for the same
def held_out(customer: str, salt: str, share: float) -> bool:
    """A customer's group never changes: it hangs on id and salt alone."""
    hash = _salted(salt).copy()
    hash.update(customer.encode())
    return int.from_bytes(hash.digest(), "big") < share * 2**64


@lru_cache(maxsize=64)
def _salted(salt: str) -> blake2b:
    return blake2b(f"{salt}|".encode(), digest_size=8)
