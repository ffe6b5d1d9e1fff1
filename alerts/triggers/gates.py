"""What stands between a condition that holds and the coupon, one gate after the other as decisions ask them."""

from __future__ import annotations

from msgspec import Struct

from alerts.triggers.policy import Policy, held_out
from alerts.triggers.rule import Rule
from features.record import Ledger


class Gate(Struct):
    """`outcome`: what a decision comes to where the gate is shut; `until_ms`: when it opens by itself, 0 if it does
    not; `times_ms`: the coupons that it counts, by the rule they are of where that is known."""

    outcome: str
    is_open: bool
    until_ms: int = 0
    times_ms: list[int] = []
    rule: str = ""


class Standing(Struct):
    """A customer as policy sees one at a time."""

    customer: str
    ledger: Ledger
    at_ms: int
    consented: bool
    quiet_ms: int = 0  # how long quiet hours still last


def gates(rule: Rule, rivals: list[str], policy: Policy, standing: Standing) -> list[Gate]:
    """Once the condition holds, the first that is shut names the outcome."""
    held = held_out(standing.customer, policy.holdout_salt, policy.holdout)
    return [
        *(_of_rival(rule, rival, standing) for rival in rivals),
        Gate("no_consent", standing.consented or not policy.consent),
        Gate("holdout", not held),
        _cooldown(rule, standing),
        *([_cap(policy, standing)] if rule.capped else []),
        _quiet_hours(rule, standing),
    ]


def _of_rival(rule: Rule, rival: str, standing: Standing) -> Gate:
    return _quiet("excluded", rival, rule.cooldown_ms, standing)


def _cooldown(rule: Rule, standing: Standing) -> Gate:
    return _quiet("cooldown", rule.id, rule.cooldown_ms, standing)


def _quiet_hours(rule: Rule, standing: Standing) -> Gate:
    """What is held is asked again when they end, so it finds the gate open."""
    dropped = rule.in_quiet_hours == "drop" and standing.quiet_ms > 0
    return Gate("quiet_hours", not dropped, standing.at_ms + standing.quiet_ms if dropped else 0)


def _quiet(outcome: str, fired: str, cooldown_ms: int, standing: Standing) -> Gate:
    fired_ms = standing.ledger.fired_ms.get(fired)
    if fired_ms is None:
        return Gate(outcome, True, rule=fired)
    until_ms = fired_ms + cooldown_ms
    return Gate(outcome, standing.at_ms >= until_ms, until_ms, [fired_ms], fired)


def _cap(policy: Policy, standing: Standing) -> Gate:
    """It opens when so many coupons have left the window that fewer than the cap are in it."""
    times_ms = sorted(policy.recent(standing.ledger, standing.at_ms))
    full = len(times_ms) >= policy.cap
    until_ms = times_ms[len(times_ms) - policy.cap] + policy.cap_window_ms if full else 0
    return Gate("capped", not full, until_ms, times_ms)
