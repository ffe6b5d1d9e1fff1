"""The coupon events of a batch, in log order between its decisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import MutableMapping

import numpy as np

from alerts.coupons.lifecycle import Heard, Lifecycle
from features import events as e
from features.columns import NAMES, Columns
from features.customer import Applied
from features.job import Batch, Message
from features.messages import cloudevent, digest
from features.record import Ledger

TURNS = ("coupon_redeemed", "coupon_delivered", "coupon_opened", "coupon_revoked", "refund", "void")
TURNING = np.isin(np.array(NAMES), TURNS)  # by kind


class Walk:
    """Where it stands, and what came of it so far. Only events that may turn a coupon are looked at one by one."""

    def __init__(self, lifecycle: Lifecycle, batch: Batch, columns: Columns, applied: Applied) -> None:
        self.lifecycle = lifecycle
        self.batch = batch
        self.customers = applied.customers
        turning = TURNING[np.asarray(columns.kind, dtype=np.int64)]
        rare = np.flatnonzero(turning & (np.asarray(applied.repeated) == 0))
        whose, kinds, places = (numbers[rare].tolist() for numbers in (columns.who, columns.kind, columns.index))
        self.ahead = list(zip(places, whose, [NAMES[kind] for kind in kinds], strict=True))[::-1]
        self.counts = Counter[str]()

    def until(self, place: int, ledgers: MutableMapping[int, Ledger], changed: set[int]) -> list[Message]:
        """Takes those up to a place of the batch, that one included."""
        messages = []
        while self.ahead and self.ahead[-1][0] <= place:
            at, who, kind = self.ahead.pop()
            if self.lifecycle.concerns(kind, ledgers[who]):
                event: e.Event = e.decode_event(self.batch.values[at])
                messages += [self._told(one) for one in self.lifecycle.hear(ledgers[who], self.customers[who], event)]
                if ledgers[who].coupons:  # else nothing can have changed
                    changed.add(who)
        return messages

    def rest(self, ledgers: MutableMapping[int, Ledger], changed: set[int]) -> list[Message]:
        return self.until(len(self.batch.values), ledgers, changed)

    def _told(self, heard: Heard) -> Message:
        turn, told = heard.turn, heard.verdict
        self.counts[f"coupon:{turn}:{told.reason if turn == 'refused' else ''}"] += 1  # elsewhere it may be any text
        id = digest(f"coupon.{turn}|{told.customer}|{told.event}|{told.decision}")
        about = (told.at_ms, told.customer, told)
        return cloudevent(self.lifecycle.topic, told.customer, id, f"coupon.{turn}", "redemptions", *about)
