"""What a features file may say, read into types and checked line by line."""

from __future__ import annotations

from collections.abc import Iterable, Set
from difflib import get_close_matches
from functools import cache
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct

from features.events import CUSTOMER_EVENTS, OF_INGEST
from features.times import DAY_MS, HOUR_MS, parse_duration

Amount = int | str
Aggregate = Literal["sum", "min", "max", "mean", "distinct", "last", "top", "decay"]
WINDOWED = ("sum", "min", "max", "mean", "distinct")
TEXTS_ONLY = ("distinct", "top")  # what they look at is no number
COMPUTED = {"order": {"items"}, "rating": {"star_tenths"}}  # numbers that are no field of the event
NO_FEATURES = {"id", "customer", "tz", "device", "until_time"}  # texts that no feature may look at
LINE_TEXTS, OPTIONS = ("sku", "category"), "options."  # of an order's lines
HOUR = "hour"  # of an event, by the clock where it happened: 0 to 23, a favourite like a text
TIMES_AND_DAYS = {"at_ms", "day", *OF_INGEST}
NO_MEASURE = ("aggregate", "where", "windows", "half_life")  # keys of a measure that are no event types


class WrongFeatures(ValueError):
    """A features file that cannot be used; the message names file, key, found and expected."""


class Recency(Struct, forbid_unknown_fields=True):
    event: str
    unit: Literal["d", "h", "m"]


class Band(Struct, forbid_unknown_fields=True):
    """A feature cut into steps: 1 below the first cut, one more from each cut on; the other way round where less is
    better. With names, the feature is the name of the step. `keep`: who is on a step stays there down to that."""

    of: str
    cuts: list[float]
    keep: list[float] = []
    best: Literal["high", "low"] = "high"
    names: list[str] = []


class Segment(Struct, forbid_unknown_fields=True):
    """`when` holds the ranges, ends included, in which features must lie."""

    name: str
    when: dict[str, tuple[float, float]] = {}


class Points(Struct, forbid_unknown_fields=True):
    """Loyalty points: earned by the net spend of a calendar month, spent oldest first, good for some months more."""

    earn: dict[str, Amount]
    cents_per_point: int
    valid_months: int
    spend: dict[str, Amount] = {}


class Declared(Struct, forbid_unknown_fields=True):
    windows: list[str]
    measures: dict[str, dict[str, Any]]
    recency: dict[str, Recency] = {}
    ratios: dict[str, tuple[str, str]] = {}
    bands: dict[str, Band] = {}
    segments: dict[str, list[Segment]] = {}
    points: Points | None = None


class Where(Struct, frozen=True, forbid_unknown_fields=True):
    """Which events count: texts of the event, and the hours and weekdays on the clock where it happened."""

    texts: tuple[tuple[str, tuple[str, ...]], ...] = ()
    hours: tuple[int, ...] = ()  # empty: all
    weekdays: tuple[int, ...] = ()  # Monday is 1

    def __str__(self) -> str:
        parts = [f"{field} in {','.join(values)}" for field, values in self.texts]
        parts += [f"hour in {','.join(map(str, self.hours))}"] if self.hours else []
        parts += [f"weekday in {','.join(map(str, self.weekdays))}"] if self.weekdays else []
        return " where " + " and ".join(parts) if parts else ""


class Value(Struct, frozen=True):
    """What an event adds: `sign` times a number of it, times 1 where `field` is empty; or one of its texts."""

    event: str
    sign: int = 1
    field: str = ""
    text: bool = False

    @property
    def undo(self) -> bool:
        """It takes back what the order had added, at the order's time."""
        return self.sign < 0

    def __str__(self) -> str:
        return f"{self.event}={self.sign if not self.field else '-' * self.undo + self.field}"


class Measure(Struct, frozen=True):
    name: str
    aggregate: Aggregate
    values: list[Value]
    where: Where
    windows: list[str]
    half_life_ms: int

    def __str__(self) -> str:
        """Its meaning, whatever it is called: state that is kept for one serves another that means the same."""
        half_life = f" half-life {self.half_life_ms}" if self.half_life_ms else ""
        return f"{' '.join(sorted(map(str, self.values)))}{half_life}{self.where}"


def read_declared(raw: dict[str, Any], file: str) -> Declared:
    if "models" in raw:
        raise WrongFeatures(f"{file}: [models]: models stand in a file of their own: move them to models.toml")
    try:
        return msgspec.convert(raw, Declared)
    except msgspec.ValidationError as error:
        raise WrongFeatures(f"{file}: {error}") from error


