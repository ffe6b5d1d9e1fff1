"""Rule conditions: SQL over feature names, checked at load, evaluated for a whole batch at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from msgspec import Struct
from polars.exceptions import PolarsError

from alerts.triggers.gifts import BALANCE, WrongRule
from alerts.triggers.rule import Rule
from alerts.triggers.sending import USUAL_HOUR
from alerts.triggers.sense import CLOCK as CLOCK_RANGES
from alerts.triggers.sense import (
    Comparison,
    comparisons,
    missing_text,
    nothing_between,
    out_of_range,
    unknown_word,
    wrong_sign,
    wrong_type,
)
from alerts.triggers.simple import Look, Rows, parts_of, tokens_of
from features.catalog import Catalog
from features.columns import KINDS, KNOWN_BY, NAMES, event_fields
from features.events import CUSTOMER_EVENTS
from features.kernel.scan import FLAG, TEXT
from features.tasks import OF_COUPONS
from features.written import hint, line_of

Types = dict[str, pl.DataType | type[pl.DataType]]
CLOCK: Types = {  # the store's own
    "hour": pl.Int64,
    "weekday": pl.Int64,  # Monday is 1
    "minute_of_day": pl.Int64,
    "local_day": pl.Int64,  # as datetime.date.toordinal
    "month": pl.Int64,
    "day_of_month": pl.Int64,
}
FACTS: Types = {**CLOCK, **dict.fromkeys(("event", "store", "region", "brand", "channel"), pl.String)}
TYPES: dict[int, Any] = {TEXT: pl.String, FLAG: pl.Boolean}
OF_EVENTS: Types = {name: TYPES.get(how, pl.Float64) for name, (how, _) in event_fields().items()}
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
EQUAL = {"=", "<>", "!="}
BEFORE_FLAG = {"(", ",", "and", "or", "not", "when", "then", "else"}
BEHIND_FLAG = {")", ",", "and", "or", "is", "when", "then", "else", "end"}
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
        no_rows = pl.LazyFrame(schema=self.schema)
        exits = {
            i: _compile(one, "exit", one[0].exit, self.schema, no_rows) for i, one in enumerate(rules) if one[0].exit
        }
        expressions = [_compile(one, "when", one[0].condition, self.schema, no_rows) for one in rules]
        read = [
            {*e.meta.root_names(), *_of_sending(one, self.schema), *one[0].then.read}
            for e, one in zip(expressions, rules, strict=True)
        ]
        known = [*numbers, *texts]
        self.names = [[name for name in known if name in names] for names in read]  # each rule reads, facts aside
        self.facts = [[name for name in self.schema if name in names and name not in known] for names in read]
        told = set().union(*read) - set(known) - set(FACTS)
        self.spends = any(rule.then.spends for rule in self.rules)
        self.fields = told | {KNOWN_BY[name] for name in told & set(KNOWN_BY)}  # of events, that some rule reads
        texts_of = [rule.condition for rule in self.rules]
        self.conditions = [self._split(*pair, dear) for pair in zip(texts_of, expressions, strict=True)]
        self.exits = {i: self._split(self.rules[i].exit, whole, dear) for i, whole in exits.items()}  # by rule

    def _split(self, text: str, whole: pl.Expr, dear: Collection[str]) -> Condition:
        simple, others = parts_of(text, numbers_of(self.schema))
        rest = pl.sql_expr(" AND ".join(f"({text})" for text in others)) if simple and others else None
        rest = rest if simple else whole
        columns = sorted(set(rest.meta.root_names())) if rest is not None else []
        return Condition(sorted(simple, key=lambda part: not part.names.isdisjoint(dear)), rest, columns)

    def evaluate(self, asks: npt.NDArray[np.bool_], looks: Callable[[int], Look]) -> npt.NDArray[np.bool_]:
        """bool[n, rules]: which condition holds where it is asked; unknown is false. Looks at no more than it must.

        `looks`: how a rule sees the rows.
        """
        out = np.zeros_like(asks)
        for i in np.flatnonzero(asks.any(axis=0)).tolist():
            out[self.holding(self.conditions[i], looks(i), asks[:, i].nonzero()[0]), i] = True
        return out

    def holding(self, condition: Condition, look: Look, rows: Rows) -> Rows:
        """Those of some rows at which it holds."""
        for part in condition.simple:
            if len(rows):
                rows = rows[part.holds(look, rows)]
        if len(rows) and condition.rest is not None:
            rows = rows[self.rest_holds(condition.rest, condition.columns, look, rows)]
        return rows

    def rest_holds(self, rest: pl.Expr, columns: list[str], look: Look, rows: Rows) -> npt.NDArray[np.bool_]:
        series = [self._series(name, look(name, rows)) for name in columns]
        frame = pl.DataFrame(series or [pl.Series("row", rows)])
        held = frame.select_seq(rest.fill_null(False).alias("when"))["when"].to_numpy()
        return np.broadcast_to(held, rows.shape)  # a condition without columns is one value for all rows

    def _series(self, name: str, values: npt.NDArray[Any]) -> pl.Series:
        type = self.schema[name]
        if type == pl.Boolean:
            return pl.Series(name, values.tolist(), type)
        return pl.Series(name, values, type, nan_to_null=True)


def numbers_of(schema: Types) -> set[str]:
    """The names that can be more or less."""
    return {name for name, type in schema.items() if type not in (pl.String, pl.Boolean)}


def over_catalog(rules: list[tuple[Rule, str, str]], catalog: Catalog) -> Conditions:
    """Conditions over a catalog's features and scores. Raises WrongRule."""
    of_coupons = [name for name, task in catalog.tasks.items() if task.target in OF_COUPONS]
    for rule, file, text in rules:
        _check_context(rule, file, text, catalog)
        _check_coupon(rule, file, text, of_coupons)
        _check_worth(rule, file, text, catalog)
        _check_points(rule, file, text, catalog)
        _check_tiers(rule, file, text, catalog)
        _check_scores(rule, file, text, catalog)
    numbers = [name for name in catalog.names if name not in catalog.texts]
    compiled = Conditions(rules, [*numbers, *catalog.models], catalog.texts, dear=catalog.models)
    for rule, file, text in rules:
        _check_sense(rule, file, text, catalog)
    return compiled


