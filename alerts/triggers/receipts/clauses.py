"""A rule's condition in its clauses: what its outermost ANDs join, each asked alone; true, false or unknown (None).

The condition holds exactly where all of its clauses are true.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import accumulate
from math import inf
from typing import Any

import polars as pl
from msgspec import Struct

from alerts.triggers.condition import Types, numbers_of
from alerts.triggers.rule import Rule
from alerts.triggers.simple import COMPARED, Compare, Joined, conjuncts, parts_of

Value = float | bool | str | None
Truth = bool | None


class Clause(Struct, frozen=True):
    """`of`: "when", "exit", or the key of the schedule it comes from; `part`: its comparisons, if it is no more."""

    text: str
    of: str
    names: list[str]
    part: Any = None


class Asked(Struct, frozen=True):
    """A clause, the values that it saw, and whether it held."""

    clause: Clause
    values: dict[str, Value]
    holds: Truth

    @property
    def gap(self) -> float:
        """How far from holding, as a share of the limit; infinite where that is no matter of more or less."""
        return _gap(self.clause.part, self.values)


def clauses_of(rule: Rule, schema: Types) -> list[Clause]:
    """Those of the schedule first."""
    numbers = numbers_of(schema)
    spoken = [*rule.schedule.clauses(rule.holidays), *(("when", text) for text in flattened(rule.when))]
    spoken += [("exit", rule.no_exit)] if rule.exit else []
    return [_clause(of, text, numbers) for of, text in spoken]


def flattened(when: str) -> list[str]:
    """Texts that its outermost ANDs join, also those within parentheses of their own."""
    parts = conjuncts(when)
    if len(parts) > 1:
        return [text for _, part in parts for text in flattened(part)]
    [(tokens, text)] = parts
    return flattened(text[1:-1]) if _is_wrapped(tokens) else [text]


def _is_wrapped(tokens: list[str]) -> bool:
    """Whether one pair of parentheses is around all of it."""
    depths = list(accumulate((token == "(") - (token == ")") for token in tokens))
    return tokens[:1] == ["("] and 0 not in depths[:-1]


def _clause(of: str, text: str, numbers: Collection[str]) -> Clause:
    simple, others = parts_of(text, numbers)
    return Clause(text, of, sorted(set(pl.sql_expr(text).meta.root_names())), None if others else simple[0])


def ask(clauses: list[Clause], values: Mapping[str, Value], schema: Types) -> list[Asked]:
    """Each clause of one row; a value that is None is unknown."""
    names = sorted({name for clause in clauses for name in clause.names})
    row = [pl.Series(name, [values.get(name)], _type(name, values, schema), strict=False) for name in names]
    frame = pl.DataFrame(row or [pl.Series("row", [0])])
    found = frame.select_seq(*[pl.sql_expr(c.text).alias(str(i)) for i, c in enumerate(clauses)])
    return [
        Asked(clause, {name: values.get(name) for name in clause.names}, found[str(i)][0])
        for i, clause in enumerate(clauses)
    ]


def _type(name: str, values: Mapping[str, Value], schema: Types) -> Any:
    """Of a feature that is not declared any more, by its value."""
    return schema.get(name) or (pl.String if isinstance(values.get(name), str) else pl.Float64)


def nearest_first(asked: list[Asked]) -> list[Asked]:
    """What is false, the closest first; what is unknown; what holds."""
    return sorted(asked, key=lambda a: (1, 0.0) if a.holds is None else (2, 0.0) if a.holds else (0, a.gap))


def _gap(part: Any, values: Mapping[str, Value]) -> float:
    if isinstance(part, Joined):
        gaps = [_gap(one, values) for one in part.parts]
        return max(gaps) if part.all else min(gaps)
    if not isinstance(part, Compare):
        return inf
    mine, other = values[part.name], values[part.other] if isinstance(part.other, str) else part.other
    if not isinstance(mine, (int, float)) or not isinstance(other, (int, float)):
        return inf
    return 0.0 if COMPARED[part.sign](mine, other) else abs(mine - other) / (abs(other) or 1.0)
