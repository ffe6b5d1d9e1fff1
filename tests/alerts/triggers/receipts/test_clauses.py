"""A condition in its clauses: it holds exactly where all of them are true, and each is true, false or unknown."""

from __future__ import annotations

import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import convert

from alerts.triggers.condition import Types
from alerts.triggers.gifts import Then
from alerts.triggers.receipts import spoken
from alerts.triggers.receipts.clauses import ask, clauses_of, flattened, nearest_first
from alerts.triggers.rule import Rule
from alerts.triggers.schedule import Schedule
from tests.alerts.triggers.test_conditions import FACTS, NUMBERS, compiled, held, rows, trees, truth
from tests.alerts.triggers.test_conditions import spoken as said

SCHEMA: Types = compiled("true").schema
ALL = convert(
    {
        "from": "2026-05-01",
        "until": "2026-06-01",
        "hours": ["09:00-11:00", "22:00-02:00"],
        "weekdays": ["mon", "sun"],
        "not_on": ["2026-05-05"],
        "holidays": ["china"],
        "not_on_holidays": ["qixi"],
        "stores": ["s1", "o'neil"],
        "regions": ["Len"],
        "tiers": ["gold"],
    },
    Schedule,
)


def rule(when: str, **more: object) -> Rule:
    return Rule(id="r", when=when, then=Then("c"), cooldown="1d", on=["order"], **more)  # type: ignore[arg-type]


def named(row: list[float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in zip(NUMBERS, row, strict=True)}


def truths(when: str, row: list[float]) -> list[bool | None]:
    return [one.holds for one in ask(clauses_of(rule(when), SCHEMA), {**named(row), **FACTS}, SCHEMA)]


def whole(when: str, row: list[float]) -> bool | None:
    """As Polars says of the condition in one piece."""
    frame = pl.DataFrame([pl.Series(name, [value], pl.Float64) for name, value in named(row).items()])
    return frame.select(pl.sql_expr(when).alias("when"))["when"][0]


def all_of(truths: list[bool | None]) -> bool | None:
    return False if False in truths else None if None in truths else True


@settings(max_examples=150, deadline=None)
@given(st.lists(trees, min_size=1, max_size=4), rows, st.booleans())
def test_a_condition_holds_exactly_where_all_its_clauses_are_true(parts: list, table: list, wrapped: bool) -> None:
    when = " AND ".join(f"({said(tree)})" if len(parts) > 1 else said(tree) for tree in parts)
    when = f"({when})" if wrapped else when
    found = [all_of(truths(when, row)) for row in table]
    assert found == [whole(when, row) for row in table]
    assert found == [all_of([truth(tree, dict(zip(NUMBERS, row, strict=True))) for tree in parts]) for row in table]
    assert [one is True for one in found] == held(when, *table), "as the flow decides"


@pytest.mark.parametrize(
    ("when", "parts"),
    [
        ("orders_7d >= 3", ["orders_7d >= 3"]),
        ("orders_7d >= 3 AND hour < 17", ["orders_7d >= 3", "hour < 17"]),
        ("(a > 1 AND (b = 1 OR c = 2)) AND d IS NULL", ["a > 1", "b = 1 OR c = 2", "d IS NULL"]),
        ("a > 1 OR b > 1 AND c > 1", ["a > 1 OR b > 1 AND c > 1"]),
        ("a BETWEEN 1 AND 3 AND b > 0", ["a BETWEEN 1 AND 3", "b > 0"]),
        ("(a > 1) OR (b > 1)", ["(a > 1) OR (b > 1)"]),
        ("NOT (a > 1 AND b > 1) AND c > 1", ["NOT (a > 1 AND b > 1)", "c > 1"]),
        (
            "CASE WHEN a > 1 AND b > 1 THEN c > 1 ELSE d > 1 END",
            ["CASE WHEN a > 1 AND b > 1 THEN c > 1 ELSE d > 1 END"],
        ),
        ("x = 'this AND that' AND y = '('", ["x = 'this AND that'", "y = '('"]),
        ('"a" > 1 AND b > 1', ['"a" > 1 AND b > 1']),
        ("a > 1 -- AND\n AND b > 1", ["a > 1 -- AND\n AND b > 1"]),
    ],
)
def test_only_what_the_outermost_ands_join_is_cut(when: str, parts: list[str]) -> None:
    assert flattened(when) == parts


def test_the_clauses_of_a_schedule_are_all_that_it_asks_for() -> None:
    asked = rule("orders_7d > 0", schedule=ALL, holidays={"holidays": ((1, 2),), "not_on_holidays": ((3, 3),)})
    clauses = clauses_of(asked, {**SCHEMA, "tier": pl.String})
    assert " AND ".join([*(c.text for c in clauses if c.of != "when"), "(orders_7d > 0)"]) == asked.condition
    assert {c.of for c in clauses} == {name.strip("_") for name in Schedule.__struct_fields__} | {"when"}
    assert all(spoken.clause(clause, ALL) for clause in clauses)


def test_what_failed_comes_first_the_closest_before_the_others_then_what_is_unknown() -> None:
    when = "orders_7d >= 1 AND aov_cents_30d > 1000 AND orders_7d >= 3 AND churn_risk > 0.5 AND orders_7d > 20"
    clauses = clauses_of(rule(when), SCHEMA)
    asked = nearest_first(ask(clauses, {"orders_7d": 2.0, "aov_cents_30d": 950.0, "churn_risk": None}, SCHEMA))
    assert [one.clause.text for one in asked] == [
        "aov_cents_30d > 1000", "orders_7d >= 3", "orders_7d > 20", "churn_risk > 0.5", "orders_7d >= 1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("orders_7d >= 3", "orders_7d is 2, needs 3 or more"),
        ("orders_7d BETWEEN 3 AND 5", "orders_7d is 2, needs 3 or more and 5 or less"),
        ("orders_7d = 0", "orders_7d is 2, needs exactly 0"),
        ("churn_risk >= 0.3", "churn_risk has no value, needs 0.3 or more"),
        ("aov_cents_30d > 100000", "aov_cents_30d is 1,500, needs more than 100,000"),
        ("channel = 'app'", "channel is pos, needs app"),
        (
            "orders_7d > aov_cents_30d",
            "aov_cents_30d is 1,500, orders_7d is 2, needs more than aov_cents_30d",
        ),
        ("orders_7d IS NULL OR orders_7d > 9", "orders_7d is 2, needs no value, or more than 9"),
        (
            "orders_7d > 9 OR churn_risk > 0.5",
            "churn_risk has no value, orders_7d is 2, needs orders_7d more than 9, or churn_risk more than 0.5",
        ),
        ("ABS(orders_7d) > 9", "orders_7d is 2, needs ABS(orders_7d) > 9"),
    ],
)
def test_what_would_have_to_change_is_told_in_words(when: str, words: str) -> None:
    values = {"orders_7d": 2.0, "aov_cents_30d": 1500.0, "churn_risk": None, "channel": "pos"}
    [asked] = ask(clauses_of(rule(when), SCHEMA), values, SCHEMA)
    assert spoken.change(asked, Schedule()) == words
