"""Points add up and decay; what an actor does in one time is one case."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.security.cases import HALF_LIFE_MS, LEVELS, LIMIT, QUIET_MS, RULE, Case, weigh
from alerts.security.finding import Finding, Rule
from alerts.security.habits import Signal
from features.events import AuditExport
from features.times import DAY_MS, HOUR_MS

HIGH = Rule("big", "r1", "Big", "high", ())


def event(at_ms: int) -> AuditExport:
    return AuditExport(id=f"e{at_ms}", actor="ann", at_ms=at_ms)


def finding(at_ms: int, rule: Rule = HIGH) -> Finding:
    return Finding(rule, "ann", "", {"actor": "ann"}, 1, 1, "why", [f"e{at_ms}"], at_ms, f"e{at_ms}", at_ms, 0)


def signal(points: float) -> Signal:
    return Signal("volume", points, "more than usual")


def test_findings_of_a_time_are_one_case_and_later_ones_are_another() -> None:
    case = Case()
    told = [weigh(case, event(at), [finding(at)], [], 0)[0] for at in (DAY_MS, 3 * DAY_MS, 9 * DAY_MS, 17 * DAY_MS)]
    assert told[0].case == told[1].case == told[2].case != told[3].case
    assert all(each.case for each in told)


def test_a_case_is_called_the_same_in_every_run() -> None:
    one, other = (weigh(Case(), event(DAY_MS), [finding(DAY_MS)], [], 0)[0] for _ in range(2))
    assert one == other
    assert one.case == other.case


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3 * DAY_MS), st.sampled_from([*LEVELS])), min_size=1, max_size=12))
def test_the_score_is_the_sum_of_what_is_left_of_all_points(steps: list[tuple[int, str]]) -> None:
    case, at_ms, parts = Case(), 0, []
    for step_ms, level in steps:
        at_ms += step_ms
        rule = Rule("r", "r", "r", level, ())
        (told,) = weigh(case, event(at_ms), [finding(at_ms, rule)], [], 0)
        parts.append((at_ms, LEVELS[level]))
        left = sum(points * 0.5 ** ((at_ms - then) / HALF_LIFE_MS) for then, points in parts)
        assert told.score == pytest.approx(left, abs=1.6)  # what is hardly worth anything is dropped


def test_signals_alone_are_a_finding_when_they_come_to_the_limit_and_not_again_that_day() -> None:
    case = Case()
    assert weigh(case, event(0), [], [signal(LIMIT - 1)], 0) == []
    (risky,) = weigh(case, event(HOUR_MS), [], [signal(20)], 0)
    assert (risky.rule, risky.evidence, risky.started_ms) == (RULE, ["e0", f"e{HOUR_MS}"], 0)
    assert risky.case
    assert "more than usual" in risky.why
    assert weigh(case, event(2 * HOUR_MS), [], [signal(50)], 0) == []
    assert len(weigh(case, event(HOUR_MS + DAY_MS), [], [signal(50)], 0)) == 1


def test_within_a_day_as_much_again_is_told_again() -> None:
    case = Case()
    told = [len(weigh(case, event(k * HOUR_MS), [], [signal(LIMIT)], 0)) for k in range(4)]
    assert told == [1, 0, 1, 0], "between the first two, a little has decayed"


def test_signals_beside_a_finding_raise_its_score_and_no_other() -> None:
    (told,) = weigh(Case(), event(0), [finding(0)], [signal(LIMIT)], 0)
    assert (told.rule, told.score) == (HIGH, LEVELS["high"] + LIMIT)


def test_signals_far_apart_come_to_nothing() -> None:
    case = Case()
    for day in range(0, 60, 6):
        assert weigh(case, event(day * DAY_MS), [], [signal(40)], 0) == []


def test_what_is_long_past_is_no_reason_any_more() -> None:
    case = Case()
    weigh(case, event(0), [], [signal(90)], 0)
    (risky,) = weigh(case, event(QUIET_MS + 1), [], [signal(LIMIT)], 0)
    assert risky.evidence == [f"e{QUIET_MS + 1}"]
