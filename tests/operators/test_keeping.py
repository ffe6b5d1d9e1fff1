"""Work that ends by an error starts anew, and health is red meanwhile."""

from __future__ import annotations

from threading import Event

import pytest

from operators import keeping
from operators.health import Pulse
from operators.keeping import keep, watch_kafka
from operators.servers import free_port, mock_kafka


def test_work_that_fails_starts_anew_until_it_is_told_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "ANEW_S", 0.01)
    pulse, stop, times = Pulse(60), Event(), []

    def work() -> None:
        times.append(pulse.complaints())
        if len(times) == 3:
            pulse.well("push")
            stop.set()
            return
        raise RuntimeError("for once")

    keep("push", work, pulse, stop)
    assert times == [[], *[["push: RuntimeError: it starts anew"]] * 2]
    assert pulse.complaints() == []


def test_a_kafka_that_does_not_answer_turns_health_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "WATCH_S", 0.2)
    pulse = Pulse(60)

    class Watched(Event):
        """Stops after two looks."""

        def wait(self, timeout: float | None = None) -> bool:
            self.looks = getattr(self, "looks", 0) + 1
            return self.looks > 2

    watch_kafka({"bootstrap.servers": f"127.0.0.1:{free_port()}"}, "coupons", pulse, Watched())
    [complaint] = pulse.complaints()
    assert complaint.startswith("kafka: ")
    monkeypatch.setattr(keeping, "WATCH_S", 5.0)
    with mock_kafka() as kafka:
        watch_kafka({"bootstrap.servers": kafka.brokers}, "coupons", pulse, Watched())
    assert pulse.complaints() == []
