"""What one partition may spend of pots that all partitions share: a campaign's budgets and its stock of coupons.

A pot has a limit. Of it each partition is granted so much since the beginning, and has spent so much since the
beginning; what is granted and not spent is its lease. Over all partitions

    spent ≤ granted, and the sum of what is granted (reserved) ≤ the limit.

Both are totals, never differences: to say the same twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

RETURN = -1  # as a need: give back all that is not spent


class Cost(Struct, frozen=True):
    """What a coupon takes out of a pot; a pot without limit only counts."""

    pot: str
    amount: int
    limit: int | None = None


class Lease:
    """A partition's lease while it decides one batch; what it spends is committed with the batch.

    `granted` is None where nobody shares the pots, as in a back-test: then each limit is this partition's alone.
    `short` says by pot what was refused for want of a grant: with more of it, the batch may come out otherwise.
    """

    def __init__(self, granted: Mapping[str, int] | None = None, spent: Mapping[str, int] | None = None) -> None:
        self.granted = granted
        self.before = {} if spent is None else spent
        self.spent: dict[str, int] = {}  # by pot that was spent from: the total now
        self.short: dict[str, int] = {}

    def total(self, pot: str) -> int:
        return self.spent.get(pot, self.before.get(pot, 0))

    def lacking(self, costs: Iterable[Cost]) -> str:
        """The first pot that has too little left; empty when all can be paid."""
        short = [cost for cost in costs if cost.limit is not None and cost.amount > self._free(cost.pot, cost.limit)]
        for cost in short:
            self.short[cost.pot] = self.short.get(cost.pot, 0) + cost.amount
        return short[0].pot if short else ""

    def _free(self, pot: str, limit: int) -> int:
        granted = limit if self.granted is None else self.granted.get(pot, 0)
        return granted - self.total(pot)

    def spend(self, costs: Iterable[Cost]) -> None:
        for cost in costs:
            self.spent[cost.pot] = self.total(cost.pot) + cost.amount

    def mark(self, name: str, at_ms: int) -> None:
        """Notes a time, once."""
        if not self.total(name):
            self.spent[name] = at_ms


class Request(Struct, frozen=True):
    """What a partition asks of a pot: `need` to be free at least, in whole units of `unit`, or RETURN."""

    pot: str
    limit: int
    spent: int
    need: int
    unit: int = 1


def settled(request: Request, reserved: int, granted: int, shares: int) -> int:
    """What the partition is granted from now on, where it was `granted` before and all partitions `reserved`.

    It holds one of `shares` parts of what nobody else holds, so that leases shrink as the pot empties; more if it needs
    more. The Lua script in operators/leases.py is this function.
    """
    if request.need == RETURN:
        return request.spent
    left = request.limit - (reserved - granted) - request.spent
    share = left // shares // request.unit * request.unit
    return request.spent + max(0, min(left, max(request.need, share)))
