"""All that rules ask of one field, answered for a value at once: literals by one walk of an automaton, not by a loop.

Whole texts and numbers are looked up; a text with wildcards is found by its longest literal (Aho-Corasick over
the folded text between two marks, so that a beginning and an end are literals too) and checked only if there is more
to it; regular expressions share one filter of literals. What has no literal is asked of every new value.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import re2  # type: ignore[import-untyped]
from ahocorasick_rs import AhoCorasick, MatchKind

from alerts.sigma.criterion import (
    QUIET,
    Criterion,
    Exists,
    Like,
    Matching,
    Null,
    Number,
    Same,
    Test,
    Truth,
    Wild,
    is_number,
    scalars,
    text_of,
)

BEGIN, END = "\x02", "\x03"
MISSING: Any = object()  # the event has no such field
Answers = frozenset[int]


class FieldIndex:
    """`asked`: criteria of one field by number; the answers are the numbers of those that a value meets."""

    def __init__(self, asked: Iterable[tuple[int, Criterion]]) -> None:
        self.folded: defaultdict[str, list[int]] = defaultdict(list)
        self.exact: defaultdict[str, list[int]] = defaultdict(list)
        self.spelled: defaultdict[str, list[int]] = defaultdict(list)  # numbers, as texts write them
        self.numbers: defaultdict[float, list[int]] = defaultdict(list)
        self.checks: dict[int, Test] = {}  # what a literal makes likely and this decides
        self.others: list[tuple[int, Test]] = []
        self.nulls: list[int] = []
        self.present: list[int] = []
        self.absent: list[int] = []
        self.texts: list[tuple[int, Test]] = []  # what the automaton answers, one by one
        self._literals: defaultdict[str, list[int]] = defaultdict(list)
        self._patterns: list[tuple[int, str]] = []
        for number, criterion in asked:
            self._add(number, criterion)
        self.always = frozenset(self.present)
        self.automaton = _automaton([*self._literals])
        self.asked_by = [frozenset(numbers) for numbers in self._literals.values()]  # of the automaton's literals
        self.filters = [*_filters(self._patterns)]

    def _add(self, number: int, criterion: Criterion) -> None:
        if isinstance(criterion, Same):
            self._same(number, criterion)
        elif isinstance(criterion, Truth):
            self._same(number, Same(text_of(criterion.wanted)))
        elif isinstance(criterion, Number):
            self.spelled[str(criterion.number)].append(number)
            self.numbers[criterion.number].append(number)
        elif isinstance(criterion, Like):
            self._like(number, criterion)
        elif isinstance(criterion, Matching):
            self._patterns.append((number, criterion.pattern))
        elif isinstance(criterion, Null):
            self.nulls.append(number)
        elif isinstance(criterion, Exists):
            (self.present if criterion.wanted else self.absent).append(number)
        else:
            self.others.append((number, criterion.test()))  # type: ignore[union-attr]

    def _same(self, number: int, criterion: Same) -> None:
        if criterion.cased:
            self.exact[criterion.text].append(number)
        else:
            self.folded[criterion.text.casefold()].append(number)

    def _like(self, number: int, criterion: Like) -> None:
        literal, decided = literal_of(criterion)
        if literal and BEGIN not in literal[1:] and END not in literal[:-1]:
            self._literals[literal].append(number)
            self.texts.append((number, criterion.test()))
            if not decided:
                self.checks[number] = criterion.test()
        else:
            self.others.append((number, criterion.test()))

    def answers(self, value: Any) -> Answers:
        """`value` is a scalar, a list of some, None, or MISSING."""
        if value is MISSING:
            return frozenset((*self.nulls, *self.absent))
        values = scalars(value)
        return self.always.union(*map(self._scalar, values)) if values else self._of_null()

    def _of_null(self) -> Answers:
        return frozenset((*self.nulls, *self.present))

    def _scalar(self, value: Any) -> Answers:
        text = text_of(value)
        found = self.of_texts([text]).get(text, self.always)
        return found.union(self.numbers.get(value, ())) if is_number(value) else found

    def of_texts(self, texts: list[str]) -> dict[str, Answers]:
        """The answers of different texts; those left out meet what any text meets, `always`."""
        folded = [text.casefold() for text in texts]
        found = self._walked(self.automaton, texts, folded) if self.automaton is not None else {}
        for known, keys in ((self.folded, folded), (self.exact, texts), (self.spelled, texts)):
            if known:
                for place, key in enumerate(keys):
                    if key in known:
                        found.setdefault(place, set()).update(known[key])
        for match, numbers in self.filters:
            for place, hits in enumerate(map(match, texts)):
                if hits:
                    found.setdefault(place, set()).update(numbers[n] for n in hits)
        for number, test in self.others:
            for place, text in enumerate(texts):
                if test(text):
                    found.setdefault(place, set()).add(number)
        return {texts[place]: self.always.union(numbers) for place, numbers in found.items()}

    def _walked(self, automaton: AhoCorasick, texts: list[str], folded: list[str]) -> dict[int, set[int]]:
        """What the automaton finds, by text: one walk over all of them, with marks around each."""
        found: dict[int, set[int]] = {}
        row = BEGIN + (END + BEGIN).join(folded) + END
        if row.count(BEGIN) != len(texts) or row.count(END) != len(texts):  # marks mean nothing in what holds them
            for place, text in enumerate(texts):
                found[place] = {number for number, test in self.texts if test(text)}
            return found
        place, until = 0, len(folded[0]) + 2
        for literal, start, _ in automaton.find_matches_as_indexes(row, overlapping=True):
            while start >= until:  # matches come in the order of their ends, and lie within one text each
                place += 1
                until += len(folded[place]) + 2
            found.setdefault(place, set()).update(self.asked_by[literal])
        if self.checks:
            for place, likely in found.items():
                wrong = [n for n in likely & self.checks.keys() if not self.checks[n](texts[place])]
                likely.difference_update(wrong)
        return found


def literal_of(criterion: Like) -> tuple[str, bool]:
    """The longest literal that a text must hold, with a mark where it begins or ends; whether it is all there is to it.
    Empty when there is none."""
    parts = criterion.parts
    begins, ends = not isinstance(parts[0], Wild), not isinstance(parts[-1], Wild)
    marked = [
        (BEGIN if begins and n == 0 else "") + part.casefold() + (END if ends and n == len(parts) - 1 else "")
        for n, part in enumerate(parts)
        if not isinstance(part, Wild)
    ]
    decided = len(marked) == 1 and not criterion.cased and Wild.ONE not in parts
    return max(marked, key=len, default=""), decided


def _automaton(literals: list[str]) -> AhoCorasick | None:
    return AhoCorasick(literals, matchkind=MatchKind.Standard, store_patterns=False) if literals else None


def _filters(patterns: list[tuple[int, str]]) -> Iterator[tuple[Callable[[str], list[int] | None], list[int]]]:
    """Which of some patterns a text meets, by their place, and their numbers; parted where RE2 cannot hold the literals
    of all together."""
    if not patterns:
        return
    together = re2.Filter()
    for _, pattern in patterns:
        together.Add(pattern, QUIET)
    try:
        together.Compile()
    except re2.error:
        middle = len(patterns) // 2
        if not middle:
            meets = Matching(patterns[0][1]).test()
            yield lambda text: [0] if meets(text) else None, [patterns[0][0]]
            return
        yield from _filters(patterns[:middle])
        yield from _filters(patterns[middle:])
    else:
        yield together.Match, [number for number, _ in patterns]
