"""A model that is worse than a baseline, errs more or sees other inputs is told once, and once that it is over."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest

from features.job import Message
from features.watch import SCORERS, Alerts, Watch, decode_watch, encode_watch

WINDOW, STEP = 200, 50
ALERTS = Alerts("alerts", WINDOW)


class Stage:
    """Steps of labels, each scored; the record is put down and taken up again in between."""

    def __init__(self, link: str = "logit") -> None:
        self.watch, self.link = Watch(), link
        self.rng = np.random.default_rng(8)
        self.told: list[dict[str, Any]] = []
        self.sent: list[Message] = []

    def play(
        self,
        steps: int,
        champion: float,
        base: float = 0.3,
        days: float = 0.0,
        visits: float = 0.0,
        recency: float | None = None,
    ) -> list[tuple[str, str]]:
        """Labels are yes in 3 of 10; who scores them all 0.3 is best."""
        before = len(self.told)
        for _ in range(steps):
            labels = np.array(([1.0] * 3 + [0.0] * 7) * (STEP // 10))
            self.watch = decode_watch(encode_watch(self.watch))
            self.watch.at_ms += 1_000
            self.watch.take(labels, np.tile([champion, np.nan, base, recency or base], (STEP, 1)), WINDOW)
            rows = np.abs(self.rng.normal([20 + days, 9 + visits], [5, 2], (STEP, 2)))
            self.sent += ALERTS.take("m", self.watch, ["days", "visits"], rows, self.link)
            self.told = [orjson.loads(message.value)["data"] for message in self.sent]
        return [(one["what"], one["state"]) for one in self.told[before:]]


@pytest.mark.parametrize("link", ["logit", "log1p"])
def test_worse_than_a_baseline_over_a_whole_window_is_told_once_and_once_that_it_is_over(link: str) -> None:
    stage = Stage(link)
    bad, good, base = 0.9, 0.3, 0.3
    assert stage.play(3, bad, base) == [], "the window is not full"
    assert stage.play(5, bad, base) == [("worse", "firing")]
    fired = stage.told[0]
    assert fired["observed"] > fired["expected"]
    assert "worse than the base rate over the latest 200 labels" in fired["why"]
    assert stage.play(20, good, base) == [("worse", "resolved")]
    assert stage.told[1]["incident"] == fired["incident"]
    assert stage.told[1]["started_ms"] == fired["started_ms"]
    assert stage.play(20, good, base) == []


def test_the_better_of_the_baselines_counts() -> None:
    stage = Stage()
    assert stage.play(6, 0.4, base=0.6, recency=0.5) == []
    assert stage.play(6, 0.4, base=0.6, recency=0.3) == [("worse", "firing")]
    assert "worse than the recency" in stage.told[0]["why"]


def test_a_second_incident_has_another_id() -> None:
    stage = Stage()
    for champion in (0.9, 0.3, 0.9):
        stage.play(12, champion)
    assert [one["state"] for one in stage.told if one["what"] == "worse"] == ["firing", "resolved", "firing"]
    ids = {message.value: orjson.loads(message.value)["id"] for message in stage.sent}
    assert len(set(ids.values())) == len(stage.sent)


def test_an_input_that_drifts_is_named() -> None:
    stage = Stage()
    assert stage.play(60, 0.3) == []
    assert stage.play(10, 0.3, days=40) == [("inputs", "firing"), ("inputs", "resolved")]
    assert "other inputs than were usual: value of days" in stage.told[0]["why"]
    assert stage.play(40, 0.3, days=40) == []


def test_further_inputs_that_drift_meanwhile_join_the_incident() -> None:
    stage = Stage()
    stage.play(60, 0.3)
    assert stage.play(4, 0.3, days=400) == [("inputs", "firing")]
    assert stage.play(4, 0.3, days=400, visits=400) == []
    assert stage.watch.incidents["inputs"].inputs == ["value of days", "value of visits"]
    assert stage.watch.levels("m", "logit", WINDOW)["wrong:m:inputs"] == 2.0
    assert stage.play(4, 0.3, days=400, visits=400) == [("inputs", "resolved")]


def test_figures_for_gauges_stand_once_the_window_is_full_and_what_is_wrong_always() -> None:
    stage = Stage()
    stage.play(2, 0.9)
    wrong = {"wrong:m:worse": 0.0, "wrong:m:loss": 0.0, "wrong:m:inputs": 0.0}
    assert stage.watch.levels("m", "logit", WINDOW) == wrong
    stage.play(3, 0.9)
    found = stage.watch.levels("m", "logit", WINDOW)
    assert {name: found[name] for name in wrong} == {**wrong, "wrong:m:worse": 1.0}
    assert {name.split(":")[2] for name in found if name.startswith("quality")} == {*SCORERS}
    assert np.isnan(found["quality:m:challenger:log_loss"]), "or the board would go on showing one that is gone"
    assert found["quality:m:champion:log_loss"] > found["quality:m:base_rate:log_loss"]


def test_the_window_holds_the_latest_labels() -> None:
    stage = Stage()
    stage.play(3, 0.2)
    stage.play(3, 0.4)
    assert stage.watch.seen[:, 1].tolist() == pytest.approx([0.2] * 50 + [0.4] * 150)
    assert stage.watch.labels == 300
