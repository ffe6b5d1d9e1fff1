"""Online models: River learns, a linear form of it scores whole batches."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from msgspec import Struct, json
from river import linear_model, optim, preprocessing

from features.catalog import Catalog
from features.kernel.arrays import Ints
from features.kernel.linear import logits
from features.offers import seen_by

Matrix = npt.NDArray[np.float64]
NOISE = 1e-12  # a smaller variance is a rounding error, which may even be negative


class LinearModel(Struct, frozen=True):
    """A published linear form, by default σ(bias + Σ weight · squash(x)); a missing value adds nothing."""

    name: str
    version: int
    layout: str  # hash of the feature names it was learned on
    labels: int
    features: list[str]
    mean: list[float]
    scale: list[float]
    weights: list[float]
    bias: float
    link: str = "logit"  # or log1p: then it is exp(...) - 1, and not below 0


encode_model = json.Encoder().encode
decode_model = json.Decoder(LinearModel).decode


def squash(values: Matrix) -> Matrix:
    """Counts and cents have heavy tails: sign-preserving log1p."""
    squashed: Matrix = np.sign(values) * np.log1p(np.abs(values))
    return squashed


def terms(model: LinearModel, values: Matrix) -> Matrix:
    """float64[n, features]: what each feature adds to the logit; with the bias they sum to it."""
    scaled = (squash(values) - np.array(model.mean)) / np.array(model.scale)
    added: Matrix = np.nan_to_num(scaled * np.array(model.weights), nan=0.0)
    return added


def top_terms(model: LinearModel, values: Matrix, count: int) -> list[dict[str, float]]:
    """By row: the features that moved the score most, by what each added to the logit."""
    return largest(model, terms(model, values), count)


def largest(model: LinearModel, added: Matrix, count: int) -> list[dict[str, float]]:
    """By row of `terms`: the most of them, by feature."""
    most = np.argsort(-np.abs(added), axis=1)[:, :count]
    return [
        {model.features[i]: round(value, 4) for i, value in zip(places, values, strict=True)}
        for places, values in zip(most.tolist(), np.take_along_axis(added, most, axis=1).tolist(), strict=True)
    ]


def score(model: LinearModel, values: Matrix) -> Matrix:
    """float64[n] of float64[n, features]: probabilities, or numbers in their own unit."""
    return _response(model, model.bias + terms(model, values).sum(axis=1))


def score_rows(model: LinearModel, features: Matrix, rows: Ints, columns: list[int]) -> Matrix:
    """`score` of some rows of a wider matrix, without a copy of them."""
    numbers = (np.array(values, dtype=np.float64) for values in (model.mean, model.scale, model.weights))
    return _response(model, model.bias + logits(features, rows, np.array(columns, dtype=np.int64), *numbers))


def _response(model: LinearModel, linear: Matrix) -> Matrix:
    inside = np.clip(linear, -30, 30)
    found = 1.0 / (1.0 + np.exp(-inside)) if model.link == "logit" else np.expm1(np.maximum(inside, 0.0))
    return np.asarray(found, dtype=np.float64)


class Learned(Struct):
    """All that a learner knows, as plain numbers, so that it can be stored and taken up again."""

    labels: int = 0
    version: int = 0
    counts: dict[str, int] = {}
    means: dict[str, float] = {}
    variances: dict[str, float] = {}
    weights: dict[str, float] = {}
    bias: float = 0.0


encode_learned = json.Encoder().encode
decode_learned = json.Decoder(Learned).decode


class Learner:
    """River's standard scaler and a linear model, in mini-batches: of the logit, or of log(1 + label)."""

    def __init__(self, name: str, features: list[str], layout: str, learned: Learned, link: str = "logit") -> None:
        self.name = name
        self.features = features
        self.layout = layout
        self.learned = learned
        self.link = link
        self.scaler = preprocessing.StandardScaler()
        self.scaler.counts.update(learned.counts)
        self.scaler.means.update(learned.means)
        self.scaler.vars.update(learned.variances)
        zeros = optim.initializers.Zeros()
        self.regression: Any = (
            linear_model.LogisticRegression(optim.SGD(0.05), initializer=zeros)
            if link == "logit"
            else linear_model.LinearRegression(optim.SGD(0.02), intercept_lr=0.1, initializer=zeros)
        )
        self.regression._weights.update(learned.weights)
        self.regression.intercept = learned.bias

    def learn(self, values: Matrix, labels: Matrix | npt.NDArray[np.bool_]) -> None:
        """Learns from float64[n, features] and labels[n], 0 or 1 of a logit; a missing value is the mean so far."""
        squashed = squash(values)
        usual = np.array([float(self.scaler.means.get(name, 0.0)) for name in self.features])
        frame = pd.DataFrame(np.where(np.isnan(squashed), usual, squashed), columns=self.features)
        self.scaler.learn_many(frame)
        self.scaler.vars.update({k: v if v > NOISE else 0.0 for k, v in self.scaler.vars.items()})
        seen = labels.astype(np.bool_) if self.link == "logit" else squash(labels.astype(np.float64))
        self.regression.learn_many(self.scaler.transform_many(frame), pd.Series(seen))
        self.learned = Learned(
            labels=self.learned.labels + len(labels),
            version=self.learned.version,
            counts={k: int(v) for k, v in self.scaler.counts.items()},
            means={k: float(v) for k, v in self.scaler.means.items()},
            variances={k: float(v) for k, v in self.scaler.vars.items()},
            weights={k: float(v) for k, v in self.regression.weights.items()},
            bias=float(self.regression.intercept),
        )

    def publish(self) -> LinearModel:
        """The next version."""
        self.learned.version += 1
        known = self.learned
        return LinearModel(
            self.name,
            known.version,
            self.layout,
            known.labels,
            self.features,
            [known.means.get(f, 0.0) for f in self.features],
            [known.variances.get(f, 0.0) ** 0.5 or 1.0 for f in self.features],
            [known.weights.get(f, 0.0) for f in self.features],
            known.bias,
            self.link,
        )


def input_layouts(catalog: Catalog) -> dict[str, str]:
    """A hash of what each model foretells from which inputs: one that was learned on others is refused."""
    told = {m: [task.target, task.horizon, *seen_by(task.target, task.features)] for m, task in catalog.tasks.items()}
    return {name: blake2b("|".join(words).encode(), digest_size=6).hexdigest() for name, words in told.items()}
