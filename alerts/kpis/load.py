"""How full a store is: its orders of the last quarter of an hour against what it usually has at this hour of the week.

Hours are those of UTC, so when clocks change the usual is an hour off until it is learned anew. A minute counts as it
was when it closed; what comes later is neither told anew nor learned.
"""

from __future__ import annotations

from struct import Struct as Layout
from typing import Any, NamedTuple

from msgspec import Struct, field, msgpack

from alerts.kpis.silence import PATIENCE

WINDOW = 15  # minutes
EVERY = 5  # minutes from one word to the next
WEEK_HOURS = 168
ENOUGH_WEEKS = 4  # an hour's rate is the mean of its weeks, then the newest weighs a quarter
RATE, RATES = Layout("<d"), Layout(f"<{WEEK_HOURS}d")
RETIRED_DAYS = 14  # a store without any event for so long is no longer watched
LEAST_USUAL = 2.0  # orders in the window: where fewer are usual, nobody can say that a store is empty


class Seen(NamedTuple):
    orders: int
    usual: float


class Usual(Struct, array_like=True):
    """The last minutes of a store, and its orders a minute in each hour of the week."""

    window: list[int] = field(default_factory=lambda: [0] * WINDOW)  # by minute modulo its length
    known: int = 0  # minutes since the last gap
    sum: int = 0  # of the hour being learned, if all of its minutes are known
    rates: bytes | list[float] = bytes(RATES.size)  # lists were kept once
    weeks: bytes | list[int] = bytes(WEEK_HOURS)  # that an hour has been learned of, up to `ENOUGH_WEEKS`

    def over(self, minute: int) -> float | None:
        """Orders in the window that ends with a minute; None while an hour in it was never learned."""
        hours = [each // 60 % WEEK_HOURS for each in range(minute - WINDOW + 1, minute + 1)]
        if not all(self.weeks[hour] for hour in hours):
            return None
        rate = {hour: self.rate(hour) for hour in {*hours}}
        return sum(rate[hour] for hour in hours)

    def rate(self, hour: int) -> float:
        found: float = RATE.unpack_from(self.rates, hour * RATE.size)[0]  # type: ignore[arg-type]
        return found

    def learn(self, hour: int, rate: float) -> None:
        """Takes the rate of one more week's hour."""
        weeks, rates = bytearray(self.weeks), bytearray(self.rates)  # type: ignore[arg-type]
        weeks[hour] = min(weeks[hour] + 1, ENOUGH_WEEKS)
        RATE.pack_into(rates, hour * RATE.size, self.rate(hour) + (rate - self.rate(hour)) / weeks[hour])
        self.weeks, self.rates = bytes(weeks), bytes(rates)


class Watch(Struct, array_like=True):
    """How far a store has been looked at; minutes since the epoch."""

    first: int
    since: int  # the first minute after the last gap
    next: int  # to be looked at
    active: int  # the last minute in which anything happened
    series: list[Any] = []  # of what was judged here once
    kept: Usual | None = None
    beat: int = 0  # the last minute with a heartbeat; 0 of a store without

    @property
    def load(self) -> Usual:
        self.kept = self.kept or Usual()
        return self.kept


encode_watch = msgpack.Encoder().encode
_decode_watch = msgpack.Decoder(Watch).decode


def decode_watch(raw: bytes) -> Watch:
    watch = _decode_watch(raw)
    watch.series = []
    if watch.kept and isinstance(watch.kept.rates, list):
        watch.kept.weeks = bytes(min(weeks, ENOUGH_WEEKS) for weeks in watch.kept.weeks)
        watch.kept.rates = RATES.pack(*watch.kept.rates)
    return watch


def retired(watch: Watch) -> bool:
    return watch.next - watch.active > RETIRED_DAYS * 1440


def silent(watch: Watch, minute: int, beats: int) -> bool:
    """Takes a minute's heartbeats; whether the till is offline, as `silence.py` has it."""
    if beats > 0 or minute - watch.beat > RETIRED_DAYS * 1440:
        watch.beat = minute if beats > 0 else 0
    return bool(watch.beat) and minute - watch.beat >= PATIENCE


def skip(watch: Watch, minute: int) -> None:
    """Goes on at a minute: what was before is no longer known."""
    watch.since = watch.next = minute
    pause(watch.load)


def step(usual: Usual, minute: int, orders: int) -> Seen | None:
    """Takes the next minute since the epoch; what there is to say of the window that it ends, now and then."""
    usual.window[minute % WINDOW] = orders
    usual.known += 1
    expected = usual.over(minute) if (minute + 1) % EVERY == 0 and usual.known >= WINDOW else None
    _learn(usual, minute, orders)
    if expected is None or expected < LEAST_USUAL:
        return None
    return Seen(max(0, sum(usual.window)), expected)


def _learn(usual: Usual, minute: int, orders: int) -> None:
    usual.sum = orders + (usual.sum if minute % 60 else 0)
    if minute % 60 == 59 and usual.known >= 60:
        usual.learn(minute // 60 % WEEK_HOURS, max(0, usual.sum) / 60)


def pause(usual: Usual) -> None:
    """What is between is not known: the window and the hour begin anew."""
    usual.window, usual.known, usual.sum = [0] * WINDOW, 0, 0
