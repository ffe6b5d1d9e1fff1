"""The simple parts of a condition: comparisons of numbers, joined by AND and OR, answered without a query engine.

A condition holds where all that its outermost ANDs join are true, so each part can be asked alone, and only where
those before it hold. In AND and OR of comparisons, unknown is as good as false: only NOT and functions tell them apart,
and parts with these are left to Polars.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

Rows = npt.NDArray[np.int64]
Look = Callable[[str, Rows], npt.NDArray[Any]]  # the values of a name at some rows; NaN where there is none

COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "<>": lambda a, b: (a < b) | (a > b),
    "!=": lambda a, b: (a < b) | (a > b),
}
_TOKEN = re.compile(r"\s*('(?:[^']|'')*'|\"[^\"]*\"|[^\W\d]\w*|\d+(?:\.\d+)?(?![\w.])|[<>!]=|<>|[^\s])")
_PLAIN = re.compile(r"(?:'(?:[^'\\]|'')*'|[\w\s.<>=!(),+*%]|-(?!-)|/(?!\*))*")  # no comments, no quoted names
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


class NotSimple(ValueError):
    """A part that is more than comparisons."""


class Compare(Struct, frozen=True):
    """`name` against a number or another name."""

    name: str
    sign: str
    other: float | str

    def holds(self, look: Look, rows: Rows) -> npt.NDArray[np.bool_]:
        other = look(self.other, rows) if isinstance(self.other, str) else self.other
        return np.asarray(COMPARED[self.sign](look(self.name, rows), other), dtype=np.bool_)

    @property
    def names(self) -> set[str]:
        return {self.name, self.other} if isinstance(self.other, str) else {self.name}


class Missing(Struct, frozen=True):
    """`name` IS NULL, or IS NOT NULL."""

    name: str
    missing: bool

    def holds(self, look: Look, rows: Rows) -> npt.NDArray[np.bool_]:
        return np.asarray(np.isnan(look(self.name, rows)) == self.missing, dtype=np.bool_)

    @property
    def names(self) -> set[str]:
        return {self.name}


class Joined(Struct, frozen=True):
    """All of these, or any of them."""

    all: bool
    parts: list[Any]

    def holds(self, look: Look, rows: Rows) -> npt.NDArray[np.bool_]:
        join = np.logical_and if self.all else np.logical_or
        return np.asarray(join.reduce([part.holds(look, rows) for part in self.parts]), dtype=np.bool_)

    @property
    def names(self) -> set[str]:
        return set().union(*(part.names for part in self.parts))


def parts_of(when: str, numbers: Collection[str]) -> tuple[list[Any], list[str]]:
    """(the simple parts that its outermost ANDs join, the text of the others); `numbers`: names they may compare."""
    simple: list[Any] = []
    others: list[str] = []
    for tokens, text in conjuncts(when):
        try:
            simple.append(_Parser(tokens, numbers).whole())
        except NotSimple:
            others.append(text)
    return simple, others


def tokens_of(when: str) -> list[str]:
    return _TOKEN.findall(when)


def conjuncts(when: str) -> list[tuple[list[str], str]]:
    """Tokens and text of what the outermost ANDs join; all in one when there is an OR beside them, or a comment."""
    if not _PLAIN.fullmatch(when):
        return [([], when)]
    found = [(match[1], match.start(1), match.end(1)) for match in _TOKEN.finditer(when)]
    depth, between, cuts = 0, 0, [-1]
    for at, (token, _, _) in enumerate(found):
        word = token.lower()
        depth += (word in ("(", "case")) - (word in (")", "end"))
        between += depth == 0 and word == "between"
        if depth == 0 and word == "or":
            cuts = [-1]
            break
        if depth == 0 and word == "and":
            if between:
                between -= 1
            else:
                cuts.append(at)
    edges = [*cuts, len(found)]
    parts = [found[start + 1 : stop] for start, stop in pairwise(edges)]
    if not all(parts):
        return [([], when)]
    return [([token for token, _, _ in part], when[part[0][1] : part[-1][2]]) for part in parts]


class _Parser:
    """Reads comparisons joined by AND and OR. Raises NotSimple."""

    def __init__(self, tokens: list[str], numbers: Collection[str]) -> None:
        self.tokens = tokens
        self.numbers = numbers
        self.at = 0

    def whole(self) -> Any:
        found = self._any()
        if self.at < len(self.tokens):
            raise NotSimple
        return found

    def _any(self) -> Any:
        parts = [self._all()]
        while self._take("or"):
            parts.append(self._all())
        return Joined(False, parts) if len(parts) > 1 else parts[0]

    def _all(self) -> Any:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return Joined(True, parts) if len(parts) > 1 else parts[0]

    def _one(self) -> Any:
        if self._take("("):
            inner = self._any()
            self._need(")")
            return inner
        name = self._name()
        if self._take("is"):
            missing = not self._take("not")
            self._need("null")
            return Missing(name, missing)
        if self._take("between"):
            low = Compare(name, ">=", self._other())
            self._need("and")
            return Joined(True, [low, Compare(name, "<=", self._other())])
        sign = self._next()
        if sign not in COMPARED:
            raise NotSimple
        return Compare(name, sign, self._other())

    def _name(self) -> str:
        name = self._next()
        if name not in self.numbers:
            raise NotSimple
        return name

    def _other(self) -> float | str:
        negative = self._take("-")
        token = self._next()
        if _NUMBER.fullmatch(token):
            return -float(token) if negative else float(token)
        if negative or token not in self.numbers:
            raise NotSimple
        return token

    def _next(self) -> str:
        if self.at == len(self.tokens):
            raise NotSimple
        self.at += 1
        return self.tokens[self.at - 1]

    def _take(self, word: str) -> bool:
        if self.at < len(self.tokens) and self.tokens[self.at].lower() == word:
            self.at += 1
            return True
        return False

    def _need(self, word: str) -> None:
        if not self._take(word):
            raise NotSimple
