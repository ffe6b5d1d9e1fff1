"""Points for a coupon, when a customer asks: what stands against it, and what becomes of those that are given.

    points_exchange {points}   by the app or a till; a rule with `then.spends` answers, in a decision
    points_spent {points}      by the customers flow, in the commit that issues the coupon; the balance counts it

Between the two the ledger holds the points as promised. An event goes by the request alone, not by rule or customer, so
that a request is granted once, whatever becomes of rules, of customers who are one, and of the log that is read anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
from msgspec import Struct, json
from msgspec.structs import replace

from alerts.triggers.gifts import BALANCE
from alerts.triggers.rule import Rule
from features import events as e
from features.columns import KINDS, Columns
from features.customer import Core
from features.forgetting import only
from features.job import Batch, Clock, Message
from features.kernel.words import hash_texts
from features.messages import digest
from features.outgoing import Points
from features.purse import Purse
from features.record import Ledger, forwarded
from features.times import ordinal_of

POINTS_SPENT = KINDS["points_spent"]
NOTHING = Purse()


class Request(Struct, gc=False):
    """`id`: under which its points would be spent."""

    id: int
    points: Points
    purse: Purse


def request_of(rule: Rule, values: Mapping[str, Any], cause: str, ledger: Ledger) -> Request | None:
    """None of a rule that nobody pays."""
    if not rule.then.spends or rule.then.worth is None:
        return None
    purse = ledger.purse or NOTHING
    asked, balance = (int(values.get(name) or 0) for name in (rule.then.worth.of, BALANCE))
    [id] = hash_texts([spending_id(cause)]).tolist()
    return Request(id, Points(asked, balance, purse.points), purse)


def against(rule: Rule, request: Request, at_ms: int, local_ms: int) -> str:
    """Why the points are not taken; "" if they are."""
    worth, points = rule.then.worth, request.points
    assert worth is not None
    if request.purse.knows(request.id):
        return "again"
    if points.asked < worth.least:
        return "too_few"
    if points.asked * worth.cents_each > worth.at_most_cents:
        return "too_many"
    if _month(local_ms) < _month(request.purse.spent_ms + local_ms - at_ms):
        return "late"  # what was spent in a later month, its balance does not know
    return "balance" if points.asked > points.balance - points.promised else ""


def _month(local_ms: int) -> int:
    day = date.fromordinal(int(ordinal_of(local_ms)))
    return 12 * day.year + day.month


def spending_id(cause: str) -> str:
    """Of the event that says so of the points that a request is granted for."""
    return digest(f"points_spent|{cause}")


class Spent(Struct, gc=False):
    """Points that a coupon was given for."""

    id: str
    customer: str
    at_ms: int
    points: int
    what: str

    def told(self, topic: str) -> Message:
        event = e.PointsSpent(id=self.id, customer=self.customer, at_ms=self.at_ms, points=self.points, what=self.what)
        return Message(topic, self.customer, e.encode(event))


def owed_apart(mine: Ledger, theirs: Ledger, customer: str, of: str, at_ms: int) -> list[Spent]:
    """Of requests that both of two who become one were granted: theirs is promised under the event that says so of
    mine, which counts once. It gets an event of its own."""
    if mine.purse is None or theirs.purse is None:
        return []
    found = []
    for id in [id for id in theirs.purse.promised if mine.purse.knows(id)]:
        points = theirs.purse.promised.pop(id)
        spent = Spent(digest(f"points_spent|{of}|{id}"), customer, at_ms, points, "")
        mine.purse.promise(hash_texts([spent.id]).tolist()[0], points, at_ms)
        found.append(spent)
    return found


class Dated(Struct):
    day: int = 0


_dated = json.Decoder(Dated).decode


def once(
    core: Core, batch: Batch, columns: Columns, clock: Clock, records: Mapping[str, bytes]
) -> tuple[Batch, Columns]:
    """Without our own word on points that ledgers know to have been spent: who reads a log anew says all of them anew,
    long after the record has forgotten their ids."""
    at = np.flatnonzero(columns.kind == POINTS_SPENT)
    own = [i for i in at.tolist() if e.is_own("points_spent", _dated(batch.values[columns.index[i]]).day)]
    if not own:
        return batch, columns
    again, seen = set[int](), set[tuple[int, int]]()
    for place, who, id in zip(
        *(of[own].tolist() for of in (columns.index, columns.who, columns.hashes("id"))), strict=True
    ):
        if (who, id) in seen or id in _settled(core, records.get(columns.customers[who], b"")):
            again.add(place)
        seen.add((who, id))
    if not again:
        return batch, columns
    left = only(batch, [i for i in range(len(batch.offsets)) if i not in again])
    return left, replace(core.columns(left, clock), last=columns.last)


def _settled(core: Core, record: bytes) -> list[int]:
    purse = core.unpacked(record).ledger.purse if record and not forwarded(record) else None
    return purse.settled if purse else []
