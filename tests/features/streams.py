"""Random streams of clean events, as ingest would hand them on."""

from __future__ import annotations

from hypothesis import strategies as st
from msgspec.structs import replace

from features import events as e
from features.times import DAY_MS, HOUR_MS, local_day, parse_time

ZONES = ("Asia/Shanghai", "America/New_York", "Europe/London", "Asia/Kathmandu")
STARTS_MS = [
    parse_time(text)
    for text in (
        "2026-03-07T20:00:00-05:00",  # New York springs forward that night
        "2026-10-31T22:00:00-04:00",  # and falls back
        "2024-02-28T23:30:00+08:00",  # a leap day follows
        "2026-12-31T21:00:00Z",
        "2026-05-04T00:00:00+08:00",
    )
]
SPANS_MS = (20 * 60_000, 2 * HOUR_MS, 2 * DAY_MS, 10 * DAY_MS, 100 * DAY_MS)
CASES = ("case-1", "case-2")
STORES = ("", "s1", "s2", "茶-3")


@st.composite
def moments(draw: st.DrawFn, start_ms: int) -> int:
    """Soon after the start or long after it, now and then exactly on a pane's edge."""
    offset_ms = draw(st.sampled_from(SPANS_MS).flatmap(lambda span_ms: st.integers(0, span_ms)))
    grain_ms = draw(st.sampled_from((1, 1, 300_000, HOUR_MS)))
    return (start_ms + offset_ms) // grain_ms * grain_ms


@st.composite
def clean_events(draw: st.DrawFn, customer: str, number: int, start_ms: int, zones: tuple[str, ...]) -> e.Event:
    """Any event that changes a record. Refunds and voids undo an earlier moment, whether an order was there or not."""
    at_ms, tz = draw(moments(start_ms)), draw(st.sampled_from(zones))
    size = draw(st.integers(0, 3000))
    common = {"id": f"{customer}-{number}", "customer": customer, "at_ms": at_ms, "tz": tz, "day": day_of(at_ms, tz)}
    kind = draw(st.sampled_from((e.Order, e.Order, e.Order, e.Refund, e.Void, *OTHERS)))
    if kind is e.Order:
        sugar = {"sugar": draw(st.sampled_from(("", "half", "none")))}
        lines = [e.Line("tea", 1 + size % 4, category="drink", options=sugar), e.Line("cake", category="snack")]
        common |= {"store": draw(st.sampled_from(STORES)), "channel": draw(st.sampled_from(("app", "counter")))}
        lines = lines[: 1 + size % 2]
        return e.Order(**common, lines=lines, total_cents=size, discount_cents=size // 7)
    if issubclass(kind, e.Refund):
        ordered_ms = at_ms - draw(st.integers(0, 3 * DAY_MS))
        undone = {"ordered_ms": ordered_ms, "ordered_day": day_of(ordered_ms, tz)}
        return kind(**common, **undone, order=f"{common['id']}-o", ordered_time=0, amount_cents=size, items=size % 5)
    return kind(**common, **OTHERS[kind](draw, size))


def day_of(at_ms: int, tz: str) -> int:
    return local_day(at_ms, tz or "UTC")


OTHERS = {
    e.AppOpen: lambda draw, size: {},
    e.View: lambda draw, size: {"sku": "tea"},
    e.CartAdd: lambda draw, size: {"sku": "tea"},
    e.CouponRedeemed: lambda draw, size: {"coupon": "x"},
    e.CouponIssued: lambda draw, size: {"coupon": "x"},
    e.CouponDelivered: lambda draw, size: {"coupon": "x"},
    e.PointsSpent: lambda draw, size: {"points": size % 40},
    e.Rating: lambda draw, size: {"stars": size % 51 / 10},
    e.Complaint: lambda draw, size: {"case": draw(st.sampled_from(CASES))},
    e.ComplaintAnswered: lambda draw, size: {"case": draw(st.sampled_from(CASES)), "closed": size % 3 > 0},
    e.ComplaintConfirmed: lambda draw, size: {"case": draw(st.sampled_from(CASES)), "satisfied": size % 2 > 0},
    e.Consent: lambda draw, size: {"purpose": "marketing", "granted": size % 4 > 0},
}


@st.composite
def logs(draw: st.DrawFn, customers: tuple[str, ...] = ("ca", "cb"), longest: int = 30) -> list[e.Event]:
    """Events of several customers in the order they arrive: late ones and repeats among them."""
    start_ms = draw(st.sampled_from(STARTS_MS))
    zones = draw(st.sampled_from((ZONES[:1], ZONES[1:2], ZONES, (*ZONES, ""))))  # "": Brewline's own words name none
    size = draw(st.integers(0, longest))
    who = draw(st.lists(st.sampled_from(customers), min_size=size, max_size=size))
    log = [draw(clean_events(customer, number, start_ms, zones)) for number, customer in enumerate(who)]
    in_order = draw(st.booleans())
    log = sorted(log, key=lambda event: event.at_ms) if in_order else log
    for again in draw(st.lists(st.integers(0, 100), max_size=3)) if log else ():
        log.insert(draw(st.integers(0, len(log))), _once_more(log[again % len(log)], draw(st.booleans())))
    return log


def _once_more(event: e.Event, anew: bool) -> e.Event:
    """A till that voids an order twice may tell it under another id."""
    return replace(event, id=f"{event.id} again") if anew and isinstance(event, e.Void) else event


def with_ticks(log: list[e.Event], sources: tuple[str, ...] = ("pos/0", "app/0")) -> st.SearchStrategy[list[e.Event]]:
    """The log with ticks of its source partitions strewn in, at times that the events speak of."""
    times_ms = [event.at_ms + step_ms for event in log for step_ms in STEPS_MS] or STARTS_MS
    tick = st.builds(_ticks, st.sampled_from(times_ms), st.permutations(sources))
    places = st.lists(st.tuples(st.integers(0, len(log)), tick), max_size=10)
    return places.map(lambda placed: _strewn(log, placed))


STEPS_MS = (0, HOUR_MS, 6 * DAY_MS)


def _ticks(at_ms: int, sources: list[str]) -> list[e.Event]:
    """The first source is an hour ahead of the rest."""
    return [
        e.Tick(id="t", at_ms=at_ms + HOUR_MS * (source == sources[0]), source=source, of=len(sources))
        for source in sources
    ]


def _strewn(log: list[e.Event], placed: list[tuple[int, list[e.Event]]]) -> list[e.Event]:
    strewn: list[e.Event] = []
    for index in range(len(log) + 1):
        strewn += [tick for place, ticks in placed if place == index for tick in ticks]
        strewn += log[index : index + 1]
    return strewn


cuts = st.lists(st.integers(1, 60), max_size=8)
