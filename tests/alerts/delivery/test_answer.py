"""What an answer means, and how long to wait after it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.delivery.answer import Answer, backoff_s, read_retry_after

NOW_MS = 1_777_593_600_000  # Fri, 01 May 2026 00:00:00 GMT


@pytest.mark.parametrize(
    ("answer", "verdict", "alive", "kind"),
    [
        (Answer(200), "delivered", True, "2xx"),
        (Answer(204), "delivered", True, "2xx"),
        (Answer(302), "refused", True, "3xx"),
        (Answer(400), "refused", True, "4xx"),
        (Answer(401), "refused", True, "4xx"),
        (Answer(408), "again", False, "4xx"),
        (Answer(410), "refused", True, "4xx"),
        (Answer(429), "again", True, "429"),
        (Answer(500), "again", False, "5xx"),
        (Answer(503), "again", False, "5xx"),
        (Answer(failure="timeout"), "again", False, "timeout"),
        (Answer(failure="connection"), "again", False, "connection"),
    ],
)
def test_an_answer_is_final_or_asks_for_another_attempt(answer: Answer, verdict: str, alive: bool, kind: str) -> None:
    assert (answer.verdict, answer.alive, answer.kind) == (verdict, alive, kind)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        (" 120 ", 120.0),
        ("9" * 400, 999_999_999_999.0),
        ("Fri, 01 May 2026 00:00:30 GMT", 30.0),
        ("Thu, 30 Apr 2026 23:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(text: str | None, seconds: float | None) -> None:
    assert read_retry_after(text, NOW_MS) == seconds


@given(st.text())
def test_no_header_breaks_the_reading(text: str) -> None:
    found = read_retry_after(text, NOW_MS)
    assert found is None or found >= 0


@given(st.integers(1, 10_000), st.floats(0.01, 10), st.floats(0.01, 600), st.floats(0, 1))
def test_a_wait_is_anywhere_below_a_bound_that_doubles_up_to_a_limit(
    attempt: int, first_s: float, most_s: float, chance: float
) -> None:
    wait_s = backoff_s(attempt, first_s, most_s, lambda a, b: a + (b - a) * chance)
    assert 0 <= wait_s <= most_s
    bounds = [backoff_s(n, first_s, most_s, lambda _, b: b) for n in (attempt, attempt + 1)]
    assert wait_s == pytest.approx(bounds[0] * chance)
    assert bounds[1] == pytest.approx(min(most_s, 2 * bounds[0]))
