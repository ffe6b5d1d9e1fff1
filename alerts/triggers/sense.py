"""What a condition says that cannot be meant: signs that SQL does not know, words and numbers that a name never has."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from msgspec import Struct

from alerts.triggers.simple import COMPARED, tokens_of
from features.written import hint

TRUTHS = {  # unknown is none of them in SQL, and unknown in Polars
    "IS TRUE": "coalesce(..., false)",
    "IS NOT TRUE": "NOT coalesce(..., false)",
    "IS FALSE": "NOT coalesce(..., true)",
    "IS NOT FALSE": "coalesce(..., true)",
}
_TRUTH = re.compile(r"\bis\s+(?:not\s+)?(?:true|false)\b", re.IGNORECASE)
_BETWEEN = re.compile(r"\bbetween\s+(-?\d+(?:\.\d+)?)\s+and\s+(-?\d+(?:\.\d+)?)(?![\w.]|\s*[-+*/%])", re.IGNORECASE)
SIGNS = {"=>": ">=", "=<": "<=", "&&": "AND", "||": "OR", "><": "<>"}
FLIPPED = {">": "<", "<": ">", ">=": "<=", "<=": ">="}
EQUAL = {"=", "<>", "!="}
BEFORE = {"(", ",", "and", "or", "not", "when", "then", "else"}
BEHIND = {")", ",", "and", "or", "when", "then", "else", "end"}
Ranges = Mapping[str, tuple[float, float]]
CLOCK: Ranges = {
    "hour": (0, 23),
    "minute_of_day": (0, 1439),
    "weekday": (1, 7),
    "day_of_month": (1, 31),
    "month": (1, 12),
}
SPOKEN = {"weekday": "weekday is a number from 1 (Monday) to 7 (Sunday)"}


class Comparison(Struct, frozen=True):
    """`name sign value`; an IN is one = by value, a BETWEEN is >= and <=."""

    name: str
    sign: str
    value: float | str

    @property
    def shown(self) -> str:
        return f"'{self.value}'" if isinstance(self.value, str) else f"{self.value:g}"


def wrong_sign(text: str) -> str:
    """What to write instead of a sign of other languages; "" if there is none. `text`: without its texts in quotes."""
    if truth := _TRUTH.search(text):
        asked = " ".join(truth[0].upper().split())
        return f"found {asked}: write {TRUTHS[asked]}"
    return next((f"found {sign}: write {meant}" for sign, meant in SIGNS.items() if sign in text), "")


def nothing_between(text: str) -> str:
    """A BETWEEN that begins above its end, as that of hours past midnight; "" if there is none."""
    for low, high in _BETWEEN.findall(text):
        if float(low) > float(high):
            return (
                f"nothing is BETWEEN {low} AND {high}: the lesser comes first; past midnight say >= {low} OR <= {high}"
            )
    return ""


def comparisons(text: str) -> list[Comparison]:
    """Of a name with numbers or texts, and of nothing that is reckoned."""
    tokens = ["(", *tokens_of(text.replace("==", "=")), ")", ")", ")"]
    lower, found = [token.lower() for token in tokens], list[Comparison]()
    for i, name in enumerate(tokens[:-3]):
        if not (name[0].isalpha() or name[0] == "_"):
            continue
        at = i + 1 + (lower[i + 1] == "not")
        if lower[i - 1] in BEFORE and lower[at] in COMPARED:
            found += _each(name, lower[at], tokens, at + 1, BEHIND)
        elif lower[i - 1] in BEFORE and lower[at] == "between":
            low = _each(name, ">=", tokens, at + 1, {"and"})
            found += [*low, *_each(name, "<=", tokens, _behind(tokens, at + 1) + 1, BEHIND)] if low else []
        elif lower[i - 1] in BEFORE and lower[at] == "in" and tokens[at + 1] == "(":
            at += 2
            while one := _each(name, "=", tokens, at, {",", ")"}):
                found, at = [*found, *one], _behind(tokens, at) + 1
        elif lower[i - 1] in COMPARED and lower[i + 1] in BEHIND:
            start = i - 3 if tokens[i - 3] == "-" else i - 2
            if start > 0 and lower[start - 1] in BEFORE:
                sign = FLIPPED.get(lower[i - 1], lower[i - 1])
                found += _each(name, sign, [*tokens[: i - 1], ")"], start, BEHIND)
    return found


def _each(name: str, sign: str, tokens: list[str], at: int, behind: Collection[str]) -> list[Comparison]:
    """The comparison with the number or text that stands at a place, if one does, and one of these behind it."""
    negative = at < len(tokens) and tokens[at] == "-"
    end = _behind(tokens, at)
    if end >= len(tokens) or tokens[end].lower() not in behind:
        return []
    token = tokens[end - 1]
    if token[0] == "'" and not negative:
        return [Comparison(name, sign, token[1:-1].replace("''", "'"))]
    if token[0].isdigit():
        return [Comparison(name, sign, -float(token) if negative else float(token))]
    return []


def _behind(tokens: list[str], at: int) -> int:
    return at + 1 + (at < len(tokens) and tokens[at] == "-")


def wrong_type(found: list[Comparison], numbers: Collection[str], texts: Collection[str]) -> str:
    """A number that is compared with a text, or the other way round; "" if there is none."""
    for one in found:
        if one.name in numbers and isinstance(one.value, str):
            return f"{SPOKEN.get(one.name, f'{one.name} is a number')}; found {one.shown}"
        if one.name in texts and not isinstance(one.value, str):
            return f"{one.name} is a text, which stands in single quotes and is equal or not: {one.name} = 'word'"
    return ""


def missing_text(text: str, texts: Collection[str]) -> str:
    """A text that is asked whether it IS NULL, which it never is; "" if there is none."""
    tokens = [token.strip('"') for token in tokens_of(text)]
    for name, then, negated, null in zip(tokens, tokens[1:], tokens[2:], [*tokens[3:], ""], strict=False):
        if name in texts and then.lower() == "is" and "null" in (negated.lower(), null.lower()):
            sign = "=" if negated.lower() == "null" else "<>"
            return f"{name} is a text, which is '' where there is none: write {name} {sign} ''"
    return ""


def unknown_word(found: list[Comparison], words: Mapping[str, Collection[str]]) -> str:
    """A text that its name never has, of names that have some only; "" if there is none."""
    for one in found:
        known = words.get(one.name)
        if known and isinstance(one.value, str) and one.value and one.value not in known:
            return f"{one.name} is never {one.shown}{hint(one.value, known)}"
    return ""


def out_of_range(found: list[Comparison], ranges: Ranges) -> str:
    """A number that its name never has, or a comparison that never holds; "" if there is none.

    An hour may be called less than 24.
    """
    for one in found:
        if one.name not in ranges or isinstance(one.value, str):
            continue
        (low, high), value = ranges[one.name], one.value
        room = 1 if one.name in CLOCK and one.sign in ("<", "<=") else 0
        never = (one.sign == ">" and value >= high) or (one.sign == "<" and value <= low)
        if never or not low <= value <= high + room:
            said = SPOKEN.get(one.name, f"{one.name} is from {low:g} to {high:g}")
            return f"{said}; found {one.name} {one.sign} {one.shown}"
    return ""
