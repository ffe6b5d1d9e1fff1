"""A trigger rule: one TOML file that says when, what, how often, and proves it with timelines."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from hashlib import blake2b
from typing import Annotated, Any
from zlib import crc32

import msgspec
from msgspec import Meta, Struct

from features.events import CUSTOMER_EVENTS
from features.times import parse_duration

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class WrongRule(ValueError):
    """A rule that cannot be used; the message names file, line, what was found and what to write."""


class After(Struct, forbid_unknown_fields=True, frozen=True):
    """Look again a while after an event; a later event of the type starts the wait anew."""

    event: str
    wait: str

    @property
    def wait_ms(self) -> int:
        return parse_duration(self.wait)


class Then(Struct, forbid_unknown_fields=True, frozen=True):
    """What the customer gets."""

    coupon: Annotated[str, Meta(min_length=1, max_length=64)]
    face_value_cents: Annotated[int, Meta(ge=0)] = 0
    valid: str = "7d"
    campaign: str = ""

    @property
    def valid_ms(self) -> int:
        return parse_duration(self.valid)


class Timeline(Struct, forbid_unknown_fields=True, frozen=True):
    """A test: events at times from the start, and when the rule must fire (never, if empty)."""

    name: Annotated[str, Meta(min_length=1)]
    events: list[dict[str, Any]]
    fires_at: list[str] = []
    scores: dict[str, Annotated[float, Meta(ge=0, le=1)]] = {}


class Rule(Struct, forbid_unknown_fields=True, frozen=True):
    id: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,63}$")]
    when: Annotated[str, Meta(min_length=1)]
    then: Then
    cooldown: str
    on: list[str] = []
    after: After | None = None
    name: str = ""
    enabled: bool = True
    test: list[Timeline] = []
    version: str = ""  # hash of the file's text, set at load

    @property
    def cooldown_ms(self) -> int:
        return parse_duration(self.cooldown)

    @property
    def timer(self) -> str:
        return f"rule|{self.id}"

    @property
    def code(self) -> int:
        """What a customer's record calls this rule."""
        return crc32(self.id.encode())


PARTS: dict[str, type[Struct]] = {"then": Then, "after": After, "test": Timeline}


def read_rule(text: str, file: str) -> Rule:
    """The rule of a file's text. Raises WrongRule."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise WrongRule(f"{file}: not valid TOML: {error}") from error
    known = [f.name for f in msgspec.structs.fields(Rule) if f.name != "version"]
    for key in raw:
        if key not in known:
            raise WrongRule(f"{file}:{line_of(text, key)}: unknown key {key!r}{hint(key, known)}")
    try:
        rule = msgspec.convert({**raw, "version": blake2b(text.encode(), digest_size=6).hexdigest()}, Rule)
    except msgspec.ValidationError as error:
        raise WrongRule(told(error, raw, text, file)) from error
    _check_events(rule, text, file)
    _check_durations(rule, text, file)
    _check_tests(rule, file)
    return rule


def told(
    error: msgspec.ValidationError,
    raw: dict[str, Any],
    text: str,
    file: str,
    parts: Mapping[str, type[Struct]] = PARTS,
) -> str:
    """msgspec's "Expected X, got Y - at `$.then.coupon`" with line, key and what was found."""
    said, _, at = str(error).partition(" - at `$")
    keys = re.findall(r"\w+", at)
    where = ".".join(key for key in keys if not key.isdigit())
    part = keys[0] if keys else ""
    if unknown := re.search("unknown field `(.*)`", said):
        known = [f.name for f in msgspec.structs.fields(parts[part])]
        return f"{file}:{line_of(text, unknown[1])}: {where}: unknown key {unknown[1]!r}{hint(unknown[1], known)}"
    if missing := re.search("missing required field (`.*`)", said):
        return f"{file}:{line_of(text, part)}: {where + ': ' if where else ''}{missing[1]} is missing"
    found: Any = raw
    for key in keys:
        found = found[int(key) if key.isdigit() else key]
    return f"{file}:{line_of(text, part)}: {where}: found {found!r}, {said[:1].lower()}{said[1:]}"


def _check_events(rule: Rule, text: str, file: str) -> None:
    if not rule.on and rule.after is None:
        raise WrongRule(
            f'{file}: says neither when to look: write on = ["order"] or after = {{ event = "order", wait = "14d" }}'
        )
    known = [kind for kind in CUSTOMER_EVENTS if kind != "tick"]
    for event in [*rule.on, *([rule.after.event] if rule.after else [])]:
        if event not in known:
            raise WrongRule(f"{file}:{line_of(text, event)}: there is no event {event!r}{hint(event, known)}")


def _check_durations(rule: Rule, text: str, file: str) -> None:
    durations = {"cooldown": rule.cooldown, "valid": rule.then.valid}
    if rule.after:
        durations["wait"] = rule.after.wait
    for key, value in durations.items():
        try:
            parse_duration(value)
        except ValueError as error:
            raise WrongRule(f"{file}:{line_of(text, key)}: {key}: {error}") from error


def _check_tests(rule: Rule, file: str) -> None:
    if not any(test.fires_at for test in rule.test):
        raise WrongRule(f'{file}: has no firing test: add a [[test]] with events and fires_at = ["+0s"]')
    if all(test.fires_at for test in rule.test):
        raise WrongRule(f"{file}: has no quiet test: add a [[test]] whose events must not fire it, with fires_at = []")


def line_of(text: str, word: str) -> int:
    """Line of a key, a value or a table of this name, sought in this order; 1 where there is none."""
    name = re.escape(word)
    for pattern in (rf"^[ \t]*{name}[ \t]*=", rf"[{{,]\s*{name}[ \t]*=", rf'"{name}"', rf"^\[+{name}\]"):
        if found := re.search(pattern, text, re.MULTILINE):
            return text.count("\n", 0, found.end()) + 1
    return 1


def hint(name: str, known: Any) -> str:
    close = get_close_matches(name, list(known), 1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(sorted(known))}"
