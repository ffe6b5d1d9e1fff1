"""What stands between a condition that holds and its coupon, in the order in which it is asked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from alerts.triggers.gates import Standing, first_reason, gates
from alerts.triggers.policy import Policy, held_out
from alerts.triggers.rule import Rule, Then
from alerts.triggers.spoken import barrier
from features.quiet import QuietHours
from features.record import Ledger
from features.times import DAY_MS, HOUR_MS

RULE = Rule(id="r", when="true", then=Then("c"), cooldown="3d", on=["order"], group="g", max_event_age="2h")
times = st.integers(0, 20).map(lambda day: day * DAY_MS)
ledgers = st.builds(
    Ledger,
    fired_ms=st.dictionaries(st.sampled_from(["r", "a", "b"]), times),
    issued_ms=st.lists(times, max_size=6).map(sorted),
)
policies = st.builds(
    Policy,
    cap=st.integers(1, 3),
    cap_window_ms=st.just(7 * DAY_MS),
    holdout=st.sampled_from([0.0, 0.5]),
    holdout_salt=st.just("s"),
    consent=st.sampled_from(["", "marketing"]),
    quiet=st.just(QuietHours(22 * 60, 8 * 60)),
)


def by_the_letter(rule: Rule, rivals: list[str], policy: Policy, standing: Standing) -> str:
    """All reasons against it, in the order in which docs/rules.md names them; the first."""
    now_ms, fired_ms, window_ms = standing.at_ms, standing.ledger.fired_ms, policy.cap_window_ms
    counted = [ms for ms in standing.ledger.issued_ms if now_ms - ms < window_ms]
    hour = standing.local_ms % DAY_MS / HOUR_MS
    reasons = {
        "stale": standing.age_ms > 2 * HOUR_MS,
        "excluded": any(now_ms < fired_ms[rival] + rule.cooldown_ms for rival in rivals if rival in fired_ms),
        "no_consent": policy.consent and not standing.consented,
        "holdout": held_out(standing.customer, "s", policy.holdout),
        "cooldown": rule.id in fired_ms and now_ms < fired_ms[rule.id] + rule.cooldown_ms,
        "capped": rule.capped and len(counted) >= policy.cap,
        "quiet_hours": rule.quiet == "drop" and (hour >= 22 or hour < 8),
    }
    return next((reason for reason, so in reasons.items() if so), "")


@given(
    policies,
    st.builds(
        Standing,
        st.sampled_from(["c1", "c2", "c3"]),
        ledgers,
        times,
        st.sampled_from([7, 8, 12, 22]).map(lambda hour: hour * HOUR_MS),
        st.booleans(),
        st.sampled_from([0, 2 * HOUR_MS, 2 * HOUR_MS + 1]),
    ),
    st.sampled_from([[], ["a", "b"]]),
    st.sampled_from(["", "drop"]),
    st.booleans(),
)
def test_the_first_gate_that_is_shut_is_the_reason(
    policy: Policy, standing: Standing, rivals: list[str], quiet: str, capped: bool
) -> None:
    rule = replace(RULE, quiet=quiet, capped=capped)
    assert first_reason(rule, rivals, policy, standing) == by_the_letter(rule, rivals, policy, standing)
    assert all(barrier(gate, policy, "Asia/Shanghai") for gate in gates(rule, rivals, policy, standing))


@given(ledgers, policies, times)
def test_a_gate_that_is_shut_opens_at_its_time_and_not_before(ledger: Ledger, policy: Policy, at_ms: int) -> None:
    for gate in gates(RULE, ["a"], policy, Standing("c", ledger, at_ms, at_ms, True)):
        if gate.until_ms and not gate.is_open:
            just_before, then = (
                {(g.outcome, g.rule): g for g in gates(RULE, ["a"], policy, Standing("c", ledger, ms, ms, True))}
                for ms in (gate.until_ms - 1, gate.until_ms)
            )
            assert not just_before[gate.outcome, gate.rule].is_open
            assert then[gate.outcome, gate.rule].is_open
