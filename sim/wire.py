"""The line between the chain and its topics: delays, late tills, repeats and broken records."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from msgspec import Struct

from features.events import Event, encode
from features.times import MINUTE_MS
from sim.agenda import Agenda, Record
from sim.faults import AUDIT_REASONS, EVENT_REASONS, spoil
from sim.menu import pick
from sim.stores import Store
from sim.truth import DUPLICATE, LATE, SOUND, Truth

POS, APP, AUDIT = TOPICS = ("pos.events", "app.events", "audit.events")
LATE_MS = 2 * MINUTE_MS  # from this delay on, a record counts as late
_LONGEST_REPEAT_MS = 25 * MINUTE_MS


class Deed(NamedTuple):
    """What somebody did, as it was before the line could spoil it."""

    sent_ms: int
    event: Event


class Rates(Struct, frozen=True):
    """How often things go wrong or differ, as shares of the records or of the members."""

    duplicate: float = 0.005
    late: float = 0.01  # of the records of the stores
    malformed: float = 0.002
    extra_field: float = 0.01  # a field nobody has heard of
    text_time: float = 0.1  # RFC 3339 rather than epoch ms
    consent: float = 0.8
    lapse: float = 0.12


class Wire:
    """Sends events at their time plus a delay, and tells the truth about every record sent."""

    def __init__(self, agenda: Agenda, truth: Truth, rng: Random, rates: Rates) -> None:
        self._agenda, self._truth, self._rng, self._rates = agenda, truth, rng, rates
        self._spoilt = 0
        self.witness: list[Deed] | None = None  # notes every deed, once, if there is one

    def from_till(self, store: Store, event: Event, at_ms: int) -> None:
        """A dead till sends what it holds when it is back."""
        sent_ms = self._from_now(self._store_delay(at_ms))
        if store.is_down(sent_ms):
            sent_ms = store.down_to_ms + int(self._rng.random() * MINUTE_MS)
        self._send(POS, store.id, event, sent_ms, LATE if sent_ms - at_ms >= LATE_MS else SOUND, store)

    def from_door(self, store: Store, event: Event, at_ms: int) -> None:
        """The visitor counter does not depend on the till."""
        sent_ms = self._store_delay(at_ms)
        self._send(POS, store.id, event, sent_ms, LATE if sent_ms - at_ms >= LATE_MS else SOUND)

    def from_app(self, app_id: str, event: Event, at_ms: int) -> int:
        """Returns the moment of sending."""
        sent_ms = self._from_now(at_ms + 100 + int(self._rng.random() * 1_500))
        self._send(APP, app_id, event, sent_ms)
        return sent_ms

    def from_office(self, actor: str, event: Event, at_ms: int) -> None:
        self._send(AUDIT, actor, event, at_ms + 50 + int(self._rng.random() * 500))

    def _from_now(self, sent_ms: int) -> int:
        """What has happened before is sent now."""
        return max(sent_ms, self._agenda.now_ms)

    def _store_delay(self, at_ms: int) -> int:
        if self._rng.random() < self._rates.late:
            return at_ms + int(LATE_MS * 100 ** self._rng.random())  # two minutes to three hours
        return at_ms + 200 + int(self._rng.random() * 2_000)

    def _send(
        self, topic: str, key: str, event: Event, sent_ms: int, mark: str = SOUND, till: Store | None = None
    ) -> None:
        rng, rates, value = self._rng, self._rates, encode(event)
        if self.witness is not None:
            self.witness.append(Deed(sent_ms, event))
        if rng.random() < rates.extra_field:
            value = value[:-1] + b',"firmware":"4.2.1"}'
        self._agenda.plan(sent_ms, self._post, topic, key, value, mark)
        if rng.random() < rates.duplicate:
            again_ms = sent_ms + 1_000 + int(min(rng.expovariate(1 / (2 * MINUTE_MS)), _LONGEST_REPEAT_MS))
            if till is None or not till.is_down(again_ms):
                self._agenda.plan(again_ms, self._post, topic, key, value, DUPLICATE)
        if rng.random() < rates.malformed:
            reason = pick(rng, AUDIT_REASONS if topic == AUDIT else EVENT_REASONS)
            self.spoilt(sent_ms, topic, key, value, reason)

    def spoilt(self, sent_ms: int, topic: str, key: str, value: bytes, reason: str) -> None:
        """Sends the bytes of an event again, under another id and unusable for `reason`."""
        self._spoilt += 1
        broken = spoil(value, reason, f"x{self._spoilt:06d}", self._rng)
        self._agenda.plan(sent_ms, self._post, topic, key, broken, reason)

    def _post(self, at_ms: int, topic: str, key: str, value: bytes, mark: str) -> Record:
        self._truth.count(topic, mark)
        return Record(at_ms, topic, key, value)
