"""A seeded stream of clean events for measurements: many customers, an ordinary mix of event types."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from features import events as e
from features.times import local_day

ZONE = "Asia/Shanghai"
START_MS = 1_777_824_000_000
RHYTHM_MS = 40_000_000  # from one event of a customer to the next
TICK_EVERY = 2_000
MENU = [
    ("milk-tea", "tea", 1600),
    ("oolong", "tea", 1400),
    ("brown-sugar-boba", "tea", 1900),
    ("egg-tart", "snack", 900),
]


def clean_events(count: int, customers: int, seed: int = 7) -> Iterator[tuple[str, bytes, bool]]:
    """(key, value, is it a tick) of `count` events and a tick after every 2,000; a tick goes to every partition.

    A customer has one event every 11 hours, however many customers there are.
    """
    rng = Random(seed)
    for number in range(count):
        at_ms = START_MS + number * RHYTHM_MS // customers
        event = clean_event(rng, number, customers, at_ms)
        yield event.customer, e.encode(event), False
        if number % TICK_EVERY == TICK_EVERY - 1:
            yield "", e.encode(e.Tick(id=f"t{number}", at_ms=at_ms, source="load", of=1)), True


def clean_event(rng: Random, number: int, customers: int, at_ms: int) -> e.Event:
    """One of them, as ingest would write it."""
    customer = f"c{rng.randrange(customers):032x}"
    event = _event(rng, number)
    event.customer, event.at_ms, event.tz = customer, at_ms, ZONE
    event.day = local_day(at_ms, ZONE)
    event.store, event.region, event.channel = f"s{rng.randrange(2000):04}", "east", "pos"
    return event


def _event(rng: Random, number: int) -> e.Event:
    kind, id = rng.random(), f"e{number}"
    if kind < 0.4:
        lines = [e.Line(sku, rng.randint(1, 2), price, category) for sku, category, price in rng.sample(MENU, 2)]
        return e.Order(id=id, lines=lines, total_cents=sum(x.qty * x.price_cents for x in lines))
    if kind < 0.65:
        return e.AppOpen(id=id)
    if kind < 0.85:
        return e.View(id=id, sku=rng.choice(MENU)[0])
    if kind < 0.93:
        return e.CartAdd(id=id, sku=rng.choice(MENU)[0], price_cents=1600)
    if kind < 0.97:
        return e.Rating(id=id, stars=rng.choice((2.0, 4.0, 5.0)))
    return e.Consent(id=id, purpose="marketing", granted=True)
