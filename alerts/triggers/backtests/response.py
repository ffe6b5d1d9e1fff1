"""What customers did after a moment, by themselves or not: ordered, redeemed a coupon."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from alerts.triggers.rule import Rule
from features.columns import KINDS, Columns
from features.kernel.arrays import Ints

BITS = 43  # of a time in ms: to the year 2248
ORDER, REDEEMED = KINDS["order"], KINDS["coupon_redeemed"]


class Response(Struct):
    """Of `moments` whose validity is over before the past ends: after how many an order, and a redeemed coupon, came.

    `own` counts redeemed coupons of the rule's name or campaign. `open` moments were still valid at the end.
    """

    moments: int = 0
    ordered: int = 0
    redeemed: int = 0
    own: int = 0
    open: int = 0

    def plus(self, other: Response) -> Response:
        return Response(*(getattr(self, name) + getattr(other, name) for name in self.__struct_fields__))

    def figures(self) -> dict[str, float | int | None]:
        """Counts, and shares of the moments; None of none."""
        shares = {f"{n}_share": getattr(self, n) / self.moments if self.moments else None for n in SHARES}
        return {name: getattr(self, name) for name in self.__struct_fields__} | shares


SHARES = ("ordered", "redeemed", "own")


class Events(Struct):
    """When customers did what: sorted keys of customer and time."""

    orders: Ints
    redeemed: Ints
    own: dict[str, Ints]  # by rule

    @staticmethod
    def key(who: Ints, at_ms: Ints) -> Ints:
        return (who << BITS) + at_ms

    @staticmethod
    def keyed(who: Ints, at_ms: Ints) -> Ints:
        return np.sort(Events.key(who, at_ms))

    @classmethod
    def of(cls, columns: Columns, names: dict[str, tuple[set[str], str]]) -> Events:
        """`names`: coupons and campaign of each rule."""
        at_ms = columns.numbers("at_ms")
        orders, redeemed = (np.flatnonzero(columns.kind == kind) for kind in (ORDER, REDEEMED))
        keys = cls.key(columns.who[redeemed], at_ms[redeemed])
        told = [columns.texts(field, redeemed) for field in ("coupon", "campaign")]
        own = {
            rule: _told(told[0], coupons) | _told(told[1], {campaign} - {""})
            for rule, (coupons, campaign) in names.items()
        }
        return cls(
            cls.keyed(columns.who[orders], at_ms[orders]),
            np.sort(keys),
            {rule: np.sort(keys[mine]) for rule, mine in own.items()},
        )


def _told(texts: list[str], names: set[str]) -> Ints:
    return np.array([text in names for text in texts], dtype=np.bool_)


def respond(events: Events, rule: Rule, who: Ints, at_ms: Ints, end_ms: int) -> Response:
    """What came after these moments and before the coupon would have run out."""
    over = at_ms + rule.then.valid_ms <= end_ms
    who, at_ms = who[over], at_ms[over]
    keys = Events.key(who, at_ms), Events.key(who, at_ms + rule.then.valid_ms)
    ordered, redeemed, own = (_between(times, *keys) for times in (events.orders, events.redeemed, events.own[rule.id]))
    return Response(len(who), ordered, redeemed, own, int((~over).sum()))


def _between(times: Ints, after: Ints, until: Ints) -> int:
    return int((np.searchsorted(times, until, "right") > np.searchsorted(times, after, "right")).sum())
