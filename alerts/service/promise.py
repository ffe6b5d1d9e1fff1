"""Promises: one TOML file that says how soon a guest hears from us, by what it is about, and who is told if not."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from alerts.notices.alert import Severity
from alerts.service.working import Hours
from alerts.triggers.schedule import WrongSchedule, span
from features.events import Stars
from features.times import parse_duration
from features.written import hint, line_of, read_toml, told

Word = Annotated[str, Meta(min_length=1, max_length=64)]
PROMISE = re.compile(r"^[ \t]*\[\[promise\]\]", re.MULTILINE)


class WrongPromises(ValueError):
    """Promises that cannot be used; the message names file, line, what was found and what to write."""


class Step(Struct, forbid_unknown_fields=True, frozen=True):
    """Who is told of a breach, and how long after it."""

    to: Word
    after: str = "0s"

    @property
    def after_ms(self) -> int:
        return parse_duration(self.after)


class Promise(Struct, forbid_unknown_fields=True, frozen=True):
    """How soon guests hear from us; a clock that is empty does not run."""

    id: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,63}$")]
    topics: list[Word] = []
    first_answer: str = ""
    resolution: str = ""
    warn_at: Annotated[float, Meta(gt=0, lt=1)] = 0.7  # of a clock
    escalate: list[Step] = []
    severity: Severity = "high"  # of the alert when it is broken
    hours: str = ""  # in which clocks run, by the store's own: "09:00-21:00"; empty: always
    close_after: str = ""  # of silence, when nothing is owed; empty: only the guest's own word closes

    @property
    def clocks(self) -> dict[str, int]:
        """Limit by clock, ms."""
        limits = {"first_answer": self.first_answer, "resolution": self.resolution}
        return {clock: parse_duration(limit) for clock, limit in limits.items() if limit}

    @property
    def close_after_ms(self) -> int | None:
        return parse_duration(self.close_after) if self.close_after else None

    @property
    def working(self) -> Hours:
        return span(self.hours) if self.hours else None

    def is_about(self, topic: str) -> bool:
        """Whether one of its topics stands in this one, as words; in a script without spaces, anywhere."""
        padded = f" {_plain(topic)} "
        return any((f" {word} " if word.isascii() else word) in padded for word in map(_plain, self.topics))


class Ratings(Struct, forbid_unknown_fields=True, frozen=True):
    """A rating of so many stars or fewer is a ticket."""

    promise: Word
    stars: Stars


class Deliveries(Struct, forbid_unknown_fields=True, frozen=True):
    """A delivery that has not come so long after the moment that was promised is late."""

    late_after: str

    @property
    def promise(self) -> Promise:
        return Promise("delivery", first_answer=self.late_after)


class Promises(Struct, forbid_unknown_fields=True, frozen=True):
    """The file. `complaints`: the promise for those whose topic no other names; the first that does, counts."""

    complaints: Word
    promise: list[Promise]
    ratings: Ratings | None = None
    leads: str = ""  # the promise for enquiries; empty: they are no tickets
    deliveries: Deliveries | None = None
    keep: str = "30d"  # for how long a closed ticket takes late words

    def named(self, id: str) -> Promise:
        return next(promise for promise in self.promise if promise.id == id)

    def of_complaint(self, topic: str) -> Promise:
        return next((promise for promise in self.promise if promise.is_about(topic)), self.named(self.complaints))

    @property
    def keep_ms(self) -> int:
        return parse_duration(self.keep)


def read_promises(text: str, file: str) -> Promises:
    """The promises of a file's text. Raises WrongPromises."""
    raw = read_toml(text, file, WrongPromises, Promises.__struct_fields__)
    head = text[: found.start()] if (found := PROMISE.search(text)) else text
    parts = _parts(text)
    listed = raw.get("promise", [])
    tables = listed if isinstance(listed, list) else []
    found_promises = [_convert(one, Promise, part, file) for one, part in zip(tables, parts, strict=False)]
    promises: Promises = _convert({**raw, "promise": listed}, Promises, head, file)
    for promise, part in zip(found_promises, parts, strict=False):
        _check_promise(promise, part, file)
    _check_names(promises, parts, head, file)
    return promises


