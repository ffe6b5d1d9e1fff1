"""A judgement that cannot fail proves nothing: each thing that may go wrong is seen, and what is allowed is not."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from msgspec.structs import replace as changed

from alerts.triggers.gifts import Then
from alerts.triggers.rule import Rule
from benchmarks.decisions import decisions_in
from benchmarks.judgement import Verdict, judge_messages, judge_state, same
from features import events as e
from features.job import Clock, Message, Position
from features.loop import Store, batches, run
from features.messages import cloudevent
from features.times import DAY_MS
from tests.alerts.triggers.jobs import FREE, customers_job, encoded

POSITION = Position(9, Clock(1_000, {"s": 1_000}), {"applied": 2})


def coupon(id: str, at_ms: int = 1) -> Message:
    return Message("coupons", "ann", orjson.dumps({"id": id, "at_ms": at_ms}))


def examples(*rows: int) -> Message:
    columns = {name: list(rows) for name in ("ids", "at_ms", "known_ms", "labels", "rows")}
    return Message("examples", "churn", orjson.dumps({"model": "churn", **columns}))


def letter(id: str, value: bytes = b"") -> Message:
    return Message("dead-letters", "", value, {"ce_id": id})


def verdict_on(expected: list[Message], found: list[Message]) -> tuple[int, int, int]:
    """lost, duplicated, repeated"""
    verdict = Verdict()
    judge_messages(verdict, expected, found)
    return verdict.lost, verdict.duplicated, verdict.repeated


@pytest.mark.parametrize(
    ("found", "judged"),
    [
        ([coupon("1"), coupon("2")], (0, 0, 0)),
        ([coupon("2"), coupon("1")], (0, 0, 0)),
        ([coupon("1")], (1, 0, 0)),
        ([coupon("1"), coupon("2"), coupon("1")], (0, 0, 1)),
        ([coupon("1"), coupon("2"), coupon("3")], (0, 1, 0)),
        ([coupon("1"), coupon("2", at_ms=2)], (0, 1, 0)),
        ([coupon("1"), coupon("2"), coupon("2", at_ms=2)], (0, 1, 0)),
    ],
    ids=["the same", "another order", "lost", "repeated", "under two ids", "another content", "two contents of one id"],
)
def test_every_effect_is_wanted_once_with_its_content(found: list[Message], judged: tuple[int, int, int]) -> None:
    assert verdict_on([coupon("1"), coupon("2")], found) == judged


def test_a_decision_and_its_coupon_are_two_effects() -> None:
    decision = changed(coupon("1"), topic="decisions")
    assert verdict_on([coupon("1"), decision], [coupon("1"), coupon("1")]) == (1, 0, 1)


def test_examples_are_compared_by_row_however_they_are_shared_out() -> None:
    assert verdict_on([examples(1, 2, 3)], [examples(1), examples(2, 3)]) == (0, 0, 0)
    assert verdict_on([examples(1, 2, 3)], [examples(1), examples(1, 4)]) == (2, 1, 1)


def test_a_dead_letter_that_nobody_expects_is_seen() -> None:
    assert verdict_on([], [letter("a")]) == (0, 1, 0)
    assert verdict_on([letter("a", b"x")], [letter("a", b"y")]) == (0, 1, 0)


@pytest.mark.parametrize(
    ("change", "wrong_features", "wrong_fences"),
    [
        ({}, 0, 0),
        ({"records": {"ann": b"1"}}, 1, 0),
        ({"records": {"ann": b"1", "bob": b"3"}}, 1, 0),
        ({"records": {"ann": b"1", "bob": b"2", "cem": b"3"}}, 1, 0),
        ({"timers": {}}, 1, 0),
        ({"timers": {"ann": 6_000}}, 1, 0),
        ({"receipts": {"ann": [(1, b"r"), (2, b"r")]}}, 1, 0),
        ({"position": changed(POSITION, offset=8)}, 0, 1),
        ({"position": changed(POSITION, counts={"applied": 3})}, 0, 1),
    ],
)
def test_a_customer_and_a_fence_that_differ_are_counted(
    change: dict[str, Any], wrong_features: int, wrong_fences: int
) -> None:
    expected: dict[str, Any] = {"position": POSITION, "records": {"ann": b"1", "bob": b"2"}, "timers": {"ann": 5_000}}
    expected["receipts"] = {"ann": [(1, b"r")]}
    verdict = Verdict()
    judge_state(verdict, 0, Store(**expected), Store(**{**expected, **change}), row=list)
    assert (verdict.wrong_features, verdict.wrong_fences) == (wrong_features, wrong_fences)
    assert len(verdict.told) == wrong_features + wrong_fences


def test_two_runs_are_the_same_when_only_the_cut_differs() -> None:
    one = Store(POSITION, {"ann": b"1"}, sent=[coupon("1"), examples(1, 2)])
    assert same(one, Store(POSITION, {"ann": b"1"}, sent=[examples(1), coupon("1"), examples(2)]))
    assert not same(one, Store(POSITION, {"ann": b"1"}, sent=[coupon("2"), examples(1, 2)]))
    assert not same(one, Store(POSITION, {"ann": b"2"}, sent=one.sent))


def test_a_decision_is_the_same_whether_it_is_told_by_itself_or_with_others() -> None:
    rule = Rule(id="r", on=["view"], when="hour >= 0", then=Then("m"), cooldown="1d")
    views = [e.View(id=f"v{n}", customer=f"c{n}", at_ms=DAY_MS, day=1, tz="UTC") for n in range(3)]
    job = customers_job([rule], changed(FREE, consent="marketing"))
    [together] = run(job, batches("events", 0, encoded(views)))[0].sent
    each = [
        cloudevent(together.topic, d["customer"], d["decision"], "decision", "decisions", d["at_ms"], d["customer"], d)
        for d in decisions_in(together.value)
    ]
    for expected, found, lost in ((each, [together], 0), ([together], each, 0), ([together], each[:2], 1)):
        verdict = Verdict()
        judge_messages(verdict, expected, found)
        assert (verdict.lost, verdict.duplicated, verdict.effects) == (lost, 0, {"decisions": 3})
