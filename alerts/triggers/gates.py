"""What stands between a condition that holds and the coupon, one gate after the other as decisions ask them."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from alerts.triggers.points import Request, against
from alerts.triggers.policy import Cap, Policy, held_out
from alerts.triggers.rule import Rule
from features.record import Ledger
from features.suppression import suppression


class Gate(Struct):
    """`outcome`: what a decision comes to where the gate is shut; `until_ms`: when it opens by itself, 0 if it does
    not; `times_ms`: the coupons that it counts, by the rule they are of where that is known; `because`: the channel
    that is capped, the reason of a suppression, why points are not taken."""

    outcome: str
    is_open: bool
    until_ms: int = 0
    times_ms: list[int] = []
    rule: str = ""
    because: str = ""


OPEN = {outcome: Gate(outcome, True) for outcome in ("no_consent", "suppressed", "holdout")}  # made once


class Standing(Struct):
    """A customer as policy sees one at a time."""

    customer: str
    ledger: Ledger
    at_ms: int
    local_ms: int  # on the clock where the customer is
    consented: bool  # as it stood at the event
    age_ms: int = 0  # how far the partition's clock is past it
    request: Request | None = None  # points for a coupon, where the customer asks for it


def first_shut(rule: Rule, rivals: list[str], policy: Policy, standing: Standing) -> Gate | None:
    """None where all are open."""
    return next((gate for gate in gates(rule, rivals, policy, standing) if not gate.is_open), None)


def gates(rule: Rule, rivals: list[str], policy: Policy, standing: Standing) -> Iterator[Gate]:
    """`rivals`: the other rules of its group. That of age is told of where it is shut only."""
    if rule.max_event_age_ms is not None and standing.age_ms > rule.max_event_age_ms:
        yield Gate("stale", False)
    yield from _answer(rule, standing) if rule.then.spends else _offer(rule, rivals, policy, standing)


def _answer(rule: Rule, standing: Standing) -> Iterator[Gate]:
    """What a customer asks and pays for is no marketing: no gate that is there to spare them stands in its way."""
    yield _suppressed(standing)
    if rule.cooldown_ms:  # of two requests that change places neither is lost
        yield _quiet("cooldown", rule.id, rule.cooldown_ms, standing)
    if rule.exit:
        yield _inside(rule, standing)
    if standing.request:
        yield _points(rule, standing.request, standing)


def _offer(rule: Rule, rivals: list[str], policy: Policy, standing: Standing) -> Iterator[Gate]:
    for rival in rivals:
        yield _quiet("excluded", rival, rule.cooldown_ms, standing)
    yield OPEN["no_consent"] if standing.consented or not policy.consent else Gate("no_consent", False)
    yield _suppressed(standing)
    held = held_out(standing.customer, policy.holdout_salt, policy.holdout)
    yield Gate("holdout", False) if held else OPEN["holdout"]
    yield _quiet("cooldown", rule.id, rule.cooldown_ms, standing)
    if rule.exit:
        yield _inside(rule, standing)
    if rule.capped:
        yield _cap(policy, standing)
    if rule.then.channel in policy.channel_caps and (rule.capped or rule.then.may_be_message):
        yield _channel_cap(rule.then.channel, policy, standing)
    yield _quiet_hours(rule, policy, standing)


def _suppressed(standing: Standing) -> Gate:
    found = suppression(standing.ledger, standing.at_ms)
    return Gate("suppressed", False, found[1], because=found[0]) if found else OPEN["suppressed"]


def _inside(rule: Rule, standing: Standing) -> Gate:
    """It opens when the rule's exit has been true."""
    since_ms = standing.ledger.inside.get(rule.id)
    return Gate("inside", since_ms is None, times_ms=[] if since_ms is None else [since_ms], rule=rule.id)


def _points(rule: Rule, request: Request, standing: Standing) -> Gate:
    why = against(rule, request, standing.at_ms, standing.local_ms)
    return Gate("no_points", not why, because=why)


def _quiet_hours(rule: Rule, policy: Policy, standing: Standing) -> Gate:
    """What is held is asked again when they end, so it finds the gate open."""
    left_ms = policy.quiet.left_ms(standing.local_ms) if rule.in_quiet_hours == "drop" else 0
    return Gate("quiet_hours", not left_ms, standing.at_ms + left_ms if left_ms else 0)


def _quiet(outcome: str, fired: str, cooldown_ms: int, standing: Standing) -> Gate:
    fired_ms = standing.ledger.fired_ms.get(fired)
    if fired_ms is None:
        return Gate(outcome, True, rule=fired)
    until_ms = fired_ms + cooldown_ms
    return Gate(outcome, standing.at_ms >= until_ms, until_ms, [fired_ms], fired)


def _cap(policy: Policy, standing: Standing) -> Gate:
    times_ms = policy.recent(standing.ledger, standing.at_ms)
    return _counted("capped", times_ms, Cap(policy.cap, policy.cap_window_ms))


def _channel_cap(channel: str, policy: Policy, standing: Standing) -> Gate:
    times_ms = policy.recent_on(channel, standing.ledger, standing.at_ms)
    return _counted("channel_capped", times_ms, policy.channel_caps[channel], channel)


def _counted(outcome: str, times_ms: list[int], cap: Cap, because: str = "") -> Gate:
    """It opens when so many have left the window that fewer than the cap are in it."""
    times_ms = sorted(times_ms)
    full = len(times_ms) >= cap.count
    until_ms = times_ms[len(times_ms) - cap.count] + cap.window_ms if full else 0
    return Gate(outcome, not full, until_ms, times_ms, because=because)
