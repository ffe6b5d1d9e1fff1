"""An actor's habits: what is usual for them, or for their peers as long as they are new, and what is not.

Judged are volume and customers of a day, and what is met for the first time: a network, a device, an action, a purpose,
a field, a key, an hour of the week, a journey that nobody can make. Until LEARN_DAYS active days an actor is
judged by their peers: those of the same role at the same store, else of the same role, as soon as these
have PEER_DAYS active days. What nobody is known for yet is learned and not judged.

Journeys, keys and devices are nobody else's habit: new actors bring theirs along.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache
from math import expm1, log1p

from msgspec import Struct, field, msgpack

from alerts.security.fields import Fields
from alerts.security.finding import digest
from alerts.security.moments import Moments
from alerts.security.networks import Address, distance_km
from features.events import Audit
from features.times import DAY_MS, HOUR_MS, local_day

LEARN_DAYS = 5  # active days until an actor is known
PEER_DAYS = 20  # active days of peers until they are
HOURS_DAYS = 10  # active days until hours of the week are judged
FAR = 4.0  # deviations above the mean
LEAST_ROWS, LEAST_CUSTOMERS = 200, 30  # of a day: fewer are never far above
MOST_CUSTOMERS = 2_048  # of a day, told apart; more count as so many
MOST_TERMS = 192  # of an actor; the one that was met longest ago goes
MOST_FIELDS, LONGEST_FIELD = 128, 128  # of an event, and characters of each
FASTEST_KMH, NEAR_KM = 900.0, 100.0
FORGET_MS = 90 * DAY_MS


class Signal(Struct, frozen=True):
    """Something unusual, and what it adds to the actor's risk."""

    name: str
    points: float
    why: str


POINTS = {
    "volume": 40.0,
    "customers": 40.0,
    "impossible_travel": 50.0,
    "new_action": 20.0,
    "new_network": 15.0,
    "new_key": 15.0,
    "new_purpose": 10.0,
    "new_field": 10.0,
    "new_device": 5.0,
    "unusual_hour": 20.0,
}
NAMED = ("action", "network", "field")  # the others are free text, names of people's devices and keys: never repeated
OF_PEERS = ("action", "purpose", "field")  # what a new actor may be expected to share with their peers


class Peers(Struct, array_like=True):
    """The record of a role, or of a role at a store: days of its actors, and the terms that any has met."""

    volume: Moments = field(default_factory=Moments)
    breadth: Moments = field(default_factory=Moments)
    terms: dict[int, int] = {}  # hash of kind and value: day it was met last
    last_ms: int = 0
    page: int = 0  # where it is listed

    @property
    def known(self) -> bool:
        return self.volume.count >= PEER_DAYS

    @property
    def due_ms(self) -> int:
        return self.last_ms + FORGET_MS


class Habit(Struct, array_like=True):
    """An actor's record. `volume` and `breadth` are of log1p of rows and customers of closed days."""

    day: int = 0  # the open one, an ordinal
    rows: int = 0  # of it
    customers: list[int] = []  # hashes; of it
    volume: Moments = field(default_factory=Moments)
    breadth: Moments = field(default_factory=Moments)
    hours: list[int] = []  # by weekday, of those that were met: bit h is hour h
    terms: dict[int, int] = {}  # hash of kind and value: day it was met last
    last_ms: int = 0
    place: str = ""  # where and when this actor was seen last
    at: tuple[float, float] | None = None
    at_ms: int = 0
    told: dict[str, int] = {}  # signal: day it was last given
    page: int = 0  # where it is listed
    barred_ms: int = 0  # when the account was disabled last; negative: enabled
    let_in_ms: int = 0  # when it was used last

    @property
    def due_ms(self) -> int:
        """From this clock on the record means nothing."""
        return self.last_ms + FORGET_MS

    @property
    def known(self) -> bool:
        return self.volume.count >= LEARN_DAYS


encode_habit = msgpack.Encoder().encode
decode_habit = msgpack.Decoder(Habit).decode
decode_peers = msgpack.Decoder(Peers).decode


def record(actor: str) -> str:
    return f"habit|{actor}"


def peer_records(event: Audit) -> list[str]:
    """Nearest first; an actor without a role has no peers."""
    if not event.role:
        return []
    everywhere = f"peers|{event.role}"
    return [f"{everywhere}|{event.store}", everywhere] if event.store else [everywhere]


def met_on(habit: Habit, kind: str, value: str) -> int:
    """The day on which this was met last, an ordinal; 0: never."""
    return habit.terms.get(_term(kind, value), 0)


def observe(habit: Habit, circles: list[Peers], event: Audit, fields: Fields, address: Address) -> list[Signal]:
    """Learns one event of the actor; what was unusual about it, each signal at most once a day."""
    day = local_day(event.at_ms, event.tz)
    if day > habit.day:
        _close(habit, circles, day)
    habit.last_ms = max(habit.last_ms, event.at_ms)
    signals = [*_volumes(habit, circles, event, fields, day), *_news(habit, circles, event, fields, address, day)]
    signals += [*_hour(habit, fields), *_journey(habit, event, address)]
    if not signals:
        return signals
    fresh = {signal.name: signal for signal in reversed(signals) if habit.told.get(signal.name, 0) < day}
    habit.told.update(dict.fromkeys(fresh, day))
    return [*reversed(fresh.values())]


