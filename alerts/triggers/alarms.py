"""Timers of the customers flow by name: a customer's own, and those of what waits for one."""

from __future__ import annotations

from collections.abc import Iterable

SENDS, SETTLES, LACKS = "send|", "referral|", "lacks|"
"""Before the customer: messages that are held, a friend's first order, timers of rules that have come since."""
KINDS = ("", SENDS, SETTLES, LACKS)


def whose(timer: str) -> str:
    """The customer whom a timer is about."""
    return timer.removeprefix(SENDS).removeprefix(SETTLES).removeprefix(LACKS)


def no_timers(customers: Iterable[str]) -> dict[str, int | None]:
    """All of theirs taken back."""
    return {kind + customer: None for customer in customers for kind in KINDS}
