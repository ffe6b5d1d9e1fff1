"""A condition looks at one row alone: the same answer in any company, and nothing else is let in."""

from __future__ import annotations

import math
import operator

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.triggers.condition import FACTS as FACT_TYPES
from alerts.triggers.condition import Conditions
from alerts.triggers.gifts import Then, WrongRule
from alerts.triggers.rule import Rule

NUMBERS = ["orders_7d", "aov_cents_30d", "churn_risk"]
OPERATORS = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "<>": operator.ne,
}
FACTS = {"hour": 15, "weekday": 1, "event": "order", "store": "s1", "region": "Len", "brand": "Leaf", "channel": "app"}


def compiled(*whens: str, exit: str = "") -> Conditions:
    named = [(f"r{n}", when) for n, when in enumerate(whens)]
    rules = [Rule(id=id, when=when, then=Then("c"), cooldown="1d", on=["order"], exit=exit) for id, when in named]
    return Conditions([(rule, "r.toml", f"when = '{rule.when}'") for rule in rules], NUMBERS)


def evaluated(conditions: Conditions, rows: np.ndarray, facts: dict[str, list]) -> np.ndarray:
    """bool[rows, rules]."""
    columns = {name: rows[:, place] for place, name in enumerate(NUMBERS)} | {n: np.array(v) for n, v in facts.items()}
    asks = np.ones((len(rows), len(conditions.rules)), dtype=np.bool_)
    return conditions.evaluate(asks, lambda _: lambda name, at: columns[name][at])


def held(when: str, *rows: list[float], exit: str = "") -> list[bool]:
    facts = {name: [value] * len(rows) for name, value in FACTS.items()}
    table = np.array(rows, dtype=np.float64).reshape(len(rows), 3)
    return evaluated(compiled(when, exit=exit), table, facts)[:, 0].tolist()


simple = st.tuples(st.sampled_from(NUMBERS), st.sampled_from(sorted(OPERATORS)), st.integers(-2, 5))
trees = st.recursive(
    simple, lambda inner: st.tuples(st.sampled_from(("AND", "OR")), inner, inner) | st.tuples(st.just("NOT"), inner)
)
rows = st.lists(st.lists(st.integers(-2, 5).map(float) | st.just(math.nan), min_size=3, max_size=3), max_size=8)


def spoken(tree: tuple) -> str:
    if tree[0] == "NOT":
        return f"NOT ({spoken(tree[1])})"
    if tree[0] in ("AND", "OR"):
        return f"({spoken(tree[1])}) {tree[0]} ({spoken(tree[2])})"
    return " ".join(map(str, tree))


def truth(tree: tuple, row: dict[str, float]) -> bool | None:
    """SQL's three values: what hangs on a missing number is unknown, None."""
    if tree[0] == "NOT":
        inner = truth(tree[1], row)
        return None if inner is None else not inner
    if tree[0] in ("AND", "OR"):
        both, deciding = {truth(tree[1], row), truth(tree[2], row)}, tree[0] == "OR"
        return deciding if deciding in both else None if None in both else not deciding
    name, sign, number = tree
    return None if math.isnan(row[name]) else OPERATORS[sign](row[name], number)


@settings(max_examples=60, deadline=None)
@given(trees, rows)
def test_conditions_hold_as_sql_says_and_unknown_is_false(tree: tuple, rows: list[list[float]]) -> None:
    wanted = [truth(tree, dict(zip(NUMBERS, row, strict=True))) is True for row in rows]
    assert held(spoken(tree), *rows) == wanted
    assert [held(spoken(tree), row)[0] for row in rows] == wanted, "alone as in company"


@settings(max_examples=60, deadline=None)
@given(trees, rows)
def test_what_is_unknown_is_no_exit(tree: tuple, rows: list[list[float]]) -> None:
    wanted = [truth(tree, dict(zip(NUMBERS, row, strict=True))) is not True for row in rows]
    assert held("true", *rows, exit=spoken(tree)) == wanted


