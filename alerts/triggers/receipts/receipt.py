"""What is told of a decision: all that explains it."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from alerts.triggers.arms import Given
from alerts.triggers.candidates import Candidate
from alerts.triggers.gifts import Then
from alerts.triggers.policy import Policy, held_out
from features.messages import digest
from features.outgoing import Braked, Points, Receipt
from features.record import Ledger

NO_GIFT = {"coupon": "", "face_value_cents": 0, "percent": 0, "at_most_cents": 0, "message": ""}


class Verdict(Struct, gc=False):
    """`issued`, or the first reason why not; which of the campaign's pots ran out; as of a gate; when it leaves."""

    outcome: str
    ran_out: str = ""
    until_ms: int = 0
    because: str = ""
    send_ms: int = 0
    send_why: str = ""
    brake: Braked | None = None
    points: Points | None = None


def receipt_of(candidate: Candidate, policy: Policy, ledger: Ledger, given: Given, verdict: Verdict) -> Receipt:
    """The rule's version, the values it saw, the caps as they stood."""
    rule, customer, at_ms, cause = candidate.rule, candidate.customer, candidate.at_ms, candidate.cause
    then = replace(given.then, **NO_GIFT) if given.nothing else given.then
    on_channel = policy.recent_on(then.channel, ledger, at_ms) if then.channel in policy.channel_caps else ()
    return Receipt(
        decision_id(rule.id, customer, cause),
        rule.id,
        rule.version,
        customer,
        verdict.outcome,
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
        verdict.ran_out,
        candidate.clock_ms,
        ledger.fired_ms.get(rule.id, -rule.cooldown_ms) + rule.cooldown_ms,
        held_out(customer, policy.holdout_salt, policy.holdout),
        verdict.until_ms,
        verdict.because,
        verdict.send_ms,
        verdict.send_why,
        given.arm,
        candidate.models,
        verdict.brake,
        len(on_channel),
        channel_cap(then, policy),
        verdict.points,
    )


def channel_cap(then: Then, policy: Policy) -> int:
    """0 for a channel without one."""
    cap = policy.channel_caps.get(then.channel)
    return cap.count if cap else 0


def decision_id(rule: str, customer: str, cause: str) -> str:
    return digest(f"{rule}|{customer}|{cause}")
