"""Carries coupons to one gateway, or notices to one sink, in a thread of its own: nobody else waits for this one.

A record's offset counts as done when Kafka has what became of it; whatever is not done is sent again, under the
same id, by whoever starts at the committed offset.
"""

from __future__ import annotations

import random
import time
from threading import Event
from typing import get_args

import structlog

from alerts.delivery.answer import Answer
from alerts.delivery.errand import Errand
from alerts.delivery.lane import GivenUp, Lane, Outcome, Terms
from alerts.delivery.parcel import Parcel
from features.job import Batch
from features.messages import Refused
from operators import traces
from operators.gateway import Attempts
from operators.health import ATTEMPT, ATTEMPTS, CIRCUIT, DELIVERIES, OLDEST, UNSETTLED, Pulse, count, warn_seldom
from operators.intake import Intake
from operators.telling import Telling
from operators.tombstones import Following

log = structlog.get_logger()
TURN_S = 0.02
MEASURE_S = 0.5
SLOW_S = 10.0  # so long may Kafka need to confirm what it is told
STATES = ("closed", "half-open", "open")


class Courier:
    """One receiver's work from intake to outcome. `flow`: whose it is; `tombstones`: for what has customers."""

    def __init__(
        self,
        flow: str,
        name: str,
        errand: Errand,
        terms: Terms,
        intake: Intake,
        attempts: Attempts,
        telling: Telling,
        pulse: Pulse,
        tombstones: Following | None = None,
    ) -> None:
        self.flow = flow
        self.name = name
        self.errand = errand
        self.terms = terms
        self.intake = intake
        self.attempts = attempts
        self.telling = telling
        self.tombstones = tombstones
        self.pulse = pulse
        self.lane = Lane(terms, random.uniform, time.monotonic())
        self.closed = True  # the circuit
        self.measured_s = 0.0
        for outcome in get_args(GivenUp):
            DELIVERIES.labels(name, outcome)  # from the start, so that the first one is a rise

    def carry(self, stop: Event, stop_s: float) -> None:
        """Until it is told to stop; what is in flight then has `stop_s` to end."""
        try:
            while not stop.is_set():
                self._begin()
                self._turn()
            end_s = time.monotonic() + stop_s
            while self.lane.flying and time.monotonic() < end_s:
                self._turn()
        finally:
            self._close()

    def _begin(self) -> None:
        """Takes what there is room for, and starts what may start."""
        if self.tombstones and self.tombstones.hear():
            self._withhold()
        for record in self.intake.take(self.terms.window - self.intake.open):
            self._accept(record)
        for parcel, reason in self.lane.overdue(time.monotonic(), _now_ms()):
            self._settle(parcel, reason)
        while self.attempts.free and (starting := self.lane.next(time.monotonic())):
            self.attempts.start(starting)

    def _turn(self) -> None:
        """Hears gateway and Kafka."""
        for parcel, attempt, answer in self.attempts.ended(TURN_S):
            if attempt == parcel.attempts and parcel.place in self.lane.flying:  # else it has been called late
                self._answered(parcel, answer)
        for parcel in self.lane.late(time.monotonic()):
            self._answered(parcel, Answer(failure="timeout", seconds=self.terms.timeout_s))
        self.telling.hear()
        self.intake.commit()
        self._show(time.monotonic())

    def _accept(self, record: Batch) -> None:
        place = record.partition, record.offsets[0]
        try:
            parcel = self.errand.read(record, time.monotonic())
        except Refused as refused:
            self._note(refused.reason)
            self._warn(refused.reason)
            self.telling.tell(place, [self.errand.buried(record, refused)])
            return
        if parcel is None:
            self._note("other_channel")
            self.telling.tell(place, [])
        elif self._forgotten({parcel.customer}):
            self._settle(parcel, "forgotten")
        else:
            self.lane.put(parcel)

    def _forgotten(self, customers: set[str]) -> set[str]:
        return self.tombstones.forgotten.among(customers) if self.tombstones else set()

    def _withhold(self) -> None:
        """What waits for those who were forgotten is not sent any more."""
        gone = self._forgotten({parcel.customer for parcel in self.lane.parcels()})
        for parcel in self.lane.withdraw(gone):
            self._settle(parcel, "forgotten")

    def _answered(self, parcel: Parcel, answer: Answer) -> None:
        ATTEMPTS.labels(self.name, answer.kind).inc()
        ATTEMPT.labels(self.name).observe(answer.seconds)
        if outcome := self.lane.answered(parcel, answer, time.monotonic()):
            self._settle(parcel, outcome)
        elif self._forgotten({parcel.customer}):
            self._withhold()

    def _settle(self, parcel: Parcel, outcome: Outcome) -> None:
        self._note(outcome)
        if traces.spans:
            traces.spans.delivery(self.flow, self.name, parcel, outcome, time.monotonic() - parcel.taken_s)
        if outcome not in ("delivered", "forgotten"):
            self._warn(outcome, status=parcel.status)
        self.telling.tell(parcel.place, self.errand.told(parcel, outcome, _now_ms()))

    def _warn(self, reason: str, **told: int) -> None:
        warn_seldom(f"{self.errand.noun} given up", self.name, reason, gateway=self.name, reason=reason, **told)

    def _note(self, outcome: str) -> None:
        DELIVERIES.labels(self.name, outcome).inc()
        if outcome not in ("delivered", "other_channel", "forgotten"):
            count(self.flow, {"dead_lettered": 1, f"dead_lettered:{outcome}": 1})

    def _show(self, now_s: float) -> None:
        """How things are, for /healthz and /metrics."""
        self.pulse.beat(f"{self.flow} {self.name}")
        state = self.lane.breaker.state(now_s)
        if self.closed != (state == "closed"):
            self.closed = not self.closed
            log.warning("circuit closed" if self.closed else "circuit opened", gateway=self.name)
        if now_s < self.measured_s + MEASURE_S:
            return
        self.measured_s = now_s
        self.pulse.well(f"{self.errand.receiver} {self.name}")  # where an error had ended its work
        where, waits_s = f"kafka, writing {self.name}", self.telling.waits_s(now_s)
        if waits_s > SLOW_S:
            self.pulse.trouble(where, f"has not confirmed what became of a {self.errand.noun} for {waits_s:.0f} s")
        else:
            self.pulse.well(where)
        self._measure(now_s)

    def _measure(self, now_s: float) -> None:
        UNSETTLED.labels(self.name).set(len(self.lane))
        oldest_ms = min((parcel.record.stamps_ms[0] for parcel in self.lane.parcels()), default=_now_ms())
        OLDEST.labels(self.name).set(max(0, _now_ms() - oldest_ms) / 1000)
        CIRCUIT.labels(self.name).set(STATES.index(self.lane.breaker.state(now_s)))

    def _close(self) -> None:
        """Lets Kafka confirm what it was told, and commits."""
        self.attempts.close()
        self.telling.close()
        if self.tombstones:
            self.tombstones.close()
        self.intake.close()


def _now_ms() -> int:
    return round(time.time() * 1000)
