"""The gates between a condition that holds and the coupon are those that decisions ask, in their order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from alerts.triggers.campaign import Place
from alerts.triggers.candidates import Candidate
from alerts.triggers.decide import _barred
from alerts.triggers.gates import Standing, gates
from alerts.triggers.policy import Policy
from alerts.triggers.rule import Rule, Then
from alerts.triggers.spoken import barrier
from features.record import Ledger
from features.times import DAY_MS

RULE = Rule(id="r", when="true", then=Then("c"), cooldown="3d", on=["order"], group="g")
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
)


def decided(rule: Rule, rivals: list[str], policy: Policy, standing: Standing) -> str:
    now_ms, customer = standing.at_ms, standing.customer
    then = (rule, 0, customer, now_ms, "e", 0, now_ms, standing.consented, rivals, Place(now_ms, now_ms), {}, {})
    told = (rule, customer, standing.ledger, now_ms, standing.consented)
    outcome = _barred(Candidate(*then), standing.ledger) or policy.outcome(*told)
    return "quiet_hours" if outcome == "issued" and rule.quiet == "drop" and standing.quiet_ms else outcome


@given(
    policies,
    st.builds(Standing, st.sampled_from(["c1", "c2", "c3"]), ledgers, times, st.booleans(), st.sampled_from([0, 5])),
    st.sampled_from([[], ["a", "b"]]),
    st.sampled_from(["", "drop"]),
    st.booleans(),
)
def test_the_first_gate_that_is_shut_is_what_a_decision_comes_to(
    policy: Policy, standing: Standing, rivals: list[str], quiet: str, capped: bool
) -> None:
    rule = replace(RULE, quiet=quiet, capped=capped)
    found = gates(rule, rivals, policy, standing)
    shut = [gate.outcome for gate in found if not gate.is_open]
    assert (shut or ["issued"])[0] == decided(rule, rivals, policy, standing)
    assert all(barrier(gate, policy, "Asia/Shanghai") for gate in found)


@given(ledgers, policies, times)
def test_a_gate_that_is_shut_opens_at_its_time_and_not_before(ledger: Ledger, policy: Policy, at_ms: int) -> None:
    for gate in gates(RULE, ["a"], policy, Standing("c", ledger, at_ms, True)):
        if gate.until_ms and not gate.is_open:
            just_before, then = (
                {(g.outcome, g.rule): g for g in gates(RULE, ["a"], policy, Standing("c", ledger, ms, True))}
                for ms in (gate.until_ms - 1, gate.until_ms)
            )
            assert not just_before[gate.outcome, gate.rule].is_open
            assert then[gate.outcome, gate.rule].is_open
