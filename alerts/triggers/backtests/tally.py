"""From decisions to figures: what each rule would have given, to whom, and what these did next.

Figures of different customers add up, so each share of a past is counted by itself.
"""

from __future__ import annotations

from collections import Counter
from itertools import zip_longest

import numpy as np
from msgspec import Struct, field

from alerts.triggers.backtests.backtest import Judged, World
from alerts.triggers.backtests.response import Events, Response, respond
from alerts.triggers.round import FIRED
from alerts.triggers.rule import Rule
from features.kernel.arrays import Ints
from features.kernel.clocks import local_times
from features.times import DAY_MS, ordinal_of
from features.zones import ZoneTable

ARM = "arm "  # before an arm's name, as a group


class Common(Struct):
    """Of two rules: customers who got both, and how many coupons of this one came within a day of one of the other."""

    customers: int = 0
    coupons: int = 0


class Tally(Struct):
    """What one rule came to. `customers` are those for whom it held; `issued_on` counts by local day, `cents_on` sums
    there what the coupons can cost; `arms` counts how often each fired."""

    asked: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    customers: int = 0
    reached: int = 0
    held_out: int = 0
    issued_on: Counter[int] = field(default_factory=Counter)
    cents_on: Counter[int] = field(default_factory=Counter)
    arms: Counter[str] = field(default_factory=Counter)
    common: dict[str, Common] = field(default_factory=dict)
    groups: dict[str, Response] = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        self.asked += other.asked
        self.outcomes += other.outcomes
        self.customers += other.customers
        self.reached += other.reached
        self.held_out += other.held_out
        self.issued_on += other.issued_on
        self.cents_on += other.cents_on
        self.arms += other.arms
        for rule, common in other.common.items():
            mine = self.common.setdefault(rule, Common())
            mine.customers += common.customers
            mine.coupons += common.coupons
        for group, response in other.groups.items():
            self.groups[group] = self.groups.get(group, Response()).plus(response)


class Counted(Struct):
    """Of a share, or of all: events, customers, and what each rule came to, by its name in its world."""

    events: int = 0
    customers: int = 0
    rules: dict[str, Tally] = field(default_factory=dict)
    spent: list[Counter[str]] = []  # by world: by pot of the campaigns
    ran_out: list[dict[str, int]] = []  # by world, by pot: when it had too little left for the first time

    def add(self, other: Counted) -> None:
        self.events += other.events
        self.customers += other.customers
        self.spent = [mine + more for mine, more in zip_longest(self.spent, other.spent, fillvalue=Counter[str]())]
        for rule, tally in other.rules.items():
            self.rules.setdefault(rule, Tally()).add(tally)


def count(worlds: list[Judged], timezone: str, end_ms: int) -> Counted:
    """The figures of a share; days are those of `timezone`, and the past ends at `end_ms`."""
    columns, rules = worlds[0].columns, worlds[0].rules
    issued = [{i: judged.of(i, "issued") for i in judged.world.names} for judged in worlds]
    events = Events.of(columns, {rule.id: (_coupons(rule), rule.then.campaign) for rule in rules})
    tallies = {}
    for judged, mine in zip(worlds, issued, strict=True):
        for i, name in judged.world.names.items():
            tally = tallies[name] = _tally(judged, i, mine[i], timezone)
            tally.groups = {
                group: respond(events, rules[i], *moments, end_ms) for group, moments in _groups(judged, i, mine[i])
            }
            tally.common = {
                one.world.names[j]: _common(mine[i], theirs[j])
                for one, theirs in zip(worlds, issued, strict=True)
                for j in theirs
                if _met(i, j, judged.world, one.world)
            }
    return Counted(len(columns.index), len(columns.customers), tallies, [Counter(one.spent) for one in worlds])


def _met(i: int, j: int, mine: World, other: World) -> bool:
    """Whether two rules are held against each other: of one world, or each of a world that the other is not in."""
    return i != j and (mine is other or (i not in other.names and j not in mine.names))


def _tally(judged: Judged, i: int, issued: tuple[Ints, Ints], timezone: str) -> Tally:
    mine = judged.rule == i
    held_out, _ = judged.of(i, "holdout")
    days, cents_on = local_days(issued[1], timezone).tolist(), Counter[int]()
    for day, cents in zip(days, judged.cents[mine & (judged.outcome == "issued")].tolist(), strict=True):
        cents_on[day] += cents
    return Tally(
        asked=int(judged.asked[i]),
        outcomes=Counter(judged.outcome[mine].tolist()),
        customers=len(np.unique(judged.who[mine])),
        reached=len(np.unique(issued[0])),
        held_out=len(np.unique(held_out)),
        issued_on=Counter(days),
        cents_on=cents_on,
        arms=Counter(filter(None, judged.arm[mine & np.isin(judged.outcome, FIRED)].tolist())),
    )


def local_days(at_ms: Ints, timezone: str) -> Ints:
    """Days of a zone, as datetime.date.toordinal."""
    zones = ZoneTable()
    index = np.full(len(at_ms), zones.add(timezone), dtype=np.int64)
    days: Ints = ordinal_of(local_times(zones.packed, index, np.ascontiguousarray(at_ms)))
    return days


def _groups(judged: Judged, i: int, issued: tuple[Ints, Ints]) -> list[tuple[str, tuple[Ints, Ints]]]:
    """Who is compared: those who got it, those held out, and those who nearly qualified and never got that far.

    Nobody of the last two has a cooldown; theirs are thinned as if they had.
    """
    cooldown_ms = judged.rules[i].cooldown_ms
    who, at_ms = judged.near[i]
    never = ~np.isin(who, judged.who[judged.rule == i])
    held_out = thinned(*judged.of(i, "holdout"), cooldown_ms)
    arms = [(f"{ARM}{arm.name}", judged.fired(i, arm.name)) for arm in judged.rules[i].then.arms]
    return [
        *arms,
        ("issued", issued),
        ("holdout", held_out),
        ("nearly", thinned(who[never], at_ms[never], cooldown_ms)),
    ]


def thinned(who: Ints, at_ms: Ints, cooldown_ms: int) -> tuple[Ints, Ints]:
    """By customer the first moment, and then each that comes a cooldown after the last that was kept."""
    order = np.lexsort((at_ms, who))
    kept, last, until_ms = [], -1, 0
    for i, one, ms in zip(order.tolist(), who[order].tolist(), at_ms[order].tolist(), strict=True):
        if one != last or ms >= until_ms:
            kept.append(i)
            last, until_ms = one, ms + cooldown_ms
    chosen = np.array(kept, dtype=np.int64)
    return who[chosen], at_ms[chosen]


def _common(mine: tuple[Ints, Ints], others: tuple[Ints, Ints]) -> Common:
    customers = len(np.intersect1d(mine[0], others[0]))
    if not customers:
        return Common()
    times = Events.keyed(*others)
    close = np.searchsorted(times, Events.key(mine[0], mine[1] + DAY_MS), "right") > np.searchsorted(
        times, Events.key(mine[0], mine[1] - DAY_MS)
    )
    return Common(customers, int(close.sum()))


def _coupons(rule: Rule) -> set[str]:
    """All that a rule can give."""
    return {gift.coupon for gift in rule.then.gifts.values() if gift.coupon}
