"""What is told of a decision: all that explains it."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from alerts.triggers.arms import Given
from alerts.triggers.candidates import Candidate
from alerts.triggers.policy import Policy, held_out
from features.messages import digest
from features.outgoing import Receipt
from features.record import Ledger

NO_GIFT = {"coupon": "", "face_value_cents": 0, "percent": 0, "at_most_cents": 0, "message": ""}


def receipt_of(
    candidate: Candidate, policy: Policy, ledger: Ledger, outcome: str, given: Given, ran_out: str = "", **more: Any
) -> Receipt:
    """The rule's version, the values it saw, the caps as they stood."""
    rule, customer, at_ms, cause = candidate.rule, candidate.customer, candidate.at_ms, candidate.cause
    then = replace(given.then, **NO_GIFT) if given.nothing else given.then
    return Receipt(
        decision_id(rule.id, customer, cause),
        rule.id,
        rule.version,
        customer,
        outcome,
        then.coupon,
        then.face_value_cents,
        then.percent,
        then.at_most_cents,
        then.message,
        then.channel,
        then.campaign,
        at_ms,
        at_ms + then.valid_ms,
        cause,
        candidate.stamp_ms,
        candidate.values,
        candidate.terms,
        len(policy.recent(ledger, at_ms)),
        policy.cap,
        ran_out,
        candidate.clock_ms,
        ledger.fired_ms.get(rule.id, -rule.cooldown_ms) + rule.cooldown_ms,
        held_out(customer, policy.holdout_salt, policy.holdout),
        arm=given.arm,
        **more,
    )


def decision_id(rule: str, customer: str, cause: str) -> str:
    return digest(f"{rule}|{customer}|{cause}")