def _check_context(rule: Rule, file: str, text: str, catalog: Catalog) -> None:
    """What is learned apart has to be few: a context is a feature that says which of some words fits."""
    banded, context = [name for name, words in catalog.texts.items() if words], rule.then.context
    if context and context not in banded:
        place = f"{file}:{line_of(text, 'context')}: then.context"
        raise WrongRule(f"{place}: found {context!r}, expected a feature of bands or segments{hint(context, banded)}")


def _check_coupon(rule: Rule, file: str, text: str, of_coupons: list[str]) -> None:
    for key in ("when", "exit"):
        named = {*_WORD.findall(_TEXT.sub("", getattr(rule, key)))}.intersection(of_coupons)
        if named and not all(gift.coupon for gift in rule.then.gifts.values()):
            place = f"{file}:{line_of(text, key)}: {key}"
            raise WrongRule(
                f"{place}: {min(named)} is of the rule's own coupon, and it gives none: name a coupon in `then`"
            )


def _check_worth(rule: Rule, file: str, text: str, catalog: Catalog) -> None:
    worth, numbers = rule.then.worth, [*(name for name in catalog.names if name not in catalog.texts), *catalog.models]
    if worth is None or worth.of in numbers:
        return
    place, told = f"{file}:{line_of(text, 'worth')}: then.worth.of", numbers_of(OF_EVENTS)
    if worth.of not in told:
        known = hint(worth.of, [*numbers, *told])
        raise WrongRule(
            f"{place}: found {worth.of!r}, expected a feature that is a number, or a number of the events{known}"
        )
    if rule.waits:
        raise WrongRule(
            f"{place}: found {worth.of!r}, of events, and a rule with `{rule.waits}` looks where none comes"
        )
    having = event_fields()[worth.of][1]
    if lacking := [kind for kind in rule.on if KINDS[kind] not in having]:
        kinds = " and ".join(sorted(NAMES[code] for code in having))
        raise WrongRule(f"{place}: {worth.of} is a field of {kinds}, and the rule looks at {' and '.join(lacking)} too")