def _close(habit: Habit, circles: list[Peers], day: int) -> None:
    """The day is over: it is learned, by the actor and by their peers. A day without customers' data is none."""
    if habit.rows or habit.customers:
        for volume, breadth in [(habit.volume, habit.breadth), *((each.volume, each.breadth) for each in circles)]:
            volume.learn(log1p(habit.rows), FAR)
            breadth.learn(log1p(len(habit.customers)), FAR)
    habit.day, habit.rows, habit.customers = day, 0, []
    habit.told = {name: told for name, told in habit.told.items() if told >= day - 1}


def _volumes(habit: Habit, circles: list[Peers], event: Audit, fields: Fields, day: int) -> list[Signal]:
    """A late event of a day that is over adds to none."""
    if day < habit.day or event.result != "ok" or not event.rows:
        return []
    habit.rows += event.rows
    if event.object and fields["action"] == "view":
        _count_customer(habit.customers, _term("customer", event.object))
    enough = habit.rows >= LEAST_ROWS or len(habit.customers) >= LEAST_CUSTOMERS
    yardstick = _yardstick(habit, circles) if enough else None
    if yardstick is None:
        return []
    whose = "this actor" if yardstick is habit else "peers of this actor"
    found = []
    for name, what, seen, least, moments in (
        ("volume", "rows", habit.rows, LEAST_ROWS, yardstick.volume),
        ("customers", "customers", len(habit.customers), LEAST_CUSTOMERS, yardstick.breadth),
    ):
        if seen >= least and log1p(seen) > (limit := moments.limit(FAR)):
            found.append(_signal(name, f"{seen} {what} in a day; usual of {whose} are at most {round(expm1(limit))}"))
    return found


def _count_customer(customers: list[int], customer: int) -> None:
    """They stand in order, so that one who is there is found fast."""
    place = bisect_left(customers, customer)
    if len(customers) < MOST_CUSTOMERS and (place == len(customers) or customers[place] != customer):
        customers.insert(place, customer)


def _yardstick(habit: Habit, circles: list[Peers]) -> Habit | Peers | None:
    if habit.known:
        return habit
    return next((peers for peers in circles if peers.known), None)


def _news(
    habit: Habit, circles: list[Peers], event: Audit, fields: Fields, address: Address, day: int
) -> Iterable[Signal]:
    columns = tuple([field[:LONGEST_FIELD] for field in event.fields[:MOST_FIELDS]])
    terms = _terms(fields["action"], event.purpose, address.network, event.device, event.key, columns)
    if all(habit.terms.get(term) == day for _, _, term in terms) and all(
        term in peers.terms for kind, _, term in terms if kind in OF_PEERS for peers in circles
    ):
        return
    for kind, value, term in terms:
        shared = kind in OF_PEERS
        if term not in habit.terms:
            yardstick = _yardstick(habit, circles) if shared else habit if habit.known else None
            if yardstick is not None and (yardstick is habit or term not in yardstick.terms):
                whose = "this actor" if yardstick is habit else "a new actor and all their peers"
                named = f"{kind} {value}" if kind in NAMED else f"a {kind}"
                yield _signal(f"new_{kind}", f"{named}, for the first time of {whose}")
        _meet(habit.terms, term, day)
        for peers in circles if shared else ():
            _meet(peers.terms, term, day)
            peers.last_ms = max(peers.last_ms, event.at_ms)


@lru_cache(4_096)
def _terms(
    action: str, purpose: str, network: str, device: str, key: str, fields: tuple[str, ...]
) -> list[tuple[str, str, int]]:
    """(kind, value, hash) of all that is named."""
    single = (("action", action), ("purpose", purpose), ("network", network), ("device", device), ("key", key))
    named = [*single, *(("field", field) for field in fields)]
    return [(kind, value, _term(kind, value)) for kind, value in named if value]


@lru_cache(65_536)
def _term(kind: str, value: str) -> int:
    return int.from_bytes(digest((kind, value), 6), "big")


def _meet(terms: dict[int, int], term: int, day: int) -> None:
    terms[term] = max(day, terms.get(term, 0))
    if len(terms) > MOST_TERMS:
        del terms[min(terms, key=lambda each: (terms[each], each))]


def _hour(habit: Habit, fields: Fields) -> list[Signal]:
    """An hour is usual when it, or one beside it, was met on such a day: a working day or one of the weekend."""
    weekday, hour = fields["weekday"] - 1, fields["hour"]
    habit.hours = hours = habit.hours or [0] * 7
    if hours[weekday] >> hour & 1:
        return []
    such = hours[:5] if weekday < 5 else hours[5:]
    near = 1 << hour | 1 << (hour + 1) % 24 | 1 << (hour - 1) % 24
    unusual = habit.volume.count >= HOURS_DAYS and not any(met & near for met in such)
    hours[weekday] |= 1 << hour
    return [_signal("unusual_hour", f"at {hour:02d} h, never before on such a day")] if unusual else []


def _journey(habit: Habit, event: Audit, address: Address) -> list[Signal]:
    """Only forward in time: a late event does not say where the actor is now."""
    if address.at is None or event.at_ms < habit.at_ms or event.result != "ok":
        return []
    before, then_ms, place = habit.at, habit.at_ms, habit.place
    habit.at, habit.at_ms, habit.place = address.at, event.at_ms, address.place
    if before is None:
        return []
    far_km = distance_km(before, address.at)
    hours = (event.at_ms - then_ms) / HOUR_MS
    if far_km < NEAR_KM or far_km <= FASTEST_KMH * hours:
        return []
    why = f"in {address.place}, {far_km:,.0f} km from {place}, after {round(hours * 60)} min"
    return [_signal("impossible_travel", why)]


def _signal(name: str, why: str) -> Signal:
    return Signal(name, POINTS[name], why)
