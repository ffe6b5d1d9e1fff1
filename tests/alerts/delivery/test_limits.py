"""The token bucket, the circuit breaker and the window keep their promises whatever happens in whatever order."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from alerts.delivery.breaker import Breaker
from alerts.delivery.bucket import Bucket
from alerts.delivery.window import Window

steps = st.lists(st.floats(0, 3), max_size=80)


@given(st.floats(0.1, 50), steps)
def test_in_no_stretch_of_time_more_tokens_are_taken_than_fill_and_rate_allow(rate: float, waits: list[float]) -> None:
    bucket, now_s, taken = Bucket(rate, 0.0), 0.0, list[float]()
    for wait_s in waits:
        now_s += wait_s
        taken += [now_s] * sum(bucket.take(now_s) for _ in range(5))
    for i, start_s in enumerate(taken):
        for j in range(i, len(taken)):
            assert j - i + 1 <= bucket.size + rate * (taken[j] - start_s) + 1e-6


def test_a_bucket_goes_on_at_its_rate_for_ever() -> None:
    bucket = Bucket(2.0, 0.0)
    assert sum(bucket.take(tenth / 10) for tenth in range(1_000)) == 2 + 199


def test_a_bucket_that_is_paused_gives_nothing_until_then_and_does_not_make_up_for_it() -> None:
    bucket = Bucket(10.0, 0.0)
    bucket.pause(60.0)
    bucket.pause(30.0)  # a shorter pause takes nothing back
    assert not any(bucket.take(now_s) for now_s in range(60))
    assert sum(bucket.take(60.0) for _ in range(20)) == 1
    assert bucket.take(60.2)


@given(st.integers(1, 5), st.lists(st.tuples(st.floats(0, 20), st.booleans(), st.integers(0, 3)), max_size=100))
def test_while_a_circuit_is_not_closed_at_most_one_attempt_is_under_way_since_it_opened(
    failures: int, walk: list[tuple[float, bool, int]]
) -> None:
    breaker, now_s, flying = Breaker(failures, 10.0), 0.0, list[tuple[bool, float]]()
    for wait_s, alive, starts in walk:
        now_s += wait_s
        for _ in range(starts):
            if breaker.admits(now_s):
                flying.append((breaker.start(), now_s))
        probes = [started_s for probe, started_s in flying if probe]
        assert len(probes) <= 1
        assert (breaker.state(now_s) == "closed") <= (not probes)
        if flying:
            probe, _ = flying.pop(0)
            breaker.answered(alive, probe, now_s)


def test_a_circuit_opens_after_failures_in_a_row_and_closes_with_a_probe_that_succeeds() -> None:
    breaker = Breaker(3, 10.0)
    for alive in (False, False, True, False, False, False):
        assert breaker.state(0.0) == "closed"
        assert not breaker.start()
        breaker.answered(alive, False, 0.0)
    assert breaker.state(9.9) == "open"
    assert not breaker.admits(9.9)
    assert breaker.state(10.0) == "half-open"
    assert breaker.start()
    assert not breaker.admits(99.0)
    breaker.answered(False, True, 11.0)
    assert not breaker.admits(20.9)
    assert breaker.admits(21.0)
    assert breaker.start()
    breaker.answered(True, True, 22.0)
    assert breaker.state(22.0) == "closed"


def test_what_comes_back_late_neither_prolongs_nor_ends_the_pause_of_a_circuit() -> None:
    breaker = Breaker(1, 10.0)
    breaker.answered(False, False, 0.0)
    breaker.answered(False, False, 9.0)
    breaker.answered(True, False, 9.5)
    assert breaker.state(9.9) == "open"
    assert breaker.state(10.0) == "half-open"


@given(st.lists(st.integers(1, 4), min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_a_window_reaches_exactly_as_far_as_everything_is_done(gaps: list[int], rng: object) -> None:
    """Offsets have gaps; they are taken in order and finished in any."""
    offsets = [5 + sum(gaps[: i + 1]) for i in range(len(gaps))]
    window, open_, waiting, reached = Window(5), set[int](), list(offsets), [5]
    while waiting or open_:
        if waiting and (not open_ or rng.random() < 0.5):  # type: ignore[attr-defined]
            open_.add(waiting[0])
            window.take(waiting.pop(0))
        else:
            done = rng.choice(sorted(open_))  # type: ignore[attr-defined]
            open_.discard(done)
            window.finish(done)
        reached.append(window.reached)
        assert all(offset < window.reached for offset in offsets if offset < min(open_, default=0))
        assert window.reached <= min(open_, default=window.reached)
    assert window.reached == offsets[-1] + 1
    assert not window.taken
    assert all(one <= other for one, other in pairwise(reached))