def _check_points(rule: Rule, file: str, text: str, catalog: Catalog) -> None:
    if rule.then.spends and BALANCE not in catalog.names:
        place = f"{file}:{line_of(text, 'spends')}: then.spends"
        raise WrongRule(f"{place}: found true, but there is no feature {BALANCE!r}: write [points] in the features")


def _check_tiers(rule: Rule, file: str, text: str, catalog: Catalog) -> None:
    """Where the feature says what tiers there are, no other one can be meant."""
    words = catalog.texts.get("tier") or []
    for tier in rule.schedule.tiers:
        if words and tier not in words:
            raise WrongRule(
                f"{file}:{line_of(text, 'tiers')}: schedule: tiers: there is no {tier!r}{hint(tier, words)}"
            )


def _check_sense(rule: Rule, file: str, text: str, catalog: Catalog) -> None:
    """That words, numbers and fields can be what the condition says, at the events at which it is asked."""
    words = {**{name: words for name, words in catalog.texts.items() if words}, "event": CUSTOMER_EVENTS}
    risks = {name: task.target for name, task in catalog.tasks.items() if task.link == "logit"}
    ranges = {**CLOCK_RANGES, "stars": (0, 5)}
    ranges |= {name: (-1 if target == "uplift" else 0, 1) for name, target in risks.items()}
    for key, kinds in (("when", rule.on), ("exit", [*rule.on, *rule.exit_on])):
        written, place = getattr(rule, key), f"{file}:{line_of(text, key)}: {key}"
        found = comparisons(written)
        told = unknown_word(found, words) or out_of_range(found, ranges) or _elsewhere(written, kinds, catalog)
        if told or (told := _never(found, kinds)):
            raise WrongRule(f"{place}: {told}; found {written!r}")


def _never(found: list[Comparison], kinds: list[str]) -> str:
    """That it asks for an event at which it is not asked; "" if it does not."""
    for one in found:
        if (one.name, one.sign) == ("event", "=") and one.value and one.value not in kinds:
            looks = f"at {' and '.join(kinds)} only" if kinds else "where nothing happens"
            return f"event is never {one.shown}, for the rule looks {looks}: say on = [{one.shown}]"
    return ""


def _elsewhere(written: str, kinds: list[str], catalog: Catalog) -> str:
    """A field that none of the events has at which the condition is asked; "" if there is none."""
    for word in _WORD.findall(_TEXT.sub("", written)):
        if word in OF_EVENTS and word not in (*catalog.names, *catalog.models, *FACTS):
            having = sorted(NAMES[code] for code in event_fields()[word][1])
            if not set(having) & set(kinds):
                looks = f"at {' and '.join(kinds)} only" if kinds else "where nothing happens"
                return f"{word} is a field of {' and '.join(having)}, and the rule looks {looks}: say on = {having[:1]}"
    return ""


def _check_scores(rule: Rule, file: str, text: str, catalog: Catalog) -> None:
    """Of tests."""
    for test in rule.test:
        for model, score in test.scores.items():
            place = f"{test.place(text, file)}: scores"
            if model not in catalog.models:
                raise WrongRule(f"{place}: there is no model {model!r}{hint(model, catalog.models)}")
            if catalog.tasks[model].link == "logit" and score > 1:
                raise WrongRule(f"{place}: found {model} = {score:g}, expected a probability, from 0 to 1")


