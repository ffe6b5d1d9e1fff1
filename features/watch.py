"""What is watched of a model: scores against labels over a window, against baselines; drift; and what is told of it.

Nothing here depends on how batches were cut: labels are taken in steps of the same size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec import Struct, field, msgpack

from features.drift import Series, has_risen, take_rows
from features.job import Message
from features.messages import cloudevent
from features.models import Matrix
from features.quality import BASELINES, Baselines, Floats, figures, losses
from features.times import rfc3339

SCORERS = ("champion", "challenger", *BASELINES)  # columns of the window, behind the label
WORSE, LOSS = "worse", "loss"  # what an incident is about; or `value of X`, `missing X` for an input X


class Incident(Struct, array_like=True):
    """Something is wrong with a model since `started_ms`; it is over when nothing has shown it for a window of
    labels."""

    started_ms: int
    started_labels: int
    shown_labels: int


class Watch(Struct, array_like=True):
    """Of one model; kept as `watch|<model>`. New fields are added at the end, with a default."""

    labels: int = 0  # that were taken
    at_ms: int = 0  # when the latest of them could be known
    window: bytes = b""  # float32[n, 5]: label and scores of the latest labels
    baselines: Baselines = field(default_factory=Baselines)
    inputs: Series = field(default_factory=Series)
    incidents: dict[str, Incident] = {}
    version: int = 0  # the latest that was published
    published_labels: int = 0  # when it was
    compared: int = 0  # labels that champion and challenger have both scored
    loss: float = 0.0  # summed over them: the challenger's
    champion_loss: float = 0.0
    waiting: bytes = b""  # rows whose step is not yet full
    layout: str = ""  # of the inputs that are watched

    @property
    def seen(self) -> Floats:
        """float64[n, 5]"""
        return np.frombuffer(self.window, dtype="<f4").reshape(-1, 1 + len(SCORERS)).astype(np.float64)

    def figures(self, link: str) -> dict[str, dict[str, float | None]]:
        """By scorer: its figures over the window."""
        seen = self.seen
        return {name: figures(seen[:, 1 + i], seen[:, 0], link) for i, name in enumerate(SCORERS)}

    def mean_losses(self, link: str) -> dict[str, float]:
        """By scorer, over the rows of the window that it has scored; NaN where it has scored none."""
        seen = self.seen
        found = (losses(column, seen[:, 0], link) for column in seen[:, 1:].T)
        return {name: _mean(some[~np.isnan(some)]) for name, some in zip(SCORERS, found, strict=True)}

    def levels(self, name: str, link: str, most: int) -> dict[str, float]:
        """For gauges: figures by scorer once the window is full, and what is wrong."""
        found = self.figures(link) if self.is_full(most) else {}
        told = {f"quality:{name}:{of}:{figure}": value for of, some in found.items() for figure, value in some.items()}
        of_inputs = len(self.incidents.keys() - {WORSE, LOSS})
        wrong = {WORSE: WORSE in self.incidents, LOSS: LOSS in self.incidents, "inputs": of_inputs}
        told |= {f"wrong:{name}:{what}": float(number) for what, number in wrong.items()}
        return {level: value for level, value in told.items() if value is not None}

    def take(self, labels: Floats, scores: Floats, most: int) -> None:
        """Adds labels with the scores of champion, challenger and baselines, NaN where there is none."""
        new = np.column_stack([labels, scores]).astype("<f4").tobytes()
        self.window = (self.window + new)[-4 * (1 + len(SCORERS)) * most :]
        self.labels += len(labels)

    def is_full(self, most: int) -> bool:
        """Whether the window holds so many labels that the champion has scored."""
        return int((~np.isnan(self.seen[:, 1])).sum()) >= most


encode_watch = msgpack.Encoder().encode
decode_watch = msgpack.Decoder(Watch).decode


class Alerts(Struct, frozen=True):
    """Turns what a watch shows into incidents, and their turns into alerts."""

    topic: str
    window: int

    def take(self, name: str, watch: Watch, inputs: list[str], rows: Matrix, link: str) -> list[Message]:
        """After a step of rows; what is to be told."""
        shown: dict[str, dict[str, Any]] = {
            f"value of {inputs[i]}" if what == "value" else f"missing {inputs[i]}": {}
            for i, what in take_rows(watch.inputs, rows)
        }
        seen = watch.seen
        if watch.is_full(self.window):
            shown |= _worse(watch, link)
        if has_risen(seen[:, 1], seen[:, 0], link):
            shown[LOSS] = {}
        told = [self._told(name, watch, what, "firing", found) for what, found in self._begun(watch, shown).items()]
        return told + [self._told(name, watch, what, "resolved", {}) for what in self._over(watch)]

    def _begun(self, watch: Watch, shown: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        begun = {what: found for what, found in shown.items() if what not in watch.incidents}
        for what in begun:
            watch.incidents[what] = Incident(watch.at_ms, watch.labels, watch.labels)
        for what in shown:
            watch.incidents[what].shown_labels = watch.labels
        return begun

    def _over(self, watch: Watch) -> list[str]:
        return [what for what, one in watch.incidents.items() if watch.labels - one.shown_labels >= self.window]

    def _told(self, name: str, watch: Watch, what: str, state: str, found: dict[str, Any]) -> Message:
        incident = watch.incidents[what] if state == "firing" else watch.incidents.pop(what)
        mark = f"{name}|{what}|{incident.started_labels}"
        data = {
            "state": state,
            "model": name,
            "what": what,
            "observed": found.get("observed"),
            "expected": found.get("expected"),
            "labels": watch.labels,
            "started_ms": incident.started_ms,
            "incident": mark,
            "why": _why(name, what, state, found, self.window, watch.at_ms),
        }
        return cloudevent(self.topic, name, f"{mark}|{state}", "alert.model", "learning", watch.at_ms, name, data)


def _worse(watch: Watch, link: str) -> dict[str, dict[str, Any]]:
    """Whether some baseline did better than the champion over the window."""
    found = watch.mean_losses(link)
    best = min(BASELINES, key=lambda name: found[name])
    mine, other = found["champion"], found[best]
    if mine <= other:
        return {}
    return {WORSE: {"observed": round(mine, 6), "expected": round(other, 6), "than": best.replace("_", " ")}}


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _why(name: str, what: str, state: str, found: dict[str, Any], window: int, at_ms: int) -> str:
    if state == "resolved":
        return f"{name}: nothing of it ({what}) has shown for {window} labels, until {rfc3339(at_ms)}"
    if what == WORSE:
        return (
            f"{name} was worse than the {found['than']} over the latest {window} labels:"
            f" loss {found['observed']:.4f} against {found['expected']:.4f}"
        )
    if what == LOSS:
        return f"{name} errs more than it did earlier within the latest {window} labels"
    return f"{name}: {what} is no longer what it was when it was last usual"
