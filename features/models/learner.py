"""An additive model learned online: Bayesian regression over curves, an average of several priors, then calibrated.

The latest rows are kept and learned from anew with every batch, so that few labels are as good as in a batch fit; what
leaves them stays as information (recursive IRLS). There is no learning rate. Members differ by how far they believe
that curves matter and how soon they forget, and count by what they foretold. Every batch is foretold before it is
learned from, and that calibrates (Platt, 1999).
"""

from __future__ import annotations

from functools import cached_property
from itertools import product

import numpy as np
import numpy.typing as npt

from features.models.curves import Shape, carried, columns_of, curves_of, draw, looseness, too_narrow
from features.models.learned import Learned, packed, unpacked
from features.models.links import LINKS
from features.models.published import LinearModel, Matrix

LAG = 512  # rows that are kept
PIECE = 500  # labels that are learned from at once
FIRST, OF_EACH = 100, 5  # labels before curves are drawn, and how many of them must be of either kind
WAITING = 8 * LAG  # rows that are kept while too few are of either kind
REDRAWN = 1.5  # curves are drawn anew when there are so many times the labels
MEMBERS = [  # prior variances of straight parts and of bends
    (straight, straight * bend) for straight, bend in product((0.0005, 0.003, 0.02), (0.0025, 0.25))
]
HALF_LIVES = np.array([2_000.0, 100_000.0])  # of what older rows said, in labels; each has all members
RECENT = 3_000.0  # of what members foretold, and of the calibration
TRUST = np.array([30.0, 100.0])  # labels' worth of belief that nothing is to be calibrated
STEPS, CLOSE = 3, 1e-3
REACH = 2.0  # of a step: how far it may move what is foretold of a row, an amount's logarithm
HUGE = 1e30


