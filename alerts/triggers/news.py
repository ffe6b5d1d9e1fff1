"""What befalls customers between two decisions of a batch, in log order: words on suppression, exits, points that were
spent, and the time at which a message that was held is due."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import Any

import numpy as np

from alerts.triggers.condition import Conditions
from alerts.triggers.moments import Moments, Seen
from alerts.triggers.points import POINTS_SPENT
from features.columns import SUPPRESS, Columns
from features.customer import Applied
from features.purse import Purse
from features.record import Ledger
from features.suppression import suppress

END = (2**62, 0)
Order = tuple[int, int]  # where in the batch, and when it was due there; 0 for an event


class News:
    """The news of one batch. `ledger` unpacks a customer's; `touched`: whose has changed."""

    def __init__(self, ledger: Callable[[int], Ledger]) -> None:
        self.ledger = ledger
        self.coming: list[tuple[int, int, str, int, Callable[[], bool], int]] = []
        self.numbers = count()
        self.touched: set[int] = set()

    def add(self, order: Order, who: int, happens: Callable[[], bool], name: str = "") -> None:
        """`happens` says whether it has changed the ledger; `name` tells two apart that come at once."""
        heappush(self.coming, (*order, name, next(self.numbers), happens, who))

    def until(self, order: Order) -> None:
        """Lets happen what comes no later than that."""
        while self.coming and self.coming[0][:2] <= order:
            *_, happens, who = heappop(self.coming)
            if happens():
                self.touched.add(who)

    def hear(self, columns: Columns, applied: Applied) -> None:
        """The batch's words on suppression."""
        told = np.flatnonzero((columns.kind == SUPPRESS) & (applied.repeated == 0))
        if not len(told):
            return
        words = (
            columns.texts("reason", told),
            *(columns.numbers(n, told).tolist() for n in ("at_ms", "until_ms", "lift")),
        )
        for place, who, *word in zip(columns.index[told].tolist(), columns.who[told].tolist(), *words, strict=True):
            self.add((place, 0), who, partial(suppress, self.ledger(who), *word))

    def spend(self, columns: Columns, applied: Applied, noted: bool) -> None:
        """The batch's words on points that were spent; `noted`: also those of customers who have given none for a
        coupon."""
        told = np.flatnonzero((columns.kind == POINTS_SPENT) & (applied.repeated == 0))
        ids, at_ms = columns.hashes("id", told).tolist(), columns.numbers("at_ms", told).tolist()
        places = columns.index[told].tolist(), columns.who[told].tolist()
        for place, who, *word in zip(*places, ids, at_ms, strict=True):
            self.add((place, 0), who, partial(_spend, self.ledger(who), noted, *word))

    def leave(self, conditions: Conditions, moments: Moments, held: Any, seen: Seen, applied: Applied) -> None:
        """Exits that come true for customers who are inside, or may get inside in this batch."""
        for j, condition in conditions.exits.items():
            asked = moments.exits[:, j].nonzero()[0]
            if not len(asked):
                continue
            among = {*_inside(conditions.rules[j].id, applied, np.unique(moments.who[asked])), *moments.who[held[:, j]]}
            rows = asked[np.isin(moments.who[asked], list(among))] if among else asked[:0]
            there = conditions.holding(condition, seen.looks(j), rows).tolist()
            for i, order in zip(there, moments.orders(there), strict=True):
                who, at_ms = int(moments.who[i]), int(moments.at_ms[i])
                self.add(order, who, partial(_leave, self.ledger(who), conditions.rules[j].id, at_ms))


def _spend(ledger: Ledger, noted: bool, id: int, at_ms: int) -> bool:
    if ledger.purse is None and not noted:
        return False
    ledger.purse = ledger.purse or Purse()
    ledger.purse.settle(id, at_ms)
    return True


def _inside(rule: str, applied: Applied, customers: Any) -> Iterator[int]:
    """Customers whose ledger names the rule: those who are inside, and others to whom it has given something."""
    name = rule.encode()
    yield from (who for who in customers[applied.has_ledger[customers]].tolist() if name in applied.ledger(who))


def _leave(ledger: Ledger, rule: str, at_ms: int) -> bool:
    left = bool(ledger.unheld and _leave(ledger.unheld, rule, at_ms))
    if ledger.inside.get(rule, at_ms) >= at_ms:
        return left
    del ledger.inside[rule]
    return True


def place_of(columns: Columns, due_ms: int) -> int:
    """Where in the batch the tick stands that reaches a time; its last one for what was reached before."""
    places, clocks = zip(*columns.moved, strict=True)
    place: int = places[min(bisect_left(clocks, due_ms), len(places) - 1)]
    return place
