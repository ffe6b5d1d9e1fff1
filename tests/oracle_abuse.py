"""The slow, obvious twin of the abuse signals: all that has happened at once, by brute force."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from alerts.abuse.signals import Signals
from features import events as e
from features.times import DAY_MS, parse_duration


class Verdict(NamedTuple):
    signal: str
    subject: str
    members: frozenset[str]
    held: frozenset[str]


def verdicts(events: Iterable[e.Event], signals: Signals) -> set[Verdict]:
    """The cases that stand when no human has said anything and nothing is forgotten."""
    events = list(events)
    merges = {event.customer: event.into for event in events if isinstance(event, e.Merge)}
    gone = {root(event.customer, merges) for event in events if isinstance(event, e.Forget)}
    events = [event for event in events if event.customer and root(event.customer, merges) not in gone]
    seen = [(root(x.customer, merges), x.device, x.at_ms) for x in events if x.device]
    referrals = [
        (root(x.customer, merges), root(x.friend, merges), x.at_ms) for x in events if isinstance(x, e.Referral)
    ]
    referrals = [one for one in referrals if one[1] not in gone]
    found = set[Verdict]()
    for device in {device for _, device, _ in seen}:
        there = [(who, at_ms) for who, on, at_ms in seen if on == device]
        found |= crowds(device, there, signals) | rings(device, {who for who, _ in there}, referrals, signals)
    return found | loops(events, merges, signals)


def root(customer: str, merges: dict[str, str]) -> str:
    return root(merges[customer], merges) if customer in merges else customer


def crowds(device: str, there: list[tuple[str, int]], signals: Signals) -> set[Verdict]:
    within = parse_duration(signals.device.within) // DAY_MS
    members = set[str]()
    for end in {at_ms // DAY_MS for _, at_ms in there}:
        window = {who for who, at_ms in there if end - within < at_ms // DAY_MS <= end}
        members |= window if len(window) > signals.device.accounts_over else set()
    if not members:
        return set()
    _, oldest = min((at_ms, who) for who, at_ms in there if who in members)
    return {Verdict("device", device, frozenset(members), frozenset(members - {oldest}))}


def rings(device: str, there: set[str], referrals: list[tuple[str, str, int]], signals: Signals) -> set[Verdict]:
    within_ms, found = parse_duration(signals.ring.within), set[Verdict]()
    for referrer in there:
        first: dict[str, int] = {}
        for by, friend, at_ms in sorted(referrals, key=lambda one: one[2]):
            if by == referrer and friend != referrer and friend in there:
                first.setdefault(friend, at_ms)
        members = set[str]()
        for end_ms in first.values():
            window = {friend for friend, at_ms in first.items() if end_ms - within_ms < at_ms <= end_ms}
            members |= window if len(window) >= signals.ring.friends else set()
        if members:
            everybody = frozenset({*members, referrer})
            found.add(Verdict("ring", device, everybody, everybody))
    return found


def loops(events: list[e.Event], merges: dict[str, str], signals: Signals) -> set[Verdict]:
    within_ms, found = parse_duration(signals.loop.within), set[Verdict]()
    for who in {root(event.customer, merges) for event in events}:
        mine = [event for event in events if root(event.customer, merges) == who]
        paid: dict[str, int] = {}
        for event in mine:
            order = (
                event.id if isinstance(event, e.Order) else event.order if isinstance(event, e.CouponRedeemed) else ""
            )
            if order and event.coupon:
                paid[order] = min(event.at_ms, paid.get(order, event.at_ms))
        back = {event.order for event in mine if isinstance(event, e.Refund)}
        for end_ms in paid.values():
            window = {order for order, at_ms in paid.items() if end_ms - within_ms < at_ms <= end_ms}
            returned = len(window & back)
            if returned >= signals.loop.refunds and returned >= signals.loop.share * len(window):
                found.add(Verdict("loop", who, frozenset({who}), frozenset({who})))
    return found
