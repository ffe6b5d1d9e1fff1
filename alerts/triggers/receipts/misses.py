"""Moments at which a condition nearly held, and a sample of those at which it did not.

What is asked of all moments stays as fast as it is: of some thousand moments, one rule in turn is looked at again, at a
bounded number of them. Which ones hangs on the batch alone, so a batch that is repeated notes the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from alerts.triggers.condition import Conditions
from alerts.triggers.moments import Moments
from alerts.triggers.receipts.kept import FALSE, NEAR, Keeping
from alerts.triggers.simple import Compare, Joined, Look, Rows

Flags = npt.NDArray[np.bool_]
EVERY = 4_000  # moments, of which one rule is looked at again; a smaller batch may be passed over
LOOKED_AT = 32  # moments of a batch
NEAR_SHARE = 0.1  # of what a number is compared with
NEAR_COUNT = 1.0  # of a number from 2 on
MIX = 0x9E3779B97F4A7C15  # spreads numbers that follow each other (Knuth, TAOCP 6.4)


def missed(
    conditions: Conditions, moments: Moments, held: Flags, looks: Callable[[int], Look], keeping: Keeping
) -> Iterator[tuple[str, Flags]]:
    """Moments to be noted, bool[n, rules], with the outcome they are noted under; the later one counts."""
    asks = moments.asks
    if not asks.size:
        return
    turn = int(moments.at_ms[-1]) * MIX % 2**64 >> 16
    if keeping.false_share:
        yield FALSE, sampled(asks, held, keeping.false_share, turn)
    if keeping.near_misses and turn % EVERY < len(asks):
        rule = turn // EVERY % len(conditions.rules)
        rows = np.flatnonzero(asks[:, rule] & ~held[:, rule])
        near = near_misses(conditions, rule, looks(rule), _some(rows, turn))[: keeping.near_misses]
        if len(near):
            yield NEAR, _flags(asks, near, rule)


def sampled(asks: Flags, held: Flags, share: float, turn: int) -> Flags:
    """So many of the moments at which a condition did not hold."""
    out, every = np.zeros_like(asks), round(1 / share)
    out.ravel()[np.flatnonzero(asks & ~held)[turn % every :: every]] = True
    return out


def _flags(asks: Flags, rows: Rows, rule: int) -> Flags:
    out = np.zeros_like(asks)
    out[rows, rule] = True
    return out


def _some(rows: Rows, turn: int) -> Rows:
    """A bounded number of rows that follow each other, from anywhere in the batch."""
    start = turn % max(1, len(rows) - LOOKED_AT)
    return rows[start : start + LOOKED_AT]


def near_misses(conditions: Conditions, rule: int, look: Look, rows: Rows) -> Rows:
    """Where all parts of a rule's condition but one hold, and that one by little does not."""
    condition = conditions.conditions[rule]
    if not condition.simple:
        return rows[:0]
    parts = np.array([part.holds(look, rows) for part in condition.simple])
    alone = np.flatnonzero(parts.sum(axis=0) == len(parts) - 1)
    failed, rows = parts[:, alone].argmin(axis=0), rows[alone]
    close = np.zeros(len(rows), dtype=np.bool_)
    for i in set(failed.tolist()):
        mine = failed == i
        close[mine] = by_little(condition.simple[i], look, rows[mine])
    rows = rows[close]
    if len(rows) and condition.rest is not None:
        rows = rows[conditions.rest_holds(condition.rest, condition.columns, look, rows)]
    return rows


def by_little(part: Any, look: Look, rows: Rows) -> Flags:
    """Where a part that does not hold is close to it: by a tenth of its limit, or by one of two or more."""
    if isinstance(part, Compare):
        other = look(part.other, rows) if isinstance(part.other, str) else np.full(len(rows), part.other)
        size = np.abs(other)
        most = np.maximum(size * NEAR_SHARE, np.where(size >= 2, NEAR_COUNT, 0.0))
        return np.asarray(np.abs(look(part.name, rows) - other) <= most, dtype=np.bool_)
    if isinstance(part, Joined):
        held = [one.holds(look, rows) | by_little(one, look, rows) for one in part.parts]
        return np.asarray((np.logical_and if part.all else np.logical_or).reduce(held), dtype=np.bool_)
    return np.zeros(len(rows), dtype=np.bool_)