def _parts(text: str) -> list[str]:
    """Each promise alone, on the lines where it stands."""
    starts = [found.start() for found in PROMISE.finditer(text)]
    ends = [*starts, len(text)][1:]
    return ["\n" * text.count("\n", 0, start) + text[start:end] for start, end in zip(starts, ends, strict=True)]


def _convert(raw: Any, shape: type[Struct], text: str, file: str) -> Any:
    parts: dict[str, type[Struct]] = {
        "": shape,
        "escalate": Step,
        "ratings": Ratings,
        "deliveries": Deliveries,
        "promise": Promise,
    }
    try:
        return msgspec.convert(raw, shape)
    except msgspec.ValidationError as error:
        raise WrongPromises(told(error, raw, text, file, parts)) from error


def _check_promise(promise: Promise, text: str, file: str) -> None:
    where = f"{file}:{line_of(text, promise.id)}: promise {promise.id!r}"
    if not (promise.first_answer or promise.resolution):
        raise WrongPromises(f'{where}: promises nothing: write first_answer = "30m", resolution = "4h" or both')
    lengths = {
        "first_answer": promise.first_answer,
        "resolution": promise.resolution,
        "close_after": promise.close_after,
    }
    for key, length in lengths.items():
        if length and (wrong := _wrong_duration(length, least_ms=1)):
            raise WrongPromises(f"{file}:{line_of(text, key)}: {key}: {wrong}")
    for step in promise.escalate:
        if wrong := _wrong_duration(step.after, least_ms=0):
            raise WrongPromises(f"{file}:{line_of(text, 'after')}: escalate.after: {wrong}")
    if promise.hours and (wrong := _wrong(_span, promise.hours)):
        raise WrongPromises(f"{file}:{line_of(text, 'hours')}: {wrong}")


def _check_names(promises: Promises, parts: list[str], head: str, file: str) -> None:
    ids = [promise.id for promise in promises.promise]
    for place, id in enumerate(ids):
        if id in ids[:place]:
            line = line_of(parts[place], "id")
            raise WrongPromises(f"{file}:{line}: the id {id!r} is taken by another promise: choose another")
    ratings = promises.ratings.promise if promises.ratings else ""
    for key, id in (("complaints", promises.complaints), ("ratings", ratings), ("leads", promises.leads)):
        if id and id not in ids:
            raise WrongPromises(f"{file}:{line_of(head, key)}: {key}: there is no promise {id!r}{hint(id, ids)}")
    if promises.deliveries and (wrong := _wrong_duration(promises.deliveries.late_after, least_ms=1)):
        raise WrongPromises(f"{file}:{line_of(head, 'deliveries')}: deliveries.late_after: {wrong}")
    if wrong := _wrong_duration(promises.keep, least_ms=1):
        raise WrongPromises(f"{file}:{line_of(head, 'keep')}: keep: {wrong}")


def _wrong_duration(text: str, least_ms: int) -> str:
    wrong = _wrong(parse_duration, text)
    return wrong or (f"found {text!r}, expected more than nothing" if parse_duration(text) < least_ms else "")


def _wrong(read: Callable[[str], Any], text: str) -> str:
    try:
        read(text)
    except ValueError as error:
        return str(error)
    return ""


def _span(hours: str) -> None:
    start, end = span(hours)
    if end <= start:
        raise WrongSchedule("hours", f"found {hours!r}, expected hours of one day such as '09:00-21:00'")


def _plain(topic: str) -> str:
    """In small letters, with one space between words."""
    return " ".join(re.split(r"[\s_\-/,.;:]+", topic.casefold())).strip()
