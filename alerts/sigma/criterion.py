"""What a rule can ask of one value of a field; each kind says by itself whether a value meets it.

Text compares without regard to case (Unicode case folding) unless `cased`; regular expressions are RE2 (linear time,
since the text comes from outside), are searched for anywhere in the text, and respect case unless `i`. A number is
asked of numbers and of texts that spell one. Source: Sigma specification v2.1, modifiers appendix.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from enum import IntEnum
from ipaddress import IPv6Network, ip_address, ip_network
from math import isfinite
from typing import Any, TypeAlias

import re2  # type: ignore[import-untyped]
from msgspec import Struct

Test: TypeAlias = Callable[[Any], bool]

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
    "eq": operator.eq,
    "neq": operator.ne,
}
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
LEAST_EPOCH_MS = 100_000_000_000  # a smaller number is seconds: ms before 1973, seconds until the year 5138
LONGEST = 300  # digits of a number that a float still holds
MOST_STEPS = 10_000  # of a pattern: what RE2 may have to do for each character of a text, 0.2 s for 8,000 of them
QUIET = re2.Options()
QUIET.log_errors = False


class Unsupported(ValueError):
    """A rule uses what cannot be evaluated here; the message says what, and what to write instead."""


class Wild(IntEnum):
    ANY = 0
    ONE = 1


class Same(Struct, frozen=True, tag=True):
    """The whole text."""

    text: str
    cased: bool = False

    def test(self) -> Test:
        if self.cased:
            return lambda value: text_of(value) == self.text
        folded = self.text.casefold()
        return lambda value: text_of(value).casefold() == folded


class Like(Struct, frozen=True, tag=True):
    """Text with wildcards between its parts."""

    parts: tuple[str | Wild, ...]
    cased: bool = False

    def test(self) -> Test:
        wild, fold = {Wild.ANY: ".*", Wild.ONE: "."}, (lambda text: text) if self.cased else str.casefold
        pattern = "".join(wild[p] if isinstance(p, Wild) else re2.escape(fold(p)) for p in self.parts)
        match = compiled("(?s)" + pattern).fullmatch
        return lambda value: match(fold(text_of(value))) is not None


class Matching(Struct, frozen=True, tag=True):
    """A regular expression with its flags in front."""

    pattern: str

    def test(self) -> Test:
        search = compiled(self.pattern).search
        return lambda value: search(text_of(value)) is not None


class Number(Struct, frozen=True, tag=True):
    """An equal number, or its text."""

    number: float

    def test(self) -> Test:
        text = str(self.number)
        return lambda value: value == text if isinstance(value, str) else is_number(value) and value == self.number


class Truth(Struct, frozen=True, tag=True):
    """A boolean, or its text."""

    wanted: bool

    def test(self) -> Test:
        return Same(text_of(self.wanted)).test()


class Ordered(Struct, frozen=True, tag=True):
    """A number that stands so to this one."""

    op: str
    number: float

    def test(self) -> Test:
        compare = COMPARE[self.op]

        def holds(value: Any) -> bool:
            number = number_of(value)
            return number is not None and compare(number, self.number)

        return holds


class TimePart(Struct, frozen=True, tag=True):
    """A part of a date as it is written, without regard to time zones; of epoch seconds or ms, in UTC."""

    unit: str
    op: str
    number: float

    def test(self) -> Test:
        compare = COMPARE[self.op]

        def holds(value: Any) -> bool:
            moment = moment_of(value)
            return moment is not None and compare(part_of(moment, self.unit), self.number)

        return holds


class Within(Struct, frozen=True, tag=True):
    """An address in a network; an IPv4 address may be written as an IPv6 one."""

    network: str

    def test(self) -> Test:
        network = ip_network(self.network)
        if isinstance(network, IPv6Network) and (inner := network.network_address.ipv4_mapped):
            network = ip_network(f"{inner}/{max(0, network.prefixlen - 96)}", strict=False)

        def holds(value: Any) -> bool:
            try:
                address = ip_address(text_of(value))
            except ValueError:  # none, or a host name
                return False
            return (getattr(address, "ipv4_mapped", None) or address) in network

        return holds


class Null(Struct, frozen=True, tag=True):
    """No value: the field is not there, or is there without one."""


class Exists(Struct, frozen=True, tag=True):
    """The field is there, or is not, whatever its value."""

    wanted: bool


class Refers(Struct, frozen=True, tag=True):
    """What another field of the event holds: equal to it, or beginning, ending or filled with it."""

    field: str
    starts: bool = False
    ends: bool = False

    def holds(self, value: Any, other: Any) -> bool:
        return any(self._stands(a, b) for a in scalars(value) for b in scalars(other))

    def _stands(self, value: Any, other: Any) -> bool:
        if is_number(value) and is_number(other) and not self.starts and not self.ends:
            return bool(value == other)
        text, part = text_of(value).casefold(), text_of(other).casefold()
        if self.starts and self.ends:
            return part in text
        if self.starts:
            return text.startswith(part)
        return text.endswith(part) if self.ends else text == part


Criterion: TypeAlias = Same | Like | Matching | Number | Truth | Ordered | TimePart | Within | Null | Exists | Refers


def compiled(pattern: str) -> Any:
    """A compiled RE2 pattern. Raises Unsupported."""
    try:
        made = re2.compile(pattern, QUIET)
    except re2.error as error:
        said = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        raise Unsupported(f"the regular expression {pattern!r} is not RE2: {said}") from error
    if made.programsize > MOST_STEPS:
        raise Unsupported(
            f"the pattern {pattern:.60} takes {made.programsize:,} steps for a character, at most"
            f" {MOST_STEPS:,}; write shorter repetitions, or a list of texts with contains"
        )
    return made


def scalars(value: Any) -> list[Any]:
    """The values of a field, without those that are none."""
    values = value if isinstance(value, list | tuple) else [value]
    return [each for each in values if each is not None]


def text_of(value: Any) -> str:
    """A value as JSON writes it, texts without quotes."""
    if isinstance(value, str):
        return value
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def number_of(value: Any) -> float | None:
    """A number, or what a text spells as one; None for all else, and for what is not finite."""
    if isinstance(value, str):
        if "_" in value:
            return None
        try:
            value = int(value) if len(value) < LONGEST and value.lstrip("+-").isdecimal() else float(value)
        except ValueError:
            return None
    return value if is_number(value) and isfinite(value) else None


def moment_of(value: Any) -> datetime | None:
    """An ISO 8601 date or time as written; epoch seconds or ms as UTC."""
    number = number_of(value)
    try:
        if number is not None:
            seconds = number / 1000 if abs(number) >= LEAST_EPOCH_MS else number
            return EPOCH + timedelta(seconds=seconds)
        return datetime.fromisoformat(value.replace("Z", "+00:00")) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None


def part_of(moment: datetime, unit: str) -> int:
    """`week` is that of ISO 8601."""
    part: int = moment.isocalendar()[1] if unit == "week" else getattr(moment, unit)
    return part