def read_ladder(band: Band, place: str) -> list[int]:
    """Of a band that is kept: how many steps, their cuts, what keeps each. Raises WrongFeatures."""
    cuts, keep = band.cuts, band.keep
    if band.of != "points_earned_12m" or band.best == "low":
        raise WrongFeatures(
            f"{place}: found with of = {band.of!r}, expected only with of = 'points_earned_12m', best = 'high': of"
            " nothing else is it known what it was at the end of each month"
        )
    rising = len(keep) == len(cuts) and keep == sorted(set(keep))
    if not (rising and all(0 < stays <= cut for stays, cut in zip(keep, cuts, strict=True))):
        raise WrongFeatures(f"{place}: found {keep}, expected one for each of cuts {cuts}, above 0, none above it")
    if any(number % 1 for number in [*cuts, *keep]):
        raise WrongFeatures(f"{place}: found a fraction in {[*cuts, *keep]}, expected whole points")
    return [len(cuts), *map(int, cuts), *map(int, keep)]


def read_measure(name: str, raw: dict[str, Any], windows: list[str], file: str) -> Measure:
    """A measure of the file. Raises WrongFeatures."""
    place = f"{file}: [measures] {name}"
    aggregate = raw.get("aggregate", "sum")
    if aggregate not in get_args(Aggregate):
        raise WrongFeatures(f"{place}: aggregate: found {aggregate!r}{hint(str(aggregate), get_args(Aggregate))}")
    values = [
        _value(event, amount, aggregate, f"{place}: {event}")
        for event, amount in raw.items()
        if event not in NO_MEASURE
    ]
    if not values:
        raise WrongFeatures(f"{place}: names no event type; expected for example order = 1")
    return Measure(
        name,
        aggregate,
        values,
        _where(raw.get("where", {}), [value.event for value in values], f"{place}: where"),
        _windows(raw, aggregate, windows, place),
        _half_life(raw, aggregate, place),
    )


def read_values(raw: dict[str, Amount], place: str) -> list[Value]:
    """Numbers that events add. Raises WrongFeatures."""
    return [_value(event, amount, "sum", f"{place}: {event}") for event, amount in raw.items()]


def _value(event: str, amount: Any, aggregate: str, place: str) -> Value:
    known_event(event, place.rpartition(":")[0])
    if isinstance(amount, int) and not isinstance(amount, bool) and aggregate not in TEXTS_ONLY:
        value = Value(event, amount)
    elif isinstance(amount, str):
        value = _field(event, amount, aggregate, place)
    else:
        raise WrongFeatures(f"{place}: found {amount!r}, expected a field's name, with - where it takes back")
    if value.undo and event not in ("refund", "void"):
        raise WrongFeatures(f"{place}: only refund and void can take back, found {amount!r}")
    if value.undo and aggregate not in ("sum", "mean", "decay"):
        raise WrongFeatures(f"{place}: {aggregate} cannot take back, found {amount!r}")
    return value


def _field(event: str, amount: str, aggregate: str, place: str) -> Value:
    sign, name = (-1, amount[1:]) if amount.startswith("-") else (1, amount)
    numbers, texts = whole_numbers(event), text_fields(event)
    if aggregate == "top" and name == HOUR:
        return Value(event, 1, HOUR, text=True)
    if aggregate not in TEXTS_ONLY and name in numbers:
        return Value(event, sign, name)
    if aggregate in (*TEXTS_ONLY, "last"):
        if name in texts or (event == "order" and name.startswith(OPTIONS)):
            return Value(event, sign, name, text=True)
        raise WrongFeatures(f"{place}: there is no text {name!r}{hint(name, texts)}")
    raise WrongFeatures(f"{place}: there is no whole-number field {name!r}{hint(name, numbers)}")


def _where(raw: Any, events: list[str], place: str) -> Where:
    if not isinstance(raw, dict):
        raise WrongFeatures(f'{place}: found {raw!r}, expected a table such as {{ channel = "app", hour = [6, 10] }}')
    texts = [(field, _wanted(field, raw[field], events, place)) for field in sorted(raw) if field not in CLOCK]
    return Where(tuple(texts), *(_clock(raw, name, place) for name in CLOCK))


CLOCK = {"hour": (0, 23), "weekday": (1, 7)}


