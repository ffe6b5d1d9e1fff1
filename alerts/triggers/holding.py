"""Messages that leave later than they were decided: held in the customer's ledger, and sent when the partition's clock
has come to their time, unless the customer is suppressed then or has taken back consent, or the coupon was revoked."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Collection, Mapping
from functools import partial

import numpy as np
import numpy.typing as npt
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
Word = tuple[int, bool]  # (event time, whether consent was given)
Consent = Callable[[str], Word | None]
Mask = npt.NDArray[np.bool_]
_read = json.Decoder(CloudEvent).decode


def nothing_said(customer: str) -> Word | None:
    return None


class Holding:
    """Those of one batch, by its news. `send` takes (customer, coupon as it stands in Kafka), `withhold` (customer's
    number, decision, receipt) of one that does not leave; `consent` tells the latest word on consent before the batch.
    """

    def __init__(
        self,
        news: News,
        columns: Columns,
        customers: list[str],
        send: Callable[[str, bytes], None],
        withhold: Callable[[int, str, Receipt], None],
        consent: Consent,
    ) -> None:
        self.news = news
        self.columns = columns
        self.customers = customers
        self.send = send
        self.withhold = withhold
        self.consent = consent
        self.purpose = ""
        self.words: dict[int, Word] = {}  # on consent, the latest in this batch
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

    def hear(self, purpose: str, known: Mask, getting: Collection[int]) -> None:
        """The batch's words on consent to a purpose; "": none is needed. Of others than those `known`, by customer, to
        have a ledger and those who are `getting` something now nothing can wait."""
        self.purpose, asked = purpose, known.copy()
        asked[list(getting)] = True
        said = (self.columns.kind == CONSENT) & asked[self.columns.who]
        words: Ints = np.flatnonzero(said) if purpose else np.zeros(0, np.int64)
        purposes, at_ms = self.columns.texts("purpose", words), self.columns.numbers("at_ms", words).tolist()
        granted = (self.columns.numbers("granted", words) != 0).tolist()
        places, whose = self.columns.index[words].tolist(), self.columns.who[words].tolist()
        for place, who, of, *word in zip(places, whose, purposes, at_ms, granted, strict=True):
            if of == purpose:
                self.news.add((place, 0), who, partial(self._said, who, *word), self.customers[who])

    def _said(self, who: int, at_ms: int, granted: bool) -> bool:
        """Without consent nothing that waits will leave any more."""
        self.words[who] = _latest(self.words.get(who), (at_ms, granted))
        ledger = self.news.ledger(who)
        if not ledger.held or self._consented(who):
            return False
        gone, ledger.held = ledger.held, []
        for _, coupon in gone:
            self._withhold(who, coupon, at_ms, "no_consent")
        return True

    def _consented(self, who: int) -> bool:
        word = _latest(self.words.get(who), self.consent(self.customers[who])) if self.purpose else (0, True)
        return word[1]

    def _release(self, who: int, due_ms: int) -> bool:
        ledger = self.news.ledger(who)
        ready = [held for held in ledger.held if held[0] <= due_ms]
        ledger.held = ledger.held[len(ready) :]
        for send_ms, coupon in ready:
            if found := suppression(ledger, send_ms):
                self._withhold(who, coupon, send_ms, *found)
            elif not self._consented(who):
                self._withhold(who, coupon, send_ms, "no_consent")
            elif _revoked(ledger, coupon):
                self._withhold(who, coupon, send_ms, "revoked")
            else:
                self.send(self.customers[who], coupon)
        self.moved.add(who)  # also where nothing was left to send: its timer goes
        if ledger.held and ledger.held[0][0] <= self.columns.clock.now_ms:
            self._wait(who, ledger.held[0][0])
        return bool(ready)

    def _withhold(self, who: int, coupon: bytes, at_ms: int, because: str, until_ms: int = 0) -> None:
        self.moved.add(who)
        told = _receipt(coupon)
        self.news.ledger(who).coupons.pop(serial_of(told.decision), None)  # nobody will ever have seen it
        decision, outcome = f"{told.decision}/{WITHHELD}", WITHHELD
        more = {"at_ms": at_ms, "because": because, "until_ms": until_ms}
        self.withhold(who, told.decision, replace(told, decision=decision, outcome=outcome, **more))

    def timers(self) -> dict[str, int | None]:
        """When to look at those again whose messages have changed."""
        held = {who: self.news.ledger(who).held for who in self.moved}
        return {SENDS + self.customers[who]: mine[0][0] if mine else None for who, mine in held.items()}


def _latest(*words: Word | None) -> Word:
    """The word that counts; of two at the same instant, the refusal. Nobody has consented who has said nothing."""
    return max((word for word in words if word), key=lambda word: (word[0], not word[1]), default=(0, False))


def _revoked(ledger: Ledger, coupon: bytes) -> bool:
    """Whether it was revoked before it was sent, as where the order that earned it was refunded."""
    kept = ledger.coupons.get(serial_of(_receipt(coupon).decision))
    return kept is not None and kept.revoked_ms > 0


def _receipt(coupon: bytes) -> Receipt:
    return convert(_read(coupon).data, Receipt)
