"""The slow, obvious twin of the Sigma engine: one rule at a time, one value at a time, read from the YAML by hand."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address, ip_network
from typing import Any

DASHES = "-/\u2013\u2014\u2015"
Pattern = list[str | tuple[str, ...]]  # a character, one of some characters, or a wildcard: ("*",) or ("?",)
ANY, ONE = ("*",), ("?",)
COMPARED = {
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
}
PARTS = ("minute", "hour", "day", "week", "month", "year")


def meets(rule: dict[str, Any], event: dict[str, Any]) -> bool:
    """Whether the event meets the rule's detection."""
    detection = rule["detection"]
    conditions = detection["condition"]
    return any(
        Condition(text, detection, event).holds()
        for text in ([conditions] if isinstance(conditions, str) else conditions)
    )


class Condition:
    """Recursive descent: `not` binds before `and`, `and` before `or`."""

    def __init__(self, text: str, detection: dict[str, Any], event: dict[str, Any]) -> None:
        self.words = re.findall(r"[()]|[\w*-]+", text)
        self.detection = detection
        self.event = event

    def holds(self) -> bool:
        found = self._or()
        assert not self.words
        return found

    def _or(self) -> bool:
        found = self._and()
        while self.words[:1] == ["or"]:
            self.words.pop(0)
            found = self._and() or found
        return found

    def _and(self) -> bool:
        found = self._not()
        while self.words[:1] == ["and"]:
            self.words.pop(0)
            found = self._not() and found
        return found

    def _not(self) -> bool:
        word = self.words.pop(0)
        if word == "not":
            return not self._not()
        if word == "(":
            found = self._or()
            assert self.words.pop(0) == ")"
            return found
        if self.words[:1] == ["of"]:
            self.words.pop(0)
            pattern = self.words.pop(0)
            names = [n for n in self.detection if n != "condition" and not n.startswith("_")]
            if pattern != "them":
                names = [n for n in names if re.fullmatch(pattern.replace("*", ".*"), n)]
            return (all if word == "all" else any)(search(self.detection[n], self.event) for n in names)
        return search(self.detection[word], self.event)


def search(part: Any, event: dict[str, Any]) -> bool:
    """A mapping asks for all of its items, a list for one of its elements, anything else is a keyword."""
    if isinstance(part, dict):
        return all(item(key, value, event) for key, value in part.items())
    if isinstance(part, list):
        return any(search(each, event) for each in part)
    return keyword([ANY, *pattern_of(text_of(part)), ANY], event, False)


def keyword(pattern: Pattern, event: dict[str, Any], cased: bool) -> bool:
    return any(like(pattern, each, cased) for value in event.values() for each in elements(value))


def item(key: str, value: Any, event: dict[str, Any]) -> bool:
    field, *modifiers = key.split("|")
    wanted = value if isinstance(value, list) else [value]
    held = [asked(field, each, modifiers, event) for each in wanted]
    found = all(held) if "all" in modifiers else any(held)
    return not found if "neq" in modifiers else found


def asked(field: str, wanted: Any, modifiers: list[str], event: dict[str, Any]) -> bool:
    rest = [modifier for modifier in modifiers if modifier not in ("all", "neq")]
    if rest[:1] == ["exists"]:
        return (field in event) == wanted
    values = elements(event.get(field))
    if wanted is None:
        return not values
    if rest[:1] == ["fieldref"]:
        return any(refers(a, b, rest[1:]) for a in values for b in elements(event.get(wanted)))
    return any(met(each, wanted, rest) for each in values)


def elements(value: Any) -> list[Any]:
    return [each for each in (value if isinstance(value, list) else [value]) if each is not None]


def met(value: Any, wanted: Any, modifiers: list[str]) -> bool:
    first = modifiers[0] if modifiers else ""
    if first == "re":
        flags = sum(re.RegexFlag[flag.upper()] for flag in modifiers[1:])
        return re.search(wanted, text_of(value), flags) is not None
    if first == "cidr":
        return within(text_of(value), wanted)
    if first in PARTS:
        moment = moment_of(value)
        if moment is None:
            return False
        part = moment.isocalendar()[1] if first == "week" else getattr(moment, first)
        return part == wanted if len(modifiers) == 1 else COMPARED[modifiers[1]](part, wanted)
    if first in COMPARED:
        number = number_of(value)
        return number is not None and COMPARED[first](number, wanted)
    if isinstance(wanted, bool):
        return text_of(value).casefold() == text_of(wanted)
    if isinstance(wanted, int | float):
        return value == str(wanted) if isinstance(value, str) else not isinstance(value, bool) and value == wanted
    return any(like(each, value, "cased" in modifiers) for each in patterns(wanted, modifiers))


