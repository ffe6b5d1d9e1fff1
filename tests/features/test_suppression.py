"""Suppression is judged by what was said, whatever the order, the cuts and the merges; older ledgers are still read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec import msgpack

from features.record import WORDS, Ledger, decode_ledger, encode_ledger
from features.suppression import suppress, suppression

LATE = 40
Said = tuple[str, int, int, bool]  # reason, at_ms, until_ms, lift
times = st.integers(1, LATE)
spoken = st.builds(
    lambda reason, at, length, lift: (
        "" if lift and reason == "vip" else reason,
        at,
        0 if lift else length and at + length,
        lift,
    ),
    st.sampled_from(["complaint", "review", "vip"]),
    times,
    st.integers(0, 10),
    st.booleans(),
)
logs = st.lists(spoken, max_size=8)


def noted(log: list[Said]) -> Ledger:
    ledger = Ledger()
    for said in log:
        suppress(ledger, *said)
    return ledger


def reasons(log: list[Said], at_ms: int) -> set[str]:
    """By each reason's latest words until then; of several at once, the strictest."""
    found = set()
    for reason in {said[0] for said in log} - {""}:
        by_then = [said for said in log if said[0] in (reason, "") and said[1] <= at_ms]
        latest = [said for said in by_then if said[1] == max(one[1] for one in by_then)]
        if any(not lift and (until_ms == 0 or at_ms < until_ms) for _, _, until_ms, lift in latest):
            found.add(reason)
    return found


@given(logs, times)
def test_it_is_in_force_by_the_latest_words_and_says_until_when(log: list[Said], at_ms: int) -> None:
    found, wanted = suppression(noted(log), at_ms), reasons(log, at_ms)
    assert (found is not None) == bool(wanted)
    if found:
        why, until_ms = found
        assert why in wanted
        ends = [ms for ms in range(at_ms, 3 * LATE) if not reasons(log, ms)]
        assert until_ms == (ends[0] if ends else 0)


@given(logs, times, st.sampled_from(["complaint", "review", "vip"]))
def test_one_reason_can_be_asked_for(log: list[Said], at_ms: int, reason: str) -> None:
    found = suppression(noted(log), at_ms, reason)
    assert (found is not None) == (reason in reasons(log, at_ms))
    assert found is None or found[0] == reason


@given(st.lists(spoken, max_size=8), st.randoms(), st.integers(0, 8))
def test_order_repeats_and_merges_make_no_difference(log: list[Said], rng: object, cut: int) -> None:
    shuffled = [*log, *log[:2]]
    rng.shuffle(shuffled)
    assert noted(shuffled) == noted(log)
    one, other = noted(log[:cut]), noted(log[cut:])
    assert one.merge(other) == other.merge(one) == noted(log)


def test_of_many_words_the_latest_are_kept_and_the_present_is_judged_right() -> None:
    log = [("review", at, 0, at % 2 == 1) for at in range(1, 4 * WORDS)]
    ledger = noted(log)
    assert len(ledger.suppressed["review"]) == WORDS
    assert suppression(ledger, 4 * WORDS) is None
    assert suppression(ledger, 4 * WORDS - 2) == ("review", 4 * WORDS - 1)


def test_a_ledger_of_before_is_read() -> None:
    before = msgpack.encode([{"r": 5}, [5], {"cb": [3, True]}, {"summer": 2}])
    ledger = decode_ledger(before)
    assert (ledger.fired_ms, ledger.issued_ms, ledger.given) == ({"r": 5}, [5], {"summer": 2})
    assert (ledger.messages_ms, ledger.suppressed, ledger.inside, ledger.held) == ({}, {}, {}, [])
    assert suppression(ledger, 9) is None


def test_two_ledgers_become_one_without_loss() -> None:
    one = Ledger(messages_ms={"sms": [1, 4]}, inside={"a": 3, "b": 2}, held=[(9, b"x")])
    other = Ledger(messages_ms={"sms": [4], "push": [2]}, inside={"a": 7}, held=[(8, b"y")])
    both = decode_ledger(encode_ledger(one.merge(other)))
    assert both.messages_ms == {"sms": [1, 4, 4], "push": [2]}, "each message counts, also two at once"
    assert both.inside == {"a": 7, "b": 2}
    assert both.held == [(8, b"y"), (9, b"x")]