def _clock(raw: dict[str, Any], name: str, place: str) -> tuple[int, ...]:
    """`[first, last]`, both included; over midnight or the weekend where the first is the later."""
    if name not in raw:
        return ()
    low, high = CLOCK[name]
    match raw[name]:
        case [int(first), int(last)] if low <= first <= high and low <= last <= high:
            return tuple(range(first, last + 1)) if first <= last else (*range(low, last + 1), *range(first, high + 1))
    raise WrongFeatures(f"{place}: {name}: found {raw[name]!r}, expected [first, last] within {low} to {high}")


def _wanted(field: str, raw: Any, events: list[str], place: str) -> tuple[str, ...]:
    for event in events:
        texts = text_fields(event)
        if field not in texts and not (event == "order" and field.startswith(OPTIONS)):
            known = hint(field, [*texts, *CLOCK])
            raise WrongFeatures(f"{place}: {event} has no text {field!r}{known}")
    values = [raw] if isinstance(raw, str) else raw
    if not (isinstance(values, list) and values and all(isinstance(value, str) for value in values)):
        raise WrongFeatures(f"{place}: {field}: found {raw!r}, expected a text or a list of texts")
    return tuple(sorted(values))


def _windows(raw: dict[str, Any], aggregate: str, windows: list[str], place: str) -> list[str]:
    if aggregate not in WINDOWED:
        if "windows" in raw:
            raise WrongFeatures(f"{place}: windows: {aggregate} has none")
        return []
    asked: list[str] = raw.get("windows", windows)
    if not isinstance(asked, list) or not asked:
        raise WrongFeatures(f"{place}: windows: found {asked!r}, expected a list such as ['30d', '90d']")
    for window in asked:
        check_window(window, f"{place}: windows")
    if aggregate == "distinct" and "lifetime" in asked:
        raise WrongFeatures(f"{place}: windows: distinct cannot be counted over a lifetime: name windows such as '90d'")
    return asked


def _half_life(raw: dict[str, Any], aggregate: str, place: str) -> int:
    if (aggregate in ("top", "decay")) != ("half_life" in raw):
        needs = "is missing, expected for example '30d'" if aggregate in ("top", "decay") else f"{aggregate} has none"
        raise WrongFeatures(f"{place}: half_life: {needs}")
    if "half_life" not in raw:
        return 0
    try:
        half_life_ms = parse_duration(str(raw["half_life"]))
    except ValueError as error:
        raise WrongFeatures(f"{place}: half_life: {error}") from error
    if half_life_ms < DAY_MS:
        raise WrongFeatures(f"{place}: half_life: found {raw['half_life']!r}, expected a day or more")
    return half_life_ms


def check_window(window: str, place: str) -> None:
    if window == "lifetime":
        return
    try:
        length_ms = parse_duration(window)
    except (TypeError, ValueError) as error:
        raise WrongFeatures(f"{place}: {error}") from error
    if not (length_ms in (HOUR_MS, DAY_MS) or (length_ms > 0 and window[-1] == "d")):
        raise WrongFeatures(f"{place}: found {window!r}, expected '1h', '24h', whole days or 'lifetime'")


def days_in(window: str) -> int:
    """Days of a window that has been checked, begun ones too."""
    return int(window[:-1]) if window.endswith("d") else 1


@cache
def whole_numbers(event: str) -> Set[str]:
    """Names of what can be added up: panes hold integers."""
    fields = msgspec.structs.fields(CUSTOMER_EVENTS[event])
    numbers = {f.name for f in fields if getattr(f.type, "__origin__", f.type) is int}
    return frozenset(numbers - TIMES_AND_DAYS | COMPUTED.get(event, set()))


@cache
def text_fields(event: str) -> Set[str]:
    """Names of an event's texts, those of its lines among them."""
    fields = msgspec.structs.fields(CUSTOMER_EVENTS[event])
    texts = {f.name for f in fields if getattr(f.type, "__origin__", f.type) is str} - NO_FEATURES
    return frozenset(texts | (set(LINE_TEXTS) if event == "order" else set()))


def of_lines(field: str) -> bool:
    """An order has as many of these as lines."""
    return field in LINE_TEXTS or field.startswith(OPTIONS)


def known_event(event: str, place: str) -> None:
    if event not in CUSTOMER_EVENTS:
        raise WrongFeatures(f"{place}: there is no event {event!r}{hint(event, CUSTOMER_EVENTS)}")


def hint(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), 1)
    return f"; did you mean {close[0]!r}?" if close else ""
