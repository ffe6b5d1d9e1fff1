"""Rule conditions: SQL over feature names, checked at load, evaluated for a whole batch at once."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from msgspec import Struct
from polars.exceptions import PolarsError

from alerts.triggers.rule import Rule, WrongRule, hint, line_of
from alerts.triggers.simple import Look, Rows, parts_of
from features.catalog import Catalog
from features.columns import event_fields
from features.kernel.scan import TEXT

Types = dict[str, pl.DataType | type[pl.DataType]]
CLOCK: Types = {  # the store's own
    "hour": pl.Int64,
    "weekday": pl.Int64,  # Monday is 1
    "minute_of_day": pl.Int64,
    "local_day": pl.Int64,  # as datetime.date.toordinal
    "month": pl.Int64,
    "day_of_month": pl.Int64,
}
FACTS: Types = {**CLOCK, "event": pl.String, "store": pl.String, "region": pl.String, "channel": pl.String}
OF_EVENTS: Types = {name: pl.String if how == TEXT else pl.Float64 for name, (how, _) in event_fields().items()}
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


class Condition(Struct):
    """One rule's: what is asked first, and a Polars expression for the rest, if any."""

    simple: list[Any]
    rest: pl.Expr | None
    columns: list[str]  # that the rest reads


class Conditions:
    """The compiled `when` of many rules over one schema: features, scores and facts of the event."""

    def __init__(
        self,
        rules: list[tuple[Rule, str, str]],
        numbers: Collection[str],
        texts: Collection[str] = (),
        dear: Collection[str] = (),
    ) -> None:
        """`rules`: (rule, file, text); names of the columns that are numbers, and of those that are texts;
        `dear`: asked for last. Raises WrongRule."""
        features = {**dict.fromkeys(numbers, pl.Float64), **dict.fromkeys(texts, pl.String)}
        self.schema: Types = {**OF_EVENTS, **features, **FACTS}
        self.rules = [rule for rule, _, _ in rules]
        expressions = [_compile(rule, file, text, self.schema) for rule, file, text in rules]
        read = [set(e.meta.root_names()) for e in expressions]
        known = [*numbers, *texts]
        looked = [{*names, rule.then.context} for rule, names in zip(self.rules, read, strict=True)]
        self.names = [[name for name in known if name in names] for names in looked]  # each rule reads, facts aside
        self.facts = [[name for name in self.schema if name in names and name not in known] for names in read]
        self.fields = set().union(*read) - set(known) - set(FACTS)  # of events, that some rule reads
        self.conditions = [self._split(*pair, dear) for pair in zip(self.rules, expressions, strict=True)]

    def _split(self, rule: Rule, whole: pl.Expr, dear: Collection[str]) -> Condition:
        comparable = {name for name, type in self.schema.items() if type != pl.String}
        simple, others = parts_of(rule.condition, comparable)
        rest = pl.sql_expr(" AND ".join(f"({text})" for text in others)) if simple and others else None
        rest = rest if simple else whole
        columns = sorted(set(rest.meta.root_names())) if rest is not None else []
        return Condition(sorted(simple, key=lambda part: not part.names.isdisjoint(dear)), rest, columns)

    def evaluate(self, asks: npt.NDArray[np.bool_], look: Look) -> npt.NDArray[np.bool_]:
        """bool[n, rules]: which condition holds where it is asked; unknown is false. Looks at no more than it must."""
        out = np.zeros_like(asks)
        for i, condition in enumerate(self.conditions):
            rows = np.flatnonzero(asks[:, i])
            for part in condition.simple:
                if len(rows):
                    rows = rows[part.holds(look, rows)]
            if len(rows) and condition.rest is not None:
                rows = rows[self.rest_holds(condition.rest, condition.columns, look, rows)]
            out[rows, i] = True
        return out

    def rest_holds(self, rest: pl.Expr, columns: list[str], look: Look, rows: Rows) -> npt.NDArray[np.bool_]:
        series = [pl.Series(name, look(name, rows), self.schema[name], nan_to_null=True) for name in columns]
        frame = pl.DataFrame(series or [pl.Series("row", rows)])
        held = frame.select_seq(rest.fill_null(False).alias("when"))["when"].to_numpy()
        return np.broadcast_to(held, rows.shape)  # a condition without columns is one value for all rows


def over_catalog(rules: list[tuple[Rule, str, str]], catalog: Catalog) -> Conditions:
    """Conditions over a catalog's features and scores. Raises WrongRule."""
    for rule, file, text in rules:
        _check_context(rule, file, text, catalog)
    numbers = [name for name in catalog.names if name not in catalog.texts]
    return Conditions(rules, [*numbers, *catalog.models], catalog.texts, dear=catalog.models)


def _check_context(rule: Rule, file: str, text: str, catalog: Catalog) -> None:
    """What is learned apart has to be few: a context is a feature that says which of some words fits."""
    banded, context = [name for name, words in catalog.texts.items() if words], rule.then.context
    if context and context not in banded:
        place = f"{file}:{line_of(text, 'context')}: then.context"
        raise WrongRule(f"{place}: found {context!r}, expected a feature of bands or segments{hint(context, banded)}")


def _compile(rule: Rule, file: str, text: str, schema: Types) -> pl.Expr:
    place = f"{file}:{line_of(text, 'when')}: when"
    for word in _WORD.findall(_TEXT.sub("", rule.when)):
        if word not in schema and word.lower() not in FUNCTIONS | GRAMMAR:
            known = hint(word, [*schema, *sorted(FUNCTIONS)])
            raise WrongRule(f"{place}: there is no feature or function {word!r}{known}; found {rule.when!r}")
    try:
        pl.sql_expr(rule.when)  # alone, or its errors would speak of the schedule, too
        expression = pl.sql_expr(rule.condition)
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