@pytest.mark.parametrize(
    "when",
    [
        "orders_7d BETWEEN 1 AND 3 AND channel IN ('app', 'pos')",
        "store LIKE 's%' AND region = 'Len'",
        "region = 'over the count(*) of sum' OR weekday = 1",
        "COALESCE(churn_risk, 0.5) > 0.4",
        "GREATEST(orders_7d, 5) >= 5 AND ABS(orders_7d - 2) < 2",
        "CASE WHEN hour >= 12 THEN orders_7d > 0 ELSE FALSE END",
        "\"orders_7d\" IS NOT NULL AND NOT (event = 'view')",
        "orders_7d / NULLIF(aov_cents_30d, 0) IS NULL",
        "1e2 > hour",
        "true",
    ],
)
def test_what_a_rule_may_say(when: str) -> None:
    assert held(when, [2.0, 0.0, math.nan]) == [True]


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("order_7d > 2", "there is no feature or function 'order_7d'; did you mean 'orders_7d'?"),
        ("SUM(orders_7d) > 2", "there is no feature or function 'SUM'"),
        ("CORR(orders_7d, churn_risk) > 0", "there is no feature or function 'CORR'"),
        ("QUANTILE_CONT(orders_7d, 0.5) > 1", "there is no feature or function 'QUANTILE_CONT'"),
        ("RANK() OVER (ORDER BY orders_7d) > 1", "there is no feature or function 'RANK'"),
        ("COUNT(*) > 1", "there is no feature or function 'COUNT'"),
        ("orders_7d > (SELECT 1)", "there is no feature or function 'SELECT'"),
        ("CURRENT_DATE > '2026-05-01'", "there is no feature or function 'CURRENT_DATE'"),
        ("NOW() IS NOT NULL", "there is no feature or function 'NOW'"),
        ("CAST(store AS INT) > 5", "there is no feature or function 'CAST'"),
        ("store::int > 5", "there is no feature or function 'int'"),
        ('channel = "app"', "there is no feature or function 'app'"),
        ("orders_7d >=", "not a condition: "),
        ("orders_7d > 1; orders_7d", "not a condition: "),
        ("orders_7d > 1 hour", "not a condition: "),
        ("orders_7d > 1) OR (hour = 3", "not a condition: "),
        ("hour = '14'", "hour is a number; found '14'"),
        ("channel > 3", "channel is a text, which stands in single quotes"),
        ("orders_7d", "yields Float64, expected true or false"),
    ],
)
def test_what_a_rule_may_not_say(when: str, message: str) -> None:
    with pytest.raises(WrongRule) as wrong:
        compiled(when)
    assert str(wrong.value).startswith(f"r.toml:1: when: {message}")
    assert str(wrong.value).endswith(f"found {when!r}")


def test_many_rules_are_asked_at_once_and_no_row_is_no_answer() -> None:
    conditions = compiled("orders_7d > 1", "hour = 3", "true")
    facts = {name: [value, value] for name, value in FACTS.items()}
    answers = evaluated(conditions, np.array([[1.0, 0, 0], [2.0, 0, 0]]), facts)
    assert answers.tolist() == [[False, False, True], [True, False, True]]
    assert evaluated(conditions, np.empty((0, 3)), {name: [] for name in FACTS}).shape == (0, 3)
    assert conditions.names == [["orders_7d"], [], []]


operands = st.sampled_from((*NUMBERS, "hour", "weekday", "2", "-1", "0.5", "15"))
atoms = (
    st.tuples(operands, st.sampled_from((*OPERATORS, "!=")), operands).map(" ".join)
    | st.tuples(operands, st.sampled_from(("IS NULL", "is not null", "BETWEEN -1 AND 2", "NOT BETWEEN 0 AND 3"))).map(
        " ".join
    )
    | st.sampled_from(
        ("store LIKE 's%'", "channel IN ('app')", "event = 'a AND b'", "true", "COALESCE(churn_risk, 1) > 0")
    )
    | operands.map("CASE WHEN hour > 3 AND weekday = 1 THEN {0} > 1 OR {0} < 0 ELSE churn_risk > 1 END".format)
)
sentences = st.recursive(
    atoms,
    lambda inner: (
        st.tuples(st.sampled_from(("{} AND {}", "{} and {}", "({}) OR {}", "({} OR {})")), inner, inner).map(
            lambda said: said[0].format(*said[1:])
        )
        | inner.map("NOT {}".format)
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(sentences, rows)
def test_what_is_split_into_simple_parts_holds_where_polars_says_of_the_whole(when: str, rows: list) -> None:
    frame = pl.DataFrame(
        [
            pl.Series(name, np.array([row[k] for row in rows], dtype=np.float64), nan_to_null=True)
            for k, name in enumerate(NUMBERS)
        ]
        + [pl.Series(name, [value] * len(rows), FACT_TYPES[name]) for name, value in FACTS.items()]
    )
    wanted = frame.with_columns(pl.sql_expr(when).alias("when"))["when"]
    assert held(when, *rows) == [bool(holds) for holds in wanted]


def test_simple_parts_are_asked_first_and_what_follows_only_where_they_hold() -> None:
    looked: list[tuple[str, list[int]]] = []
    columns = {"orders_7d": np.array([1.0, 5.0, 5.0]), "churn_risk": np.array([0.9, 0.1, 0.9]), "store": ["s1"] * 3}

    def look(name: str, at: np.ndarray) -> np.ndarray:
        looked.append((name, at.tolist()))
        return np.array(columns[name])[at]

    rule = Rule(id="r", when="store LIKE 's%' AND churn_risk > 0.5 AND orders_7d > 3", then=Then("c"), cooldown="1d")
    conditions = Conditions([(rule, "r.toml", "")], NUMBERS, dear=["churn_risk"])
    assert conditions.evaluate(np.ones((3, 1), dtype=np.bool_), lambda _: look)[:, 0].tolist() == [False, False, True]
    assert looked == [("orders_7d", [0, 1, 2]), ("churn_risk", [1, 2]), ("store", [2])]


@pytest.mark.parametrize(
    "when", ["orders_7d > 1 -- AND churn_risk > 0", "orders_7d > 1 /* AND churn_risk > 0 */ AND true"]
)
def test_what_stands_in_a_comment_is_not_asked(when: str) -> None:
    assert held(when, [2.0, 0.0, math.nan]) == [True]
