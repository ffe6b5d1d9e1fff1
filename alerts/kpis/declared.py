"""Reads `kpis.toml` into a catalog of KPIs; every error names file, line, key, what was found and what to write."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from alerts.kpis.catalog import (
    DAYPART,
    MOST_PARTS,
    OF_LINES,
    PARTS,
    SLOT_MINUTES,
    Condition,
    Counter,
    Dimension,
    Every,
    KpiCatalog,
    Term,
    numbers,
    texts,
)
from alerts.kpis.kpi import COUNTERS, Ratio
from alerts.kpis.series import KINDS
from features.events import CUSTOMER_EVENTS
from features.written import hint, line_of, read_toml

UNCOUNTED = {"tick", "weather", "referred", "friend_ordered"}
COUNTABLE = CUSTOMER_EVENTS.keys() - UNCOUNTED
HOURS = 24
DAYPARTS = "[dayparts]"
JUDGED = [kind for kind in KINDS if kind != "chain"]
TAKEN = {"dim", "minute_ms", "minutes", "revision", "at"}  # what stands beside KPIs wherever a minute is told
LARGEST = 10**9  # of an amount, a bound and a target: what is added up fits 64 bits
BY_MINUTES = f"the judge of KPIs holds minutes of each {', '.join(JUDGED)} against each other"


class WrongKpis(ValueError):
    """A KPI file that cannot be used; the message names file, line, key, found and expected."""


class RawRatio(Struct, forbid_unknown_fields=True):
    of: str | Annotated[list[str], Meta(min_length=1)]
    per: str
    scale: Annotated[float, Meta(gt=0, le=LARGEST)] = 1.0


class RawDimension(Struct, forbid_unknown_fields=True):
    why: Annotated[str, Meta(min_length=1)]
    every: Every = "1m"


Hours = tuple[int, int]
Wanted = dict[str, Annotated[int, Meta(ge=1, le=LARGEST)]]


class RawKpis(Struct):
    counters: dict[str, dict[str, Any]]
    dimensions: dict[str, RawDimension]
    ratios: dict[str, RawRatio] = {}
    dayparts: dict[str, Hours] = {}
    targets: dict[str, Wanted] = {}


ENTRIES: dict[str, Any] = {"dimensions": RawDimension, "ratios": RawRatio, "dayparts": Hours, "targets": Wanted}
SECTIONS = [field.name for field in msgspec.structs.fields(RawKpis)]


def read_kpis(text: str, file: str) -> KpiCatalog:
    """Raises WrongKpis."""
    raw = read_toml(text, file, WrongKpis, SECTIONS)
    try:
        found = msgspec.convert(raw, RawKpis)
    except msgspec.ValidationError as error:
        raise WrongKpis(_told(text, file, str(error), raw)) from error
    return Reading(text, file, found).catalog()


def _told(text: str, file: str, said: str, raw: dict[str, Any]) -> str:
    """What msgspec says, with the line; its path names the section alone, so the entry is looked for."""
    section = said.partition("`$.")[2].partition("[")[0].strip("`")
    entries = raw.get(section)
    for name, entry in entries.items() if section in ENTRIES and isinstance(entries, dict) else ():
        try:
            msgspec.convert(entry, ENTRIES[section])
        except msgspec.ValidationError as error:
            return f"{file}:{line_of(text, name)}: [{section}] {name}: found {entry!r}: {error}"
    return f"{file}:{line_of(text, section)}: {said}"


class Reading:
    """A file, while it is checked."""

    def __init__(self, text: str, file: str, found: RawKpis) -> None:
        self.text, self.file, self.found = text, file, found

    def _wrong(self, section: str, key: str, said: str) -> WrongKpis:
        return WrongKpis(f"{self.file}:{line_of(self.text, key)}: [{section}] {key}: {said}")

    def catalog(self) -> KpiCatalog:
        counters, further = self.found.counters, [name for name in self.found.counters if name not in COUNTERS]
        for name in COUNTERS:
            if name not in counters:
                raise WrongKpis(f"{self.file}: [counters]: {name} is missing; the flows know it by that name")
        for name in JUDGED:
            if name not in self.found.dimensions:
                raise WrongKpis(f"{self.file}: [dimensions]: {name} is missing; {BY_MINUTES}")
        return KpiCatalog(
            tuple(self._counter(name, counters[name]) for name in (*COUNTERS, *further)),
            tuple(self._ratio(name, ratio) for name, ratio in self.found.ratios.items()),
            (Dimension(()), *(self._dimension(name, raw) for name, raw in self.found.dimensions.items())),
            self._dayparts(),
            {dim: self._target(dim, wanted) for dim, wanted in self.found.targets.items()},
        )

    def _check_name(self, section: str, name: str) -> None:
        if name in TAKEN:
            raise self._wrong(section, name, "is what a minute says of itself: choose another name")

    def _counter(self, name: str, raw: dict[str, Any]) -> Counter:
        self._check_name("counters", name)
        where = raw.get("where", {})
        terms = tuple(self._term(name, event, amount) for event, amount in raw.items() if event != "where")
        if not terms:
            raise self._wrong("counters", name, "names no event type; expected for example order = 1")
        if not isinstance(where, dict):
            raise self._wrong("counters", name, f"where: found {where!r}, expected a table like {{ customer = true }}")
        events = [term.event for term in terms]
        return Counter(name, terms, tuple(self._condition(name, events, *each) for each in where.items()))

    def _term(self, name: str, event: str, amount: Any) -> Term:
        if event not in COUNTABLE:
            raise self._wrong("counters", name, f"there is no event {event!r} to count{hint(event, COUNTABLE)}")
        if isinstance(amount, int) and not isinstance(amount, bool) and 0 < abs(amount) <= LARGEST:
            return Term(event, amount, "")
        if not isinstance(amount, str):
            expected = f"expected a whole number other than 0, at most {LARGEST}, or a field's name"
            raise self._wrong("counters", name, f"{event}: found {amount!r}, {expected}")
        sign, field = (-1, amount[1:]) if amount.startswith("-") else (1, amount)
        if field not in numbers(event):
            known = hint(field, numbers(event))
            raise self._wrong("counters", name, f"{event}: there is no whole-number field {field!r}{known}")
        return Term(event, sign, field)

    def _condition(self, name: str, events: list[str], field: str, wanted: Any) -> Condition:
        for event in events:
            known = numbers(event) - OF_LINES | texts(event)
            if field not in known:
                raise self._wrong("counters", name, f"where: {event} has no field {field!r}{hint(field, known)}")
        if field not in texts(events[0]):
            match wanted:
                case [int(low), int(high)] if -LARGEST <= low <= high <= LARGEST:
                    return Condition(field, low, high)
            expected = f"[least, most], included, at most {LARGEST}"
            raise self._wrong("counters", name, f"where: {field}: found {wanted!r}, expected {expected}")
        if isinstance(wanted, bool):
            return Condition(field, named=wanted)
        values = [wanted] if isinstance(wanted, str) else wanted
        if isinstance(values, list) and values and all(isinstance(value, str) for value in values):
            return Condition(field, texts=tuple(sorted(values)))
        expected = "a text, a list of texts, or true where it must be named"
        raise self._wrong("counters", name, f"where: {field}: found {wanted!r}, expected {expected}")

    def _ratio(self, name: str, raw: RawRatio) -> Ratio:
        self._check_name("ratios", name)
        if name in self.found.counters:
            raise self._wrong("ratios", name, "is the name of a counter as well: choose another")
        over = [raw.of] if isinstance(raw.of, str) else raw.of
        signs = {each.removeprefix("-"): -1 if each.startswith("-") else 1 for each in over}
        if len(signs) < len(over):
            raise self._wrong("ratios", name, f"of: found {over}, expected each counter once")
        for counter in (*signs, raw.per):
            self._require_counter("ratios", name, counter)
        return Ratio(name, tuple(signs.items()), raw.per, raw.scale)

    def _require_counter(self, section: str, key: str, counter: str) -> None:
        if counter not in self.found.counters:
            raise self._wrong(section, key, f"there is no counter {counter!r}{hint(counter, self.found.counters)}")

    def _dimension(self, name: str, raw: RawDimension) -> Dimension:
        parts = tuple(name.split("+"))
        for part in parts:
            if part not in PARTS:
                raise self._wrong("dimensions", name, f"nothing is counted by {part!r}{hint(part, PARTS)}")
        if len(set(parts)) < len(parts) or len(parts) > MOST_PARTS:
            raise self._wrong("dimensions", name, f"expected at most {MOST_PARTS} different parts")
        alike = next(other for other in self.found.dimensions if sorted(other.split("+")) == sorted(parts))
        if alike != name:
            raise self._wrong("dimensions", name, f"is {alike} once more: leave one of them out")
        if DAYPART in parts and not self.found.dayparts:
            raise self._wrong("dimensions", name, f"found no {DAYPARTS}, expected one such as morning = [5, 10]")
        if name in JUDGED and raw.every != "1m":
            raise self._wrong("dimensions", name, f"every: found {raw.every!r}, expected '1m'; {BY_MINUTES}")
        return Dimension(parts, SLOT_MINUTES[raw.every])

    def _dayparts(self) -> dict[str, tuple[int, ...]]:
        """Each hour of the day lies in one of them."""
        found, taken = dict[str, tuple[int, ...]](), dict[int, str]()
        for name, (first, last) in self.found.dayparts.items():
            if not (0 <= first < HOURS and 0 <= last < HOURS):
                raise self._wrong(
                    "dayparts", name, f"found {[first, last]}, expected [first hour, last hour] within 0 to 23"
                )
            found[name] = tuple((first + hour) % HOURS for hour in range((last - first) % HOURS + 1))
            for hour in found[name]:
                if hour in taken:
                    raise self._wrong("dayparts", name, f"hour {hour} is in {taken[hour]} as well")
                taken[hour] = name
        if found and len(taken) < HOURS:
            raise WrongKpis(f"{self.file}: {DAYPARTS}: hour {min({*range(HOURS)} - taken.keys())} is in none of them")
        return found

    def _target(self, dim: str, wanted: dict[str, int]) -> dict[str, int]:
        kind, colon, _ = dim.partition(":")
        kinds = ["chain", *self.found.dimensions]
        if kind not in kinds or not colon:
            raise self._wrong("targets", dim, f"expected a dimension such as store:0012 or store:*{hint(kind, kinds)}")
        for counter in wanted:
            self._require_counter("targets", dim, counter)
        return wanted
