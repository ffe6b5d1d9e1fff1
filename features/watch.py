"""What is watched of a model: scores against labels over a window, against baselines; drift; and what is told of it.

Nothing here depends on how batches were cut: labels are taken in steps of the same size.
"""

from __future__ import annotations

from math import isnan, nan

import numpy as np
from msgspec import Struct, field, msgpack

from features.drift import Series, has_risen, take_rows
from features.job import Message
from features.messages import cloudevent
from features.models import Matrix
from features.quality import BASELINES, Baselines, Floats, figures, losses
from features.times import rfc3339

SCORERS = ("champion", "challenger", *BASELINES)  # columns of the window, behind the label
POINTS = 128  # of quality over time
ENOUGH, SURE = 100, 2.0  # labels, and standard errors, by which a champion that is worse is held back
WORSE, LOSS, INPUTS = "worse", "loss", "inputs"  # what an incident is about


class Incident(Struct, array_like=True):
    """Something is wrong with a model since `started_ms`; it is over when nothing has shown it for a window of labels.

    `inputs`: those that have drifted in it, as `value of X` or `missing X`.
    """

    started_ms: int
    started_labels: int
    shown_labels: int
    inputs: list[str] = []


class Sign(Struct):
    """That something is wrong, as a step of labels has shown it."""

    why: str
    observed: float | None = None
    expected: float | None = None
    inputs: list[str] = []


class Point(Struct, array_like=True):
    """Figures over the window as it was: mean losses by scorer, None where it has scored none; the champion's AUC."""

    labels: int
    at_ms: int
    losses: list[float | None]
    roc_auc: float | None = None


class Watch(Struct, array_like=True):
    """Of one model; kept as `watch|<model>`. New fields are added at the end, with a default."""

    labels: int = 0  # that were taken
    at_ms: int = 0  # when the latest of them could be known
    window: bytes = b""  # float32[n, 5]: label and scores of the latest labels, of who is champion and challenger now
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
    points: list[Point] = []  # quality over its whole life, at most POINTS
    spacing: int = 0  # labels from one point to the next, at least

    def note(self, link: str) -> None:
        """After a step. When there are POINTS, every other one goes, and from then on they come half as often."""
        if self.points and self.labels < self.points[-1].labels + self.spacing:
            return
        losses = self.mean_losses(link)
        found = [None if isnan(losses[name]) else round(losses[name], 6) for name in SCORERS]
        auc = self.figures(link)[SCORERS[0]].get("roc_auc")
        self.points = [*self.points, Point(self.labels, self.at_ms, found, auc)]
        if len(self.points) > POINTS:
            self.points = self.points[::2]
            self.spacing = self.points[-1].labels - self.points[-2].labels

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
        """For gauges: figures by scorer once the window is full, NaN of one that has scored none; and what is wrong."""
        found = self.figures(link) if self.is_full(most) else {}
        names = found.get(SCORERS[0], {})
        told = {f"quality:{name}:{of}:{one}": some.get(one) for of, some in found.items() for one in names}
        drifted = len(self.incidents[INPUTS].inputs) if INPUTS in self.incidents else 0
        wrong = {WORSE: WORSE in self.incidents, LOSS: LOSS in self.incidents, INPUTS: drifted}
        told |= {f"wrong:{name}:{what}": float(number) for what, number in wrong.items()}
        return {level: nan if value is None else value for level, value in told.items()}

    def is_surely_worse(self, link: str, most: int) -> bool:
        """Whether the champion is worse than a baseline over the window, by more than chance."""
        if not self.is_full(most):
            return False
        seen = self.seen[~np.isnan(self.seen[:, 1])]
        mine, *others = (
            losses(seen[:, 1 + SCORERS.index(name)], seen[:, 0], link) for name in ("champion", *BASELINES)
        )
        worse = mine - min(others, key=lambda other: float(other.mean()))
        return len(seen) >= ENOUGH and float(worse.mean()) > SURE * float(worse.std()) / len(seen) ** 0.5

    def take(self, labels: Floats, scores: Floats, most: int) -> None:
        """Adds labels with the scores of champion, challenger and baselines, NaN where there is none."""
        new = np.column_stack([labels, scores]).astype("<f4").tobytes()
        self.window = (self.window + new)[-4 * (1 + len(SCORERS)) * most :]
        self.labels += len(labels)

    def follow(self, before: tuple[int, int], now: tuple[int, int]) -> None:
        """Champion and challenger are other versions now: each has the scores that are its own."""
        seen = self.seen
        scores = {version: seen[:, 1 + i].copy() for i, version in enumerate(before) if version}
        for i, version in enumerate(now):
            seen[:, 1 + i] = scores.get(version, nan)
        self.window = seen.astype("<f4").tobytes()

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
        signs = self._signs(name, watch, inputs, rows, link)
        told = [self._begun(name, watch, what, sign) for what, sign in signs.items() if what not in watch.incidents]
        for what, sign in signs.items():
            incident = watch.incidents[what]
            incident.shown_labels = watch.labels
            incident.inputs = list(dict.fromkeys([*incident.inputs, *sign.inputs]))
        over = [what for what, one in watch.incidents.items() if watch.labels - one.shown_labels >= self.window]
        return told + [self._over(name, watch, what) for what in over]

    def _signs(self, name: str, watch: Watch, inputs: list[str], rows: Matrix, link: str) -> dict[str, Sign]:
        signs, seen, latest = dict[str, Sign](), watch.seen, f"the latest {self.window} labels"
        if drifted := [f"{what} {inputs[i]}" for i, what in take_rows(watch.inputs, rows)]:
            signs[INPUTS] = Sign(f"{name} sees other inputs than were usual: {', '.join(drifted)}", inputs=drifted)
        losses = watch.mean_losses(link)
        best = min(BASELINES, key=lambda baseline: losses[baseline])
        mine, other = round(losses["champion"], 6), round(losses[best], 6)
        if watch.is_full(self.window) and mine > other:
            than = f"than the {best.replace('_', ' ')} over {latest}"
            signs[WORSE] = Sign(f"{name} was worse {than}: loss {mine:.4f} against {other:.4f}", mine, other)
        if has_risen(seen[:, 1], seen[:, 0], link):
            signs[LOSS] = Sign(f"{name} errs more than it did earlier within {latest}")
        return signs

    def _begun(self, name: str, watch: Watch, what: str, sign: Sign) -> Message:
        watch.incidents[what] = Incident(watch.at_ms, watch.labels, watch.labels)
        return self._told(name, watch, what, watch.incidents[what], "firing", sign)

    def _over(self, name: str, watch: Watch, what: str) -> Message:
        sign = Sign(f"{name}: no sign of it ({what}) for {self.window} labels, until {rfc3339(watch.at_ms)}")
        return self._told(name, watch, what, watch.incidents.pop(what), "resolved", sign)

    def _told(self, name: str, watch: Watch, what: str, incident: Incident, state: str, sign: Sign) -> Message:
        mark = f"{name}|{what}|{incident.started_labels}"
        data = {
            "state": state,
            "model": name,
            "what": what,
            "observed": sign.observed,
            "expected": sign.expected,
            "labels": watch.labels,
            "started_ms": incident.started_ms,
            "incident": mark,
            "why": sign.why,
        }
        return cloudevent(self.topic, name, f"{mark}|{state}", "alert.model", "learning", watch.at_ms, name, data)


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")
