"""Tells of each decision anew, slowly and by the letter, whether the customer was suppressed, inside, or full up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from benchmarks.streams import EXIT, Case
from features import events as e

Receipt = dict[str, Any]


def standing_violations(case: Case, decisions: list[Receipt], log: list[e.Event]) -> Iterator[str]:
    """`decisions` on what stands in one partition's `log`, in its order."""
    places = {event.id: place for place, event in enumerate(log)}
    yield from (told for one in decisions if (told := _of_suppression(one, log[: places[one["cause"]]])))
    yield from _of_channels(case, decisions)
    yield from _of_exit(decisions, log)


def _of_suppression(decision: Receipt, before: list[e.Event]) -> str:
    """All but consent is asked later, so one is suppressed exactly where that is the outcome."""
    customer, at_ms, outcome = decision["customer"], decision["at_ms"], decision["outcome"]
    words = [event for event in before if isinstance(event, e.Suppress) and event.customer == customer]
    if outcome == "no_consent" or in_force(words, at_ms) == (outcome == "suppressed"):
        return ""
    return f"{customer}: {outcome}, {'' if in_force(words, at_ms) else 'not '}suppressed"


def in_force(words: list[e.Suppress], at_ms: int) -> bool:
    """By the latest word on each reason; of two at once, the stricter."""
    for reason in {word.reason for word in words if word.reason}:
        by_then = [word for word in words if word.reason in (reason, "") and word.at_ms <= at_ms]
        latest = [word for word in by_then if word.at_ms == max(one.at_ms for one in by_then)]
        if any(not word.lift and (not word.until_ms or at_ms < word.until_ms) for word in latest):
            return True
    return False


def _of_channels(case: Case, decisions: list[Receipt]) -> Iterator[str]:
    """Earned coupons are not asked, and count."""
    sent, caps = defaultdict[tuple[str, str], list[int]](list), case.policy.channel_caps
    earned = {rule.id for rule in case.rules if not rule.then.may_be_message and not rule.capped}
    for decision in decisions:
        customer, channel, outcome = decision["customer"], decision["channel"], decision["outcome"]
        cap, mine = caps.get(channel), sent[customer, channel]
        full = cap is not None and sum(ms > decision["at_ms"] - cap.window_ms for ms in mine) >= cap.count
        if outcome == "issued" and full and decision["rule"] not in earned:
            yield f"{customer}: a message above the cap of {channel}"
        if outcome == "channel_capped" and (not full or decision["rule"] in earned):
            yield f"{customer}: kept from {channel}, which was not full"
        if outcome == "issued":
            mine.append(decision["at_ms"])


def _of_exit(decisions: list[Receipt], log: list[e.Event]) -> Iterator[str]:
    """One is inside from a coupon on until something later is seen at the store `s2`, where there is none."""
    outcomes = {decision["cause"]: decision["outcome"] for decision in decisions if decision["rule"] == EXIT}
    inside = dict[str, int]()
    for event in log:
        outcome, since_ms = outcomes.get(event.id, ""), inside.get(event.customer)
        if isinstance(event, (e.View, e.AppOpen)) and event.store == "s2":
            if since_ms is not None and since_ms < event.at_ms:
                del inside[event.customer]
            if outcome:
                yield f"{event.customer}: {EXIT} {outcome} where its exit holds"
        elif outcome == "issued" and since_ms is not None:
            yield f"{event.customer}: {EXIT} twice without an exit"
        elif outcome == "inside" and since_ms is None:
            yield f"{event.customer}: {EXIT} says inside of somebody who is not"
        if outcome == "issued":
            inside[event.customer] = event.at_ms
