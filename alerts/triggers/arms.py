"""Which arm of a rule a customer gets: by the arms' weights, or by what has been learned of them.

By weighted rendezvous hashing: each arm draws a time for the customer, that of an arm of twice the weight is half as
long, and the shortest wins. So a customer keeps an arm as long as they can: where one weight grows, customers move to
that arm only, and no more than it takes; where one falls, from it only. Who belongs to the control is drawn before,
so that what is learned of the others moves nobody into it or out of it.

Source: Schindelhauer and Schomaker, Weighted Distributed Hash Tables (2005), the logarithmic method.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b
from math import log

from msgspec import Struct

from alerts.triggers.gifts import Then
from alerts.triggers.rule import Rule
from features.arms import Weights
from features.messages import digest
from features.outgoing import Drawn

UNKNOWN = 1e-6  # of what is known, arms that are gone had all but this


class Given(Struct, gc=False):
    """What a customer is to get; `nothing`: the arm is the control, and `then` what another would have got."""

    then: Then
    arm: Drawn | None = None
    nothing: bool = False


class Arms:
    """Draws for a set of rules. `weights`: by rule, as they were published last; whoever learns of new ones puts them
    there between two batches."""

    def __init__(self, rules: Iterable[Rule], salt: str, least_share: float) -> None:
        self.salt = salt
        self.least_share = least_share
        self.weights: dict[str, Weights] = {}
        self.gifts = {rule.id: rule.then.gifts for rule in rules}
        self.drawing = any("" not in gifts for gifts in self.gifts.values())
        self.plain = {id: Given(gifts[""]) for id, gifts in self.gifts.items() if "" in gifts}

    def given(self, rule: Rule, customer: str, context: str) -> Given:
        return self.plain.get(rule.id) or self._drawn(rule, customer, context)

    def _drawn(self, rule: Rule, customer: str, context: str) -> Given:
        weights = self.weights.get(rule.id) if rule.then.choose == "learn" else None
        shares = arm_shares(rule.then, weights.shares.get(context, {}) if weights else {}, self.least_share)
        gifts, version = self.gifts[rule.id], weights.version if weights else 0
        name = draw_beside(shares, gifts, f"arm|{self.salt}|{rule.id}", customer)
        gift = gifts.get(name)
        arm = Drawn(name, round(shares[name], 6), context, version)
        return Given(next(iter(gifts.values())), arm, True) if gift is None else Given(gift, arm)


def given_to(given: Given, values: Mapping[str, object]) -> Given:
    """Where it hangs on the customer: what it is to one of whom these values are known."""
    return given if given.then.worth is None else Given(given.then.to(values), given.arm, given.nothing)


def arm_shares(then: Then, learned: Mapping[str, float], least: float) -> dict[str, float]:
    """By arm, how likely it is to be drawn; they sum to 1.

    `learned`: how likely each is to be the best. One that is not among them has the mean of the others; none is drawn
    less often than `least`, and the control keeps the share that its weight gives it.
    """
    total = sum(arm.weight for arm in then.arms)
    fixed = {arm.name: arm.weight / total for arm in then.arms}
    giving = [arm.name for arm in then.arms if not arm.nothing]
    known = {name: learned[name] for name in giving if name in learned}
    if sum(known.values()) < UNKNOWN:
        return fixed
    usual = sum(known.values()) / len(known)
    best = {name: known.get(name, usual) for name in giving}
    room, each = sum(fixed[name] for name in giving), sum(best.values())
    floor = min(least, room / len(giving))
    return fixed | {name: floor + (room - floor * len(giving)) * share / each for name, share in best.items()}


def design_of(then: Then) -> str:
    """The same as long as customers are divided among the arms in the same way; empty where that is learned."""
    if not then.arms or then.choose == "learn":
        return ""
    return digest(repr([(arm.name, arm.weight, arm.nothing) for arm in then.arms]))


def draw_beside(shares: Mapping[str, float], giving: Collection[str], salt: str, customer: str) -> str:
    """The control, or one of the `giving`, drawn among themselves."""
    for control in shares.keys() - giving:
        share = shares[control]
        if draw({control: share, "": 1.0 - share}, salt, customer):
            return control
    return draw({arm: shares[arm] for arm in giving}, salt, customer)


def draw(shares: Mapping[str, float], salt: str, customer: str) -> str:
    """The arm of a customer: it hangs on the shares, the salt and the customer alone."""
    times = {arm: _time(f"{salt}|{arm}|{customer}") / share for arm, share in shares.items() if share}
    return min(times, key=lambda arm: (times[arm], arm))


def _time(text: str) -> float:
    """Of an exponential distribution of rate 1."""
    digest = blake2b(text.encode(), digest_size=8).digest()
    return -log((int.from_bytes(digest, "big") + 0.5) / 2**64)
