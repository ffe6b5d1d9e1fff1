"""A model as scorers know it: curves of features that add up, which a compiled function reads for whole batches."""

from __future__ import annotations

from functools import cached_property
from hashlib import blake2b
from itertools import accumulate

import numpy as np
import numpy.typing as npt
from msgspec import Struct, json

from features.catalog import Catalog
from features.kernel.arrays import Ints
from features.kernel.linear import logits
from features.models.links import LINKS
from features.offers import seen_by

Matrix = npt.NDArray[np.float64]


class Curve(Struct, frozen=True, array_like=True):
    """What a value of a feature adds: straight between knots, which rise, and level outside; `missing`: without one."""

    knots: list[float] = []
    heights: list[float] = []
    missing: float = 0.0


class LinearModel(Struct, frozen=True, dict=True):
    """A published model: link(bias + Σ curve(x)), linear in what its curves are made of."""

    name: str
    version: int
    layout: str  # hash of the feature names it was learned on
    labels: int
    features: list[str]
    curves: list[Curve]  # by feature
    bias: float
    link: str = "logit"

    @cached_property
    def packed(self) -> tuple[Ints, Matrix, Matrix, Matrix, Matrix]:
        """By feature where its knots end; all knots, heights, rises to the next; by feature what a gap adds."""
        ends = np.array(list(accumulate(len(curve.knots) for curve in self.curves)), dtype=np.int64)
        knots = np.array([knot for curve in self.curves for knot in curve.knots], dtype=np.float64)
        heights = np.array([height for curve in self.curves for height in curve.heights], dtype=np.float64)
        runs = np.diff(knots, append=np.inf)
        rises = np.diff(heights, append=0.0) / np.where(runs > 0, runs, np.inf)
        return ends, knots, heights, rises, np.array([curve.missing for curve in self.curves], dtype=np.float64)


encode_model = json.Encoder().encode
decode_model = json.Decoder(LinearModel).decode


def terms(model: LinearModel, values: Matrix) -> Matrix:
    """float64[n, features]: what each feature adds; with the bias they sum to the logit, or the link's like."""
    added = np.empty(values.shape)
    for i, curve in enumerate(model.curves):
        heights = np.interp(values[:, i], curve.knots, curve.heights) if curve.knots else np.zeros(len(values))
        added[:, i] = np.where(np.isnan(values[:, i]), curve.missing, heights)
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
    return LINKS[model.link].response(model.bias + terms(model, values).sum(axis=1))


def score_rows(model: LinearModel, features: Matrix, rows: Ints, columns: list[int]) -> Matrix:
    """`score` of some rows of a wider matrix, without a copy of them."""
    added = logits(features, rows, np.array(columns, dtype=np.int64), *model.packed)
    return LINKS[model.link].response(model.bias + added)


def input_layouts(catalog: Catalog) -> dict[str, str]:
    """A hash of what each model foretells from which inputs: one that was learned on others is refused."""
    told = {m: [task.target, task.horizon, *seen_by(task.target, task.features)] for m, task in catalog.tasks.items()}
    return {name: blake2b("|".join(words).encode(), digest_size=6).hexdigest() for name, words in told.items()}
