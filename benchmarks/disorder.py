"""Events in the disorder of real tills and apps, and who sends them: late, repeated, taken back, over weeks."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from benchmarks.load import START_MS, clean_event
from features import events as e
from features.times import DAY_MS, HOUR_MS, local_day

DAYS = 40  # long enough for a rule that waits two weeks
TICK_EVERY = 40
LATE_HOURS = 20
KNOWN = 400  # latest events that may come again, or be taken back
SLICE = 20  # events sent at once
Entry = tuple[str, bytes, bool]


def disordered_events(count: int, customers: int, seed: int) -> Iterator[Entry]:
    """(key, value, is it a tick) of `count` events and ticks between them; a tick goes to every partition."""
    rng, step_ms = Random(seed), DAYS * DAY_MS // count
    sent: deque[e.Event] = deque(maxlen=KNOWN)
    orders: deque[e.Order] = deque(maxlen=KNOWN)
    for number in range(count):
        now_ms, kind = START_MS + number * step_ms, rng.random()
        if kind < 0.03 and sent:
            event = rng.choice(sent)
        elif kind < 0.07 and orders:
            event = _taken_back(rng, orders[0], number, now_ms)
            orders.popleft()
        else:
            event = _fresh(rng, number, customers, now_ms - (rng.randrange(LATE_HOURS * HOUR_MS) if kind > 0.95 else 0))
        sent.append(event)
        if isinstance(event, e.Order):
            orders.append(event)
        yield event.customer, e.encode(event), False
        if number % TICK_EVERY == TICK_EVERY - 1:
            yield "", e.encode(e.Tick(id=f"t{number}", at_ms=now_ms, source="load", of=1)), True


def _fresh(rng: Random, number: int, customers: int, at_ms: int) -> e.Event:
    """An ordinary event, or one of those that rarely come: a word on consent, a complaint, its answer."""
    event, kind = clean_event(rng, number, customers, at_ms), rng.random()
    common: dict[str, Any] = {name: getattr(event, name) for name in ("id", "customer", "at_ms", "day", "tz", "store")}
    if kind < 0.06:
        return e.Consent(**common, purpose="marketing", granted=rng.random() < 0.85)
    if kind < 0.08:
        return e.Complaint(**common, case=event.customer)
    if kind < 0.1:
        return e.ComplaintAnswered(**common, case=event.customer, closed=True)
    return event


def _taken_back(rng: Random, order: e.Order, number: int, now_ms: int) -> e.Event:
    common: dict[str, Any] = {name: getattr(order, name) for name in ("customer", "tz", "store", "region", "channel")}
    common |= {"id": f"e{number}", "at_ms": now_ms, "day": local_day(now_ms, order.tz), "order": order.id}
    common |= {"ordered_time": 0, "ordered_ms": order.at_ms, "ordered_day": order.day}
    if rng.random() < 0.5:
        return e.Void(**common, amount_cents=order.total_cents, items=sum(line.qty for line in order.lines))
    return e.Refund(**common, amount_cents=order.total_cents // 2, items=1)


class Feed(threading.Thread):
    """Sends entries in the background, `rate` a second, and no more of them than it is allowed to."""

    def __init__(
        self, producer: confluent_kafka.Producer, topic: str, partitions: int, entries: Iterable[Entry], rate: float
    ) -> None:
        super().__init__(daemon=True)
        self.producer = producer
        self.topic = topic
        self.partitions = partitions
        self.entries = entries
        self.rate = rate
        self.allowed = 0.0
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            for number, (key, value, tick) in enumerate(self.entries):
                while number >= self.allowed:
                    self.producer.poll(0.02)
                if number % SLICE == 0:
                    time.sleep(SLICE / self.rate)
                for partition in range(self.partitions) if tick else (-1,):
                    self._send(key, value, partition)
            self.producer.flush()
        except BaseException as error:  # told where the thread is awaited
            self.failure = error

    def _send(self, key: str, value: bytes, partition: int) -> None:
        while True:
            try:
                self.producer.produce(self.topic, value, key or None, partition, on_delivery=self._delivered)
                self.producer.poll(0)
                return
            except BufferError:
                self.producer.poll(0.1)

    def _delivered(self, error: KafkaError | None, _: Any) -> None:
        if error is not None:
            raise KafkaException(error)

    @property
    def done(self) -> bool:
        """Whether all is in Kafka. Raises what kept it from there."""
        if self.failure is not None:
            raise self.failure
        return not self.is_alive()