class Learner:
    """`learned` is all it knows; learned from other features, or to foretell something else, it begins anew."""

    def __init__(self, name: str, features: list[str], layout: str, learned: Learned, link: str = "logit") -> None:
        self.name, self.features, self.layout, self.link = name, features, layout, LINKS[link]
        if (learned.features, learned.link, learned.layout) != (features, link, layout):
            learned = Learned(0, learned.version, features, link, redraw_at=float(FIRST), layout=layout)
        self.learned = learned
        self.shapes = list(learned.shapes)
        self.rows = unpacked(learned.rows, len(features), "<f4")
        self.targets = unpacked(learned.targets, 1)[:, 0]
        width = 1 + sum(shape.width for shape in self.shapes)
        self.information = unpacked(learned.information, width).reshape(-1, width, width)
        self.pull = unpacked(learned.pull, width)
        self.weights = unpacked(learned.members, width)
        self.losses = np.array(learned.losses)
        if self.shapes and len(self.information) == 1:  # kept when there was one half-life
            every = (self.information, self.pull, self.weights, self.losses)
            self.information, self.pull, self.weights, self.losses = (np.concatenate([one, one]) for one in every)

    @cached_property
    def columns(self) -> Matrix:
        """Of the rows that are kept; a learner that is only taken up for labels to wait in never asks."""
        return columns_of(self.shapes, self.rows)

    @property
    def is_finite(self) -> bool:
        parts = (self.weights, self.losses, self.information, self.pull)
        numbers = [self.learned.spread, *self.learned.calibration, *self.learned.calibration_information]
        return all(np.isfinite(part).all() for part in (*parts, numbers, self.learned.calibration_pull))

    def winsorised(self, labels: Matrix) -> Matrix:
        """Labels as they are learned from: no amount outweighs all others."""
        return self.link.winsorised(labels, self.targets)

    def learn(self, values: Matrix, labels: Matrix | npt.NDArray[np.bool_]) -> None:
        """Learns from float64[n, features], NaN where a value is missing, and labels[n]: 0 or 1, or amounts."""
        for start in range(0, len(labels), PIECE):
            rows = np.clip(values[start : start + PIECE], -HUGE, HUGE).astype(np.float32).astype(np.float64)
            some = labels[start : start + PIECE].astype(np.float64)
            self._learn(rows, self.link.target(self.winsorised(some)))
        self._keep()

    def publish(self) -> LinearModel:
        """The next version."""
        self.learned.version += 1
        known, (shift, factor) = self.learned, self.learned.calibration
        if self.shapes:
            weights = factor * self._average()
            bias, curves = float(shift + weights[0]), curves_of(self.shapes, weights)
        else:
            bias, curves = self.link.start(self.targets), curves_of([Shape()] * len(self.features), np.zeros(1))
        linked = known.link or "logit"
        return LinearModel(self.name, known.version, self.layout, known.labels, self.features, curves, bias, linked)

    def _learn(self, rows: Matrix, targets: Matrix) -> None:
        self.learned.labels += len(targets)
        if self.shapes:
            columns = columns_of(self.shapes, rows)
            self._judge(columns, targets)
            self.columns = np.concatenate([self.columns, columns])
        self.rows = np.concatenate([self.rows, rows])
        self.targets = np.concatenate([self.targets, targets])
        self._let_go(len(self.targets) - (LAG if self.shapes else WAITING))
        if not self.shapes:
            self._begin()
        else:
            due = self.learned.labels >= self.learned.redraw_at
            stale = [due or too_narrow(shape, seen) for shape, seen in zip(self.shapes, rows.T, strict=True)]
            if any(stale):
                self._redraw(stale)
            self._fit(4 * STEPS if any(stale) else STEPS)

    def _average(self) -> Matrix:
        """The members' weights, each member by what it foretold."""
        counts = np.exp(self.losses.min() - self.losses)
        average: Matrix = counts @ self.weights / counts.sum()
        return average

    def _judge(self, columns: Matrix, targets: Matrix) -> None:
        """What was foretold of these rows: which members count, and how to calibrate."""
        fading = 0.5 ** (len(targets) / RECENT)
        spread = self._measure(columns, targets, 1 - fading)
        foretold = np.array([self.link.loss(columns @ weights, targets).sum() for weights in self.weights])
        self.losses = self.losses * fading + foretold / spread
        known, linear = self.learned, columns @ self._average()
        pair = np.column_stack([np.ones(len(linear)), linear])
        before = fading * np.array(known.calibration_information).reshape(2, 2)
        pulled = fading * np.array(known.calibration_pull)
        found = np.array(known.calibration)
        for _ in range(STEPS):
            information, pull = self._said(pair, targets, found)
            information, pull = before + information / spread, pulled + pull / spread
            former, found = found, np.linalg.solve(information + np.diag(TRUST), pull + TRUST * np.array([0.0, 1.0]))
            if (share := self._within_reach(pair, found - former)) < 1:
                found = former + share * (found - former)
        known.calibration = found.tolist()
        known.calibration_information, known.calibration_pull = information.ravel().tolist(), pull.tolist()

    def _said(self, columns: Matrix, targets: Matrix, weights: Matrix) -> tuple[Matrix, Matrix]:
        """The information of these rows and their pull, as seen from these weights."""
        linear = columns @ weights
        count, rest = self.link.work(linear, targets)
        return (columns * count[:, None]).T @ columns, columns.T @ (count * linear + rest)

    def _measure(self, columns: Matrix, targets: Matrix, share: float) -> float:
        """The spread: slow to follow, or batches in which much comes would count for less than those with little."""
        known = self.learned
        if self.link.scaled:
            count, rest = self.link.work(columns @ self._average(), targets)
            known.spread = max(known.spread + share * (float((rest**2 / count).mean()) - known.spread), 1e-9)
        return known.spread

    def _within_reach(self, columns: Matrix, step: Matrix) -> float:
        """How much of a step to take: from far below what came, Newton's of an amount leaps beyond all bounds."""
        farthest = float(np.abs(columns @ step).max(initial=0.0)) if self.link.scaled else 0.0
        return min(1.0, REACH / max(farthest, REACH))

    def _let_go(self, over: int) -> None:
        """The oldest rows stay as information only."""
        if over <= 0:
            return
        if self.shapes:
            fading = 0.5 ** (over / HALF_LIVES)
            information, pull = self._said(self.columns[:over], self.targets[:over], self._average())
            self.information = fading[:, None, None] * self.information + information
            self.pull = fading[:, None] * self.pull + pull
            self.columns = self.columns[over:]
        self.rows, self.targets = self.rows[over:], self.targets[over:]

    def _begin(self) -> None:
        """Draws curves once there are labels enough."""
        rarest = min(len(self.targets) - np.unique(self.targets, return_counts=True)[1].max(), len(self.targets))
        if len(self.targets) < FIRST or rarest < OF_EACH:
            return
        self.shapes = [draw(values, Shape()) for values in self.rows.T]
        self.columns = columns_of(self.shapes, self.rows)
        width = self.columns.shape[1]
        self.information, self.pull = (np.zeros((len(HALF_LIVES), *shape)) for shape in ((width, width), (width,)))
        members = len(HALF_LIVES) * len(MEMBERS)
        self.weights, self.losses = np.zeros((members, width)), np.zeros(members)
        self.weights[:, 0] = self.link.start(self.targets)
        self._measure(self.columns, self.targets, 1.0)
        self._fit(4 * STEPS)
        self.learned.redraw_at *= REDRAWN

    def _redraw(self, stale: list[bool]) -> None:
        """Stale curves as the latest rows want them; what is known is said in the new ones."""
        each = zip(self.rows.T, self.shapes, stale, strict=True)
        new = [draw(values, shape) if old else shape for values, shape, old in each]
        carry = carried(self.shapes, new)
        self.information, self.pull = carry.T @ self.information @ carry, self.pull @ carry
        self.weights = self.weights @ carried(new, self.shapes).T
        self.shapes, self.columns = new, columns_of(new, self.rows)
        while self.learned.redraw_at <= self.learned.labels:
            self.learned.redraw_at *= REDRAWN

    def _fit(self, steps: int) -> None:
        """Every member anew from the rows that are kept and what older ones said."""
        loose = [looseness(self.shapes, straight, bend) for straight, bend in MEMBERS]
        average = self._average()
        for _ in range(steps):
            information, pull = self._said(self.columns, self.targets, average)
            ridges = [np.diag(self.learned.spread / variance) for variance in loose]
            known = [*zip(self.information + information, self.pull + pull, strict=True)]
            former = self.weights
            self.weights = np.array([np.linalg.solve(told + ridge, drawn) for told, drawn in known for ridge in ridges])
            before, average = average, self._average()
            if (share := self._within_reach(self.columns, average - before)) < 1:
                self.weights = former + share * (self.weights - former)
                average = self._average()
            if np.abs(average - before).max() < CLOSE:
                break

    def _keep(self) -> None:
        known = self.learned
        known.rows, known.targets = packed(self.rows.astype("<f4")), packed(self.targets.astype("<f8"))
        known.shapes, known.losses = self.shapes, self.losses.tolist()
        known.information, known.pull = packed(self.information), packed(self.pull)
        known.members = packed(self.weights)
