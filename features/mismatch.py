"""Sample-ratio mismatch: whether customers are divided among a rule's arms as its file says, looked at after each one.

Under the shares of the file, the odds at which a Dirichlet mixture of all shares foretells the customers better are a
martingale: however often one looks, they pass 1 / ERRORS in no more than ERRORS of all experiments. Arms that have got
nobody need not be known, for they change nothing in the odds.

Source: Lindon and Malek, Anytime-valid inference for multinomial count data (2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, lgamma, log
from typing import Any

from msgspec import Struct, field

from features.messages import digest

ERRORS = 0.001  # of rules whose customers are divided rightly, how many alarm at last
SPREAD = 1_000  # customers that the mixture thinks to have seen, divided as the file says: larger finds smaller faults
WHAT = "sample_ratio"


class Divided(Struct):
    """The customers of one division of a rule among its arms, each counted by the arm they got first; `alarm_ms`: when
    that was too unlikely, 0: it never was; `over`: the file divides them in another way now."""

    customers: dict[str, int] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    alarm_ms: int = 0
    over: bool = False

    def count(self, arm: str, share: float) -> None:
        self.customers[arm] = self.customers.get(arm, 0) + 1
        self.shares[arm] = share

    @property
    def p(self) -> float:
        """How likely odds as great as now's are ever, at most; 1 where nothing speaks against the shares."""
        return min(1.0, exp(-log_odds(self.customers, self.shares)))

    @property
    def expected(self) -> dict[str, float]:
        whole = sum(self.customers.values())
        return {arm: round(whole * share, 1) for arm, share in sorted(self.shares.items())}


def log_odds(customers: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """Natural logarithm of the odds of the mixture over these shares."""
    whole, odds = sum(customers.values()), 0.0
    for arm, count in customers.items():
        prior = SPREAD * shares[arm]
        odds += lgamma(prior + count) - lgamma(prior) - count * log(shares[arm])
    return odds + lgamma(SPREAD) - lgamma(SPREAD + whole)


def is_mismatch(divided: Divided) -> bool:
    return log_odds(divided.customers, divided.shares) >= log(1 / ERRORS)


def alert(rule: str, design: str, divided: Divided) -> dict[str, Any]:
    """That it begins; or, where the file has changed, that it is over."""
    counts = ", ".join(
        f"{arm} {divided.customers[arm]:,} (expected {expected:,.0f})" for arm, expected in divided.expected.items()
    )
    told = "is over: the file divides customers in another way now" if divided.over else f"odds {divided.p:.0e}"
    return {
        "state": "resolved" if divided.over else "firing",
        "rule": rule,
        "what": WHAT,
        "customers": dict(sorted(divided.customers.items())),
        "expected": divided.expected,
        "p": divided.p,
        "started_ms": divided.alarm_ms,
        "incident": digest(f"{WHAT}|{rule}|{design}|{divided.alarm_ms}"),
        "why": f"{rule}: customers are not divided among its arms as its file says: {counts}; {told}",
    }
