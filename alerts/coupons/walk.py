"""The coupon events of a batch, in log order between its decisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

import numpy as np

from alerts.coupons.lifecycle import Heard, Lifecycle
from alerts.triggers.news import News
from features import events as e
from features.columns import NAMES, Columns
from features.customer import Applied
from features.job import Batch, Message
from features.messages import cloudevent, digest
from features.record import Ledger

TURNS = ("coupon_redeemed", "coupon_delivered", "coupon_opened", "coupon_revoked", "refund", "void", "suppress")
TURNING = np.isin(np.array(NAMES), TURNS)  # by kind


class Walk:
    """Only events that may turn a coupon are looked at one by one."""

    def __init__(self, lifecycle: Lifecycle, batch: Batch, columns: Columns, applied: Applied) -> None:
        self.lifecycle = lifecycle
        self.batch = batch
        self.customers = applied.customers
        turning = TURNING[np.asarray(columns.kind, dtype=np.int64)]
        rare = np.flatnonzero(turning & (np.asarray(applied.repeated) == 0))
        whose, kinds, places = (numbers[rare].tolist() for numbers in (columns.who, columns.kind, columns.index))
        self.ahead = list(zip(places, whose, [NAMES[kind] for kind in kinds], strict=True))
        self.counts = Counter[str]()
        self.accepted: dict[str, str] = {}  # event of a redemption → decision that issued the coupon

    def join(self, news: News, tell: Callable[[Message], None]) -> None:
        """Has them happen among the news; what comes of them is told."""
        for place, who, kind in self.ahead:
            news.add((place, 0), who, partial(self._turn, news.ledger, tell, place, who, kind))

    def _turn(
        self, ledger_of: Callable[[int], Ledger], tell: Callable[[Message], None], place: int, who: int, kind: str
    ) -> bool:
        ledger = ledger_of(who)
        if not self.lifecycle.concerns(kind, ledger):
            return False
        event: e.Event = e.decode_event(self.batch.values[place])
        for one in self.lifecycle.hear(ledger, self.customers[who], event):
            tell(self._told(one))
        return bool(ledger.coupons)  # else nothing can have changed

    def _told(self, heard: Heard) -> Message:
        self.counts[counted(heard)] += 1
        if heard.turn == "redeemed":
            self.accepted[heard.verdict.event] = heard.verdict.decision
        return told(self.lifecycle.topic, heard)


def counted(heard: Heard) -> str:
    """Under which a verdict is counted: reasons of refusals are few, others may be any text."""
    return f"coupon:{heard.turn}:{heard.verdict.reason if heard.turn == 'refused' else ''}"


def told(topic: str, heard: Heard) -> Message:
    turn, verdict = heard.turn, heard.verdict
    id = digest(f"coupon.{turn}|{verdict.customer}|{verdict.event}|{verdict.decision}")
    about = (verdict.at_ms, verdict.customer, verdict)
    return cloudevent(topic, verdict.customer, id, f"coupon.{turn}", "redemptions", *about)
