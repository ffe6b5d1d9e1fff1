"""Rule conditions: SQL over feature names, checked at load, evaluated for a whole batch at once."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from polars.exceptions import PolarsError

from alerts.triggers.rule import Rule, WrongRule, hint, line_of

FACTS: dict[str, pl.DataType | type[pl.DataType]] = {
    "hour": pl.Int64,  # store-local
    "weekday": pl.Int64,  # Monday is 1
    "event": pl.String,
    "store": pl.String,
    "region": pl.String,
    "channel": pl.String,
}
FUNCTIONS = {"abs", "ceil", "coalesce", "floor", "greatest", "least", "nullif", "round"}  # each looks at its row alone
GRAMMAR = {
    "and",
    "between",
    "case",
    "else",
    "end",
    "false",
    "in",
    "is",
    "like",
    "not",
    "null",
    "or",
    "then",
    "true",
    "when",
}
_TEXT = re.compile(r"'(?:[^']|'')*'")
_WORD = re.compile(r"(?<![\w.])[^\W\d]\w*")


class Conditions:
    """The compiled `when` of many rules over one schema: features, scores and facts of the event."""

    def __init__(self, rules: list[tuple[Rule, str, str]], numbers: list[str]) -> None:
        """`rules`: (rule, file, text); `numbers`: names of the float columns, in order. Raises WrongRule."""
        self.schema = {**dict.fromkeys(numbers, pl.Float64), **FACTS}
        self.rules = [rule for rule, _, _ in rules]
        expressions = [_compile(rule, file, text, self.schema) for rule, file, text in rules]
        self.expressions = [e.fill_null(False).alias(r.id) for e, r in zip(expressions, self.rules, strict=True)]
        read = [set(e.meta.root_names()) for e in expressions]
        self.names = [[name for name in numbers if name in names] for names in read]  # the numbers that each rule reads
        used: set[str] = set().union(*read)
        self.numbers = [name for name in numbers if name in used]
        self.facts = [name for name in FACTS if name in used]
        self.readers = {name: [i for i, names in enumerate(read) if name in names] for name in used}

    def asked(self, name: str, asks: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """The rows at which some rule is asked that reads this name."""
        return np.flatnonzero(asks[:, self.readers[name]].any(axis=1))

    def evaluate(
        self, asks: npt.NDArray[np.bool_], numbers: dict[str, npt.NDArray[np.float64]], facts: dict[str, Any]
    ) -> npt.NDArray[np.bool_]:
        """bool[n, rules]: which condition holds where it is asked; unknown is false. The columns are those in use."""
        out = np.zeros_like(asks)
        asked = np.flatnonzero(asks.any(axis=0)).tolist()
        if not asked:
            return out
        columns = [pl.Series(name, values, nan_to_null=True) for name, values in numbers.items()]
        columns += [pl.Series(name, values, dtype=FACTS[name]) for name, values in facts.items()]
        frame = pl.DataFrame(columns or [pl.Series("row", np.arange(len(asks)))])
        held = frame.select_seq(self.expressions[i] for i in asked)  # in parallel, few rows wait for each other
        for i in asked:
            out[:, i] = held[self.rules[i].id].to_numpy()  # a condition without columns is one value for all rows
        return out & asks


def _compile(rule: Rule, file: str, text: str, schema: dict[str, pl.DataType | type[pl.DataType]]) -> pl.Expr:
    place = f"{file}:{line_of(text, 'when')}: when"
    for word in _WORD.findall(_TEXT.sub("", rule.when)):
        if word not in schema and word.lower() not in FUNCTIONS | GRAMMAR:
            known = hint(word, [*schema, *sorted(FUNCTIONS)])
            raise WrongRule(f"{place}: there is no feature or function {word!r}{known}; found {rule.when!r}")
    try:
        expression = pl.sql_expr(rule.when)
    except (PolarsError, pl.exceptions.SQLInterfaceError) as error:
        raise WrongRule(f"{place}: not a condition: {_first_line(error)}; found {rule.when!r}") from error
    try:
        empty = pl.DataFrame(schema=schema).lazy().select(expression.alias("when"))
        found = empty.collect_schema()["when"]
        empty.collect()
    except PolarsError as error:
        raise WrongRule(f"{place}: {_first_line(error)}; found {rule.when!r}") from error
    if found != pl.Boolean:
        raise WrongRule(f"{place}: yields {found}, expected true or false; found {rule.when!r}")
    return expression


def _first_line(error: Exception) -> str:
    return re.split(r"[\n]", str(error))[0]
