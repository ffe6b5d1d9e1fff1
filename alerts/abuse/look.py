"""What the signals see in what is known: pure functions from facts to what is found, or None."""

from __future__ import annotations

from collections.abc import Mapping

from alerts.abuse.case import Found
from alerts.abuse.fact import Traces, hashed
from alerts.abuse.signals import DeviceSignal, LoopSignal, RingSignal
from features.times import DAY_MS, parse_duration


def people(accounts: Mapping[str, Traces]) -> dict[str, Traces]:
    """Without those who were merged into another of them: two accounts of one customer are one."""
    former = {who for traces in accounts.values() for who in traces.former}
    return {customer: traces for customer, traces in accounts.items() if hashed(customer) not in former}


def crowd(accounts: Mapping[str, Traces], device: str, signal: DeviceSignal) -> Found | None:
    """More accounts on a device than allowed. All are held but the oldest: everybody may have one account."""
    if len(accounts) <= signal.accounts_over:
        return None
    within = parse_duration(signal.within) // DAY_MS
    days = {customer: traces.devices[device] for customer, traces in accounts.items()}
    of_day: dict[int, set[str]] = {}
    for customer, seen in days.items():
        for day in seen:
            of_day.setdefault(day, set()).add(customer)
    members, most = set[str](), 0
    for end in sorted(of_day):
        there = set[str]().union(*(of_day.get(day, ()) for day in range(end - within + 1, end + 1)))
        if len(there) > signal.accounts_over:
            members |= there
            most = max(most, len(there))
    if not members:
        return None
    first = {customer: min(days[customer].values()) for customer in members}
    oldest = min(members, key=lambda customer: (first[customer], customer))
    figures = {"count": most, "limit": signal.accounts_over, "within_days": within}
    last_ms = max(at_ms for customer in members for at_ms in days[customer].values())
    return Found(sorted(members), sorted(members - {oldest}), figures, min(first.values()), last_ms)


def brought(accounts: Mapping[str, Traces]) -> dict[str, dict[str, int]]:
    """By referrer: the friends on this device, and when each was brought. Nobody is their own friend."""
    names = {name: customer for customer, traces in accounts.items() for name in (hashed(customer), *traces.former)}
    found: dict[str, dict[str, int]] = {}
    for friend, traces in accounts.items():
        for by, at_ms in traces.referrers.items():
            referrer = names.get(by)
            if referrer is not None and referrer != friend:
                friends = found.setdefault(referrer, {})
                friends[friend] = min(at_ms, friends.get(friend, at_ms))
    return found


def ring(referrer: str, friends: Mapping[str, int], signal: RingSignal) -> Found | None:
    """Friends on the referrer's own device. All are held: the reward is the referrer's."""
    within_ms = parse_duration(signal.within)
    members, most = set[str](), 0
    for end_ms in friends.values():
        there = {friend for friend, at_ms in friends.items() if end_ms - within_ms < at_ms <= end_ms}
        if len(there) >= signal.friends:
            members |= there
            most = max(most, len(there))
    if not members:
        return None
    figures = {"count": most, "limit": signal.friends, "within_days": within_ms // DAY_MS}
    times = [friends[friend] for friend in members]
    everybody = sorted({referrer, *members})
    return Found(everybody, everybody, figures, min(times), max(times))


def loop(customer: str, traces: Traces, signal: LoopSignal) -> Found | None:
    """Orders paid with coupons that were given back, in the window that has most of them."""
    if len(traces.refunded) < signal.refunds:
        return None
    within_ms = parse_duration(signal.within)
    orders = sorted((at_ms, order) for order, at_ms in traces.redeemed.items() if at_ms > traces.cleared_ms)
    best, start, back = (0, 0, 0), 0, 0  # most given back, fewest orders beside, earliest end
    for end, (end_ms, order) in enumerate(orders):
        back += order in traces.refunded
        while orders[start][0] <= end_ms - within_ms:
            back -= orders[start][1] in traces.refunded
            start += 1
        size = end + 1 - start
        whole = end + 1 == len(orders) or orders[end + 1][0] > end_ms
        if whole and back >= signal.refunds and back >= signal.share * size:
            best = max(best, (back, -size, -end))
    back, size, end = best[0], -best[1], -best[2]
    if not back:
        return None
    figures = {"count": back, "of": size, "limit": signal.refunds, "within_days": within_ms // DAY_MS}
    return Found([customer], [customer], figures, orders[end - size + 1][0], orders[end][0])
