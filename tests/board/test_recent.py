"""Who asks while something is read waits for that one reading, also if it fails."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from board import recent
from board.recent import Recent


def test_those_who_wait_for_a_server_that_is_away_are_told_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "FAILED_S", 60.0)
    reads, answers = list[float](), Event()

    def read() -> str:
        reads.append(time.monotonic())
        if not answers.is_set():
            time.sleep(0.05)
            raise ConnectionError("away")
        return "here"

    asked = Recent(read, 60.0)
    with ThreadPoolExecutor(8) as pool:
        failures = [task.exception() for task in [pool.submit(asked) for _ in range(8)]]
    assert [type(failure) for failure in failures] == [ConnectionError] * 8
    assert len(reads) == 1
    answers.set()
    asked.forget()
    assert [asked(), asked()] == ["here", "here"]
    assert len(reads) == 2
