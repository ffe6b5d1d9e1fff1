"""What the house allows: consent, holdout, cap, quiet hours; and what it notes in the customer's ledger.

What a campaign adds to that stands in `campaign.py`.
"""

from __future__ import annotations

from hashlib import blake2b

from msgspec import Struct

from alerts.triggers.rule import Rule
from features.quiet import ALWAYS_AWAKE, QuietHours
from features.record import Ledger


class Policy(Struct, frozen=True):
    """`cap` coupons per customer within `cap_window_ms`; `holdout` of all customers get none (0 to 1)."""

    cap: int
    cap_window_ms: int
    holdout: float
    holdout_salt: str
    consent: str
    quiet: QuietHours = ALWAYS_AWAKE
    margin_percent: int = 60  # of an order, for what an arm has brought
    least_share: float = 0.05  # how often an arm is given at least (0 to 1), to go on learning of it

    def recent(self, ledger: Ledger, at_ms: int) -> list[int]:
        """Times of the coupons that count against the cap."""
        return [issued_ms for issued_ms in ledger.issued_ms if issued_ms > at_ms - self.cap_window_ms]

    def issue(self, rule: Rule, ledger: Ledger, at_ms: int, nothing: bool = False) -> None:
        """Keeps the coupons of two windows: an event up to one window late still finds those that count against it.

        `nothing`: it is the control that fires, which counts for cooldowns alone.
        """
        ledger.fired_ms[rule.id] = at_ms
        kept_ms = max([at_ms, *ledger.issued_ms]) - 2 * self.cap_window_ms
        counted = [at_ms] if rule.capped and not nothing else []
        ledger.issued_ms = [*(issued_ms for issued_ms in ledger.issued_ms if issued_ms > kept_ms), *counted]


def held_out(customer: str, salt: str, share: float) -> bool:
    """A customer's group never changes: it hangs on id and salt alone."""
    digest = blake2b(f"{salt}|{customer}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2**64
