"""Messages that leave later than they were decided: held in the customer's ledger, and sent when the partition's clock
has come to their time, unless the customer was suppressed or has taken back consent meanwhile."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from msgspec import convert, json
from msgspec.structs import replace

from alerts.coupons.code import serial_of
from alerts.triggers.alarms import SENDS
from alerts.triggers.news import News, place_of
from features.columns import CONSENT, Columns
from features.kernel.arrays import Ints
from features.outgoing import CloudEvent, Receipt
from features.record import Ledger
from features.suppression import suppression

WITHHELD = "withheld"  # the outcome of a message that is not sent after all
_read = json.Decoder(CloudEvent).decode


class Holding:
    """Those of one batch, by its news. `send` takes (customer, coupon as it stands in Kafka), `withhold` the receipt of
    one that does not leave."""

    def __init__(
        self,
        news: News,
        columns: Columns,
        customers: list[str],
        send: Callable[[str, bytes], None],
        withhold: Callable[[str, Receipt], None],
    ) -> None:
        self.news = news
        self.columns = columns
        self.customers = customers
        self.send = send
        self.withhold = withhold
        self.moved: set[int] = set()

    def due(self, sends: Mapping[str, int]) -> None:
        """`sends`: by customer, when the first of their messages is due."""
        numbers = {customer: who for who, customer in enumerate(self.customers)} if sends else {}
        for customer, due_ms in sends.items():
            if customer in numbers:
                self._wait(numbers[customer], due_ms)

    def _wait(self, who: int, due_ms: int) -> None:
        order = place_of(self.columns, due_ms), due_ms
        self.news.add(order, who, partial(self._release, who, due_ms), self.customers[who])

    def hold(self, who: int, send_ms: int, coupon: bytes) -> None:
        """Until the partition's clock has come so far."""
        insort(self.news.ledger(who).held, (send_ms, coupon))
        self.moved.add(who)
        if send_ms <= self.columns.clock.now_ms:
            self._wait(who, send_ms)

    def hear(self, purpose: str) -> None:
        """Words of the batch that take back consent to that purpose."""
        if not purpose:
            return
        words: Ints = np.flatnonzero(self.columns.kind == CONSENT)
        words = words[self.columns.numbers("granted", words) == 0]
        purposes, at_ms = self.columns.texts("purpose", words), self.columns.numbers("at_ms", words).tolist()
        places, whose = self.columns.index[words].tolist(), self.columns.who[words].tolist()
        for place, who, of, ms in zip(places, whose, purposes, at_ms, strict=True):
            if of == purpose:
                self.news.add((place, 0), who, partial(self._take_back, who, ms), self.customers[who])

    def _take_back(self, who: int, at_ms: int) -> bool:
        """What was decided before the word does not leave any more."""
        ledger = self.news.ledger(who)
        gone = [held for held in ledger.held if _receipt(held[1]).at_ms <= at_ms]
        ledger.held = [held for held in ledger.held if held not in gone]
        for _, coupon in gone:
            self._withhold(who, coupon, at_ms, "no_consent")
        return bool(gone)

    def _release(self, who: int, due_ms: int) -> bool:
        ledger = self.news.ledger(who)
        ready = [held for held in ledger.held if held[0] <= due_ms]
        ledger.held = ledger.held[len(ready) :]
        for send_ms, coupon in ready:
            if found := suppression(ledger, send_ms):
                self._withhold(who, coupon, send_ms, *found)
            elif _taken_back(ledger, coupon):
                self._withhold(who, coupon, send_ms, "revoked")
            else:
                self.send(self.customers[who], coupon)
        self.moved.add(who)  # also where nothing was left to send: its timer goes
        return bool(ready)

    def _withhold(self, who: int, coupon: bytes, at_ms: int, because: str, until_ms: int = 0) -> None:
        self.moved.add(who)
        told = _receipt(coupon)
        self.news.ledger(who).coupons.pop(serial_of(told.decision), None)  # nobody will ever have seen it
        decision, outcome = f"{told.decision}/{WITHHELD}", WITHHELD
        more = {"at_ms": at_ms, "because": because, "until_ms": until_ms}
        self.withhold(self.customers[who], replace(told, decision=decision, outcome=outcome, **more))

    def timers(self) -> dict[str, int | None]:
        """When to look at those again whose messages have changed."""
        held = {who: self.news.ledger(who).held for who in self.moved}
        return {SENDS + self.customers[who]: mine[0][0] if mine else None for who, mine in held.items()}


def _taken_back(ledger: Ledger, coupon: bytes) -> bool:
    """Whether it was revoked before it was sent, as where the order that earned it was refunded."""
    kept = ledger.coupons.get(serial_of(_receipt(coupon).decision))
    return kept is not None and kept.revoked_ms > 0


def _receipt(coupon: bytes) -> Receipt:
    return convert(_read(coupon).data, Receipt)