def _of_sending(one: tuple[Rule, str, str], schema: Types) -> set[str]:
    """What says when the rule's message is to be sent. Raises WrongRule where no such feature is declared."""
    rule, file, text = one
    if rule.then.send == "now":
        return set()
    if USUAL_HOUR not in schema:
        raise WrongRule(
            f"{file}:{line_of(text, 'send')}: then.send: found {rule.then.send!r}, but there is no feature"
            f' {USUAL_HOUR!r}: write {USUAL_HOUR} = {{ order = "hour", aggregate = "top", half_life = "60d" }}'
            " in [measures] of the features"
        )
    return {USUAL_HOUR}


def _compile(one: tuple[Rule, str, str], key: str, condition: str, schema: Types, no_rows: pl.LazyFrame) -> pl.Expr:
    """Of `when` or `exit`, with what belongs to it; tried on no rows of the schema. Raises WrongRule."""
    rule, file, text = one
    written, place = getattr(rule, key), f"{file}:{line_of(text, key)}: {key}"
    bare = _TEXT.sub("", written)
    if told := wrong_sign(bare) or nothing_between(bare):
        raise WrongRule(f"{place}: {told}; found {written!r}")
    texts = {name for name, type in schema.items() if type == pl.String}
    for word in _WORD.findall(bare):
        if word not in schema and word.lower() not in FUNCTIONS | GRAMMAR:
            known = hint(word, [*schema, *sorted(FUNCTIONS)])
            known = f"; a text stands in single quotes: '{word}'" if _is_text(word, written, texts) else known
            raise WrongRule(f"{place}: there is no feature or function {word!r}{known}; found {written!r}")
        if word in KNOWN_BY and key == "when" and rule.waits and not rule.on:
            raise WrongRule(
                f"{place}: a rule with `{rule.waits}` looks where nothing happens, and {word} is told to events: look"
                f' at events, on = ["app_open"], or ask for something else; found {written!r}'
            )
    if flag := _misused(written, {name for name, type in schema.items() if type == pl.Boolean}):
        how = f"write {flag}, NOT {flag} or {flag} = false"
        raise WrongRule(f"{place}: {flag} is true or false: {how}; found {written!r}")
    if told := wrong_type(comparisons(written), numbers_of(schema), texts) or missing_text(written, texts):
        raise WrongRule(f"{place}: {told}; found {written!r}")
    try:
        pl.sql_expr(written)  # alone, or its errors would speak of the schedule, too
        pl.sql_expr(f"({written}\n)")  # where no word behind it is taken for an alias, and left out
        expression = pl.sql_expr(condition)
    except (PolarsError, pl.exceptions.SQLInterfaceError, pl.exceptions.PanicException) as error:
        raise WrongRule(f"{place}: not a condition: {_first_line(error)}; found {written!r}") from error
    try:
        empty = no_rows.select(expression.alias("when"))
        found = empty.collect_schema()["when"]
        empty.collect()
    except (PolarsError, pl.exceptions.PanicException) as error:
        raise WrongRule(f"{place}: {_first_line(error)}; found {written!r}") from error
    if found != pl.Boolean:
        raise WrongRule(f"{place}: yields {found}, expected true or false; found {written!r}")
    return expression


def _is_text(word: str, when: str, texts: Collection[str]) -> bool:
    """Whether a word that is no name is meant as a text: in double quotes, or what a text is said to be."""
    before = "|".join(map(re.escape, texts))
    return f'"{word}"' in when or re.search(rf"\b(?:{before})\s*(?:=|<>|!=)\s*{word}\b", when) is not None


def _misused(when: str, flags: Collection[str]) -> str:
    """A flag that is compared with anything but true and false, which Polars would put up with; "" if there is none."""
    tokens = ["(", *tokens_of(when), ")", ")"]
    for before, name, after, other in zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False):
        compared = after in EQUAL and other.lower() in ("true", "false")
        if name.strip('"') in flags and not (
            before.lower() in BEFORE_FLAG and (compared or after.lower() in BEHIND_FLAG)
        ):
            return name.strip('"')
    return ""


def _first_line(error: Exception) -> str:
    return re.split(r"[\n]", str(error))[0]
