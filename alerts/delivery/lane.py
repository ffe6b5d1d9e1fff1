"""The way to one gateway: which coupon may go now, and what becomes of it when the gateway has answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Literal

from msgspec import Struct

from alerts.delivery.answer import TOO_MANY, Answer, backoff_s
from alerts.delivery.breaker import Breaker
from alerts.delivery.bucket import Bucket
from alerts.delivery.parcel import Parcel

LONGEST_PAUSE_S = 3_600.0  # whatever a Retry-After says
GRACE_S = 1.0
GivenUp = Literal["gateway_refused", "gateway_unreachable", "expired"]
Outcome = Literal["delivered", "gateway_refused", "gateway_unreachable", "expired", "forgotten"]


class Terms(Struct, frozen=True):
    """What was agreed with a gateway."""

    rate_per_s: float
    timeout_s: float
    in_flight: int
    window: int
    max_attempts: int
    give_up_s: float
    backoff_s: float
    backoff_most_s: float
    breaker_failures: int
    breaker_pause_s: float


class Lane:
    """Coupons that wait, the earliest due first, and those in flight. `uniform(a, b)` is chance."""

    def __init__(self, terms: Terms, uniform: Callable[[float, float], float], now_s: float) -> None:
        self.terms = terms
        self.uniform = uniform
        self.bucket = Bucket(terms.rate_per_s, now_s)
        self.breaker = Breaker(terms.breaker_failures, terms.breaker_pause_s)
        self.order = count()
        self.waiting: list[tuple[float, int, Parcel]] = []
        self.flying: dict[tuple[int, int], tuple[Parcel, float]] = {}  # by place, with the time of the start

    def __len__(self) -> int:
        return len(self.waiting) + len(self.flying)

    def parcels(self) -> Iterator[Parcel]:
        """All that are not settled."""
        yield from (parcel for _, _, parcel in self.waiting)
        yield from (parcel for parcel, _ in self.flying.values())

    def put(self, parcel: Parcel) -> None:
        heappush(self.waiting, (parcel.due_s, next(self.order), parcel))

    def next(self, now_s: float) -> Parcel | None:
        """A coupon whose attempt starts now, if breaker and bucket let one go."""
        due = self.waiting and self.waiting[0][0] <= now_s
        if not due or not self.breaker.admits(now_s) or not self.bucket.take(now_s):
            return None
        _, _, parcel = heappop(self.waiting)
        parcel.attempts += 1
        parcel.probe = self.breaker.start()
        self.flying[parcel.place] = (parcel, now_s)
        return parcel

    def late(self, now_s: float) -> list[Parcel]:
        """Those whose attempt should have ended by itself, and has not."""
        limit_s = self.terms.timeout_s + GRACE_S
        return [parcel for parcel, started_s in self.flying.values() if now_s > started_s + limit_s]

    def overdue(self, now_s: float, now_ms: int) -> list[tuple[Parcel, GivenUp]]:
        """Takes out those that have waited for too long."""
        found: list[tuple[Parcel, GivenUp]] = []
        for _, _, parcel in self.waiting:
            if parcel.expires_ms <= now_ms:
                found.append((parcel, "expired"))
            elif now_s >= parcel.taken_s + self.terms.give_up_s:
                found.append((parcel, "gateway_unreachable"))
        if found:
            self._take_out({parcel.place for parcel, _ in found})
        return found

    def withdraw(self, customers: set[str]) -> list[Parcel]:
        """Takes out what waits for these."""
        found = [parcel for _, _, parcel in self.waiting if parcel.customer in customers]
        if found:
            self._take_out({parcel.place for parcel in found})
        return found

    def _take_out(self, places: set[tuple[int, int]]) -> None:
        self.waiting = [entry for entry in self.waiting if entry[2].place not in places]
        heapify(self.waiting)

    def answered(self, parcel: Parcel, answer: Answer, now_s: float) -> Outcome | None:
        """What has become of it; None when it waits for another attempt."""
        del self.flying[parcel.place]
        parcel.status = answer.status
        self.breaker.answered(answer.alive, parcel.probe, now_s)
        if answer.verdict == "delivered":
            return "delivered"
        if answer.verdict == "refused":
            return "gateway_refused"
        # A probe that fails tells of the gateway, and 429 of our pace: neither is the coupon's fault.
        parcel.spared += parcel.probe or answer.status == TOO_MANY
        if parcel.attempts - parcel.spared >= self.terms.max_attempts:
            return "gateway_unreachable"
        self._delay(parcel, answer, now_s)
        return None

    def _delay(self, parcel: Parcel, answer: Answer, now_s: float) -> None:
        if answer.retry_after_s is not None:
            self.bucket.pause(now_s + min(answer.retry_after_s, LONGEST_PAUSE_S))
        wait_s = backoff_s(parcel.attempts, self.terms.backoff_s, self.terms.backoff_most_s, self.uniform)
        parcel.due_s = now_s + wait_s
        self.put(parcel)
