"""What stands between a condition that holds and its coupon, in the order in which it is asked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from alerts.triggers.gates import Standing, first_shut, gates
from alerts.triggers.gifts import Arm, Then
from alerts.triggers.policy import Cap, Policy, held_out
from alerts.triggers.receipts.spoken import barrier
from alerts.triggers.rule import Rule
from features.quiet import QuietHours
from features.record import Ledger
from features.times import DAY_MS, HOUR_MS

RULE = Rule(id="r", when="true", then=Then("c"), cooldown="3d", on=["order"], group="g", max_event_age="2h")
times = st.integers(0, 20).map(lambda day: day * DAY_MS)
words = st.one_of(st.tuples(times, times), times.map(lambda ms: (ms, 0)), times.map(lambda ms: (ms, ms)))
ledgers = st.builds(
    Ledger,
    fired_ms=st.dictionaries(st.sampled_from(["r", "a", "b"]), times),
    issued_ms=st.lists(times, max_size=6).map(sorted),
    messages_ms=st.dictionaries(st.sampled_from(["push", "sms"]), st.lists(times, max_size=4)),
    suppressed=st.dictionaries(st.sampled_from(["", "review", "vip"]), st.lists(words, max_size=4)),
    inside=st.dictionaries(st.sampled_from(["r", "a"]), times),
)
policies = st.builds(
    Policy,
    cap=st.integers(1, 3),
    cap_window_ms=st.just(7 * DAY_MS),
    holdout=st.sampled_from([0.0, 0.5]),
    holdout_salt=st.just("s"),
    consent=st.sampled_from(["", "marketing"]),
    quiet=st.just(QuietHours(22 * 60, 8 * 60)),
    channel_caps=st.dictionaries(
        st.sampled_from(["push", "sms"]), st.builds(Cap, st.integers(1, 2), st.just(4 * DAY_MS))
    ),
)


def is_suppressed(ledger: Ledger, now_ms: int) -> bool:
    """By each reason's latest word until then, whoever's words on all reasons count for each."""
    for reason in {*ledger.suppressed} - {""}:
        said = [w for name in (reason, "") for w in ledger.suppressed.get(name, []) if w[0] <= now_ms]
        latest = [until_ms for since_ms, until_ms in said if since_ms == max(w[0] for w in said)]
        if any(until_ms == 0 or now_ms < until_ms for until_ms in latest):
            return True
    return False


def by_the_letter(rule: Rule, rivals: list[str], policy: Policy, standing: Standing) -> str:
    """All reasons against it, in the order in which docs/rules.md names them; the first."""
    now_ms, fired_ms, window_ms = standing.at_ms, standing.ledger.fired_ms, policy.cap_window_ms
    counted = [ms for ms in standing.ledger.issued_ms if now_ms - ms < window_ms]
    on_push = [ms for ms in standing.ledger.messages_ms.get("push", []) if now_ms - ms < 4 * DAY_MS]
    push_cap = policy.channel_caps.get("push")
    hour = standing.local_ms % DAY_MS / HOUR_MS
    reasons = {
        "stale": standing.age_ms > 2 * HOUR_MS,
        "excluded": any(now_ms < fired_ms[rival] + rule.cooldown_ms for rival in rivals if rival in fired_ms),
        "no_consent": policy.consent and not standing.consented,
        "suppressed": is_suppressed(standing.ledger, now_ms),
        "holdout": held_out(standing.customer, "s", policy.holdout),
        "cooldown": rule.id in fired_ms and now_ms < fired_ms[rule.id] + rule.cooldown_ms,
        "inside": rule.exit and rule.id in standing.ledger.inside,
        "capped": rule.capped and len(counted) >= policy.cap,
        "channel_capped": push_cap and (rule.capped or rule.then.may_be_message) and len(on_push) >= push_cap.count,
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
    st.sampled_from(["", "churn_risk < 0.4"]),
    st.sampled_from([Then("c"), Then(message="m")]),
)
def test_the_first_gate_that_is_shut_is_the_reason(
    policy: Policy, standing: Standing, rivals: list[str], quiet: str, capped: bool, exit: str, then: Then
) -> None:
    rule = replace(RULE, quiet=quiet, capped=capped, exit=exit, then=then)
    gate = first_shut(rule, rivals, policy, standing)
    assert (gate.outcome if gate else "") == by_the_letter(rule, rivals, policy, standing)
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


def test_what_is_earned_comes_whatever_its_arms_and_a_message_among_them_is_asked() -> None:
    policy = Policy(9, DAY_MS, 0.0, "s", "", channel_caps={"push": Cap(1, 7 * DAY_MS)})
    coupons = [Arm("x", coupon="A", face_value_cents=100), Arm("y", coupon="B", face_value_cents=200)]
    full = Standing("c", Ledger(messages_ms={"push": [0]}), DAY_MS, 0, True, 0)
    for then, outcome in (
        (Then("A", face_value_cents=100), None),
        (Then(arms=coupons), None),
        (Then("A", face_value_cents=100, arms=[*coupons, Arm("none", nothing=True)]), None),
        (Then(message="m"), "channel_capped"),
        (Then(arms=[coupons[0], Arm("word", message="m")]), "channel_capped"),
    ):
        gate = first_shut(replace(RULE, then=then, group="", capped=False), [], policy, full)
        assert (gate.outcome if gate else None) == outcome