def patterns(wanted: str, modifiers: list[str]) -> Iterator[Pattern]:
    """What the modifiers, in their order, make of a text; several where one of some will do."""
    found = [pattern_of(wanted)]
    for modifier in modifiers:
        found = [changed for each in found for changed in change(each, modifier)]
    yield from found


def change(pattern: Pattern, modifier: str) -> list[Pattern]:
    plain = "".join(each for each in pattern if isinstance(each, str))
    if modifier in ("contains", "endswith") and pattern[:1] != [ANY]:
        pattern = [ANY, *pattern]
    if modifier in ("contains", "startswith") and pattern[-1:] != [ANY]:
        pattern = [*pattern, ANY]
    if modifier in ("wide", "utf16le"):
        return [[each for character in pattern for each in (character, "\0")]]
    if modifier == "utf16be":
        return [[each for character in pattern for each in ("\0", character)]]
    if modifier == "base64":
        return [list(b64encode(plain.encode()).decode())]
    if modifier == "base64offset":
        return [list(shifted(plain.encode(), offset)) for offset in range(3)]
    if modifier == "windash":
        return [[DASH if dash(pattern, n) else each for n, each in enumerate(pattern)]]
    return [pattern]


DASH = tuple(DASHES)


def dash(pattern: Pattern, n: int) -> bool:
    """A - or / that stands in front of a word."""
    before, after = pattern[n - 1] if n else "", pattern[n + 1] if n + 1 < len(pattern) else ""
    return pattern[n] in ("-", "/") and not word(before) and word(after)


def word(each: str | tuple[str, ...]) -> bool:
    return isinstance(each, str) and re.fullmatch(r"\w", each) is not None


def shifted(data: bytes, offset: int) -> str:
    """What of the Base64 of `data` is the same whatever `offset` bytes stand before it and whatever follows."""
    seen = [
        b64encode(filler * offset + data + filler * more).decode() for filler in (b"\0", b"\xff") for more in (0, 1, 2)
    ]
    first = -(-offset * 8 // 6)
    last = (offset + len(data)) * 8 // 6
    assert len({text[first:last] for text in seen}) == 1
    return seen[0][first:last]


def pattern_of(text: str) -> Pattern:
    found: Pattern = []
    at = 0
    while at < len(text):
        if text[at] == "\\" and text[at + 1 : at + 2] in ("*", "?", "\\") and at + 1 < len(text):
            found.append(text[at + 1])
            at += 2
        else:
            found.append({"*": ANY, "?": ONE}.get(text[at], text[at]))
            at += 1
    return found


def like(pattern: Pattern, value: Any, cased: bool) -> bool:
    """By what can be reached: the places in the text after each part of the pattern."""
    text = text_of(value) if cased else text_of(value).casefold()
    places = {0}
    for each in pattern:
        if each == ANY:
            places = set(range(min(places), len(text) + 1)) if places else places
        elif each == ONE:
            places = {at + 1 for at in places if at < len(text)}
        else:
            wanted = each if isinstance(each, tuple) else (each if cased else each.casefold(),)
            places = {at + len(w) for at in places for w in wanted if text.startswith(w, at)}
    return len(text) in places


def refers(value: Any, other: Any, modifiers: list[str]) -> bool:
    if not modifiers and all(isinstance(each, int | float) and not isinstance(each, bool) for each in (value, other)):
        return bool(value == other)
    text, part = text_of(value).casefold(), text_of(other).casefold()
    return {
        "startswith": text[: len(part)] == part,
        "endswith": text[len(text) - len(part) :] == part and len(part) <= len(text),
        "contains": part in text,
        "": text == part,
    }[modifiers[0] if modifiers else ""]


def within(text: str, network: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if address.version == 6 and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address in ip_network(network)


def text_of(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def number_of(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    return float(value) if re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", value) else None


def moment_of(value: Any) -> datetime | None:
    number = number_of(value)
    if number is not None:
        seconds = number / 1000 if abs(number) >= 1e11 else number
        return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=seconds)
    try:
        return datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        return None
