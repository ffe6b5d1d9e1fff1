"""What an event says with true or false, and what it calls by a word of SQL."""

from __future__ import annotations

from itertools import product

import pytest

from alerts.triggers.gifts import Then, WrongRule
from alerts.triggers.receipts.clauses import ask, clauses_of
from alerts.triggers.receipts.explain import told
from alerts.triggers.receipts.kept import Kept
from alerts.triggers.rule import Rule
from features import events as e
from tests.alerts.triggers.jobs import customers_job
from tests.alerts.triggers.test_rule_language import at, decided

ANSWERS = [
    at(e.ComplaintAnswered(id="closed", case="k1", closed=True), 1),
    at(e.ComplaintAnswered(id="open", case="k2"), 2),
    at(e.Consent(id="other", purpose="p", granted=True), 3),
]


def held(when: str) -> list[str]:
    return [
        d["cause"] for d in decided([Rule("r", when, Then("X"), "1m", on=["complaint_answered", "consent"])], ANSWERS)
    ]


@pytest.mark.parametrize(
    ("when", "found"),
    [
        ("closed", ["closed"]),
        ("closed = true", ["closed"]),
        ("closed <> false AND hour = 0", ["closed"]),
        ("NOT closed", ["open"]),
        ("closed = FALSE", ["open"]),
        ("closed IS NULL", ["other"]),
        ("coalesce(closed, granted)", ["closed", "other"]),
        ("case_id = 'k2'", ["open"]),
        ("case_id = ''", ["other"]),
    ],
)
def test_a_condition_asks_for_true_and_false(when: str, found: list[str]) -> None:
    assert held(when) == found


WRONG = [f"{name} {sign}" for name, sign in product(["closed"], ["= 1", "= 'yes'", "> false", "= hour", "+ 1 > 1"])]


@pytest.mark.parametrize(
    "when", [*WRONG, "hour = closed", "closed IN (true)", '"closed" = 1', "granted BETWEEN 0 AND 1"]
)
def test_a_flag_is_no_number_and_no_text(when: str) -> None:
    with pytest.raises(WrongRule, match=r"(closed|granted) is true or false: write \1, NOT \1 or \1 = false"):
        customers_job([Rule("r", when, Then("X"), "1m", on=["complaint_answered"])])


def test_what_a_decision_saw_is_told_as_true_or_false() -> None:
    rule = Rule("r", "NOT closed", Then("X"), "1m", on=["complaint_answered"])
    [receipt] = decided([rule], ANSWERS)
    assert receipt["values"] == {"closed": False}
    schema = customers_job([rule]).decider.conditions.schema
    assert [one.holds for one in ask(clauses_of(rule, schema), receipt["values"], schema)] == [True]
    kept = Kept("d", "r", "v", "issued", 0, 0, "c", receipt["values"], {}, 0, 0, 0, False)
    assert [line.found for line in told(kept, rule, rule, schema).clauses] == ["closed is false"]
