"""What curves are made of: for each feature a straight part, and bends, all level outside of what was seen."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from features.models.published import Curve, Matrix

KNOTS = 9  # at quantiles, beside the ends
ENDS = 0.002  # share of values beyond them, on either side
BENDS = (1 / 3, 2 / 3)  # the quantiles at which a curve may turn
FLATTEST = 0.25  # no part reaches farther than four times its scale: rare values must not be heard loudest
UNSEEN = 0.05
RARE = 0.01  # a share below which missing values, or others, say nothing of their own


class Shape(Struct, frozen=True, array_like=True):
    """The parts of a feature's curve, by their heights at the knots; does a missing value count by itself?"""

    knots: list[float] = []
    parts: list[list[float]] = []
    misses: bool = False

    @property
    def width(self) -> int:
        return len(self.parts) + self.misses


def squash(values: Matrix) -> Matrix:
    """Counts and cents have heavy tails: sign-preserving log1p."""
    squashed: Matrix = np.sign(values) * np.log1p(np.abs(values))
    return squashed


def draw(values: Matrix, former: Shape) -> Shape:
    """A shape for such values, as wide as the former one; that one if they are all the same."""
    missing = np.isnan(values)
    misses = former.misses or RARE < missing.mean() < 1 - RARE
    seen = values[~missing]
    if not len(seen) or (seen.min() == seen.max() and len(former.knots) != 1):
        return Shape(former.knots or seen[:1].tolist(), former.parts, bool(misses))
    quantiles = np.quantile(seen, [ENDS, *np.linspace(0.01, 0.99, KNOTS), 1 - ENDS], method="nearest")
    knots = np.unique([*quantiles, *former.knots[:1], *former.knots[-1:]])
    if len(knots) == 1:
        knots = np.unique([*knots, seen.min(), seen.max()])
    if len(knots) == 1:
        return Shape(knots.tolist(), [], bool(misses))
    heights = squash(knots)
    at = np.interp(seen, knots, heights)
    mean, scale = at.mean(), _scale(at - at.mean())
    parts = [(heights - mean) / scale]
    line = np.column_stack([np.ones(len(at)), (at - mean) / scale])
    for quantile in BENDS if len(knots) > 3 else ():
        turn = np.quantile(at, quantile)
        bent = np.maximum(0.0, at - turn)
        share = np.linalg.lstsq(line, bent, rcond=None)[0]  # what of it is a straight line already
        if heights[0] < turn < heights[-1] and (rest := bent - line @ share).std() > 1e-3 * scale:
            parts.append((np.maximum(0.0, heights - turn) - share[0] - share[1] * parts[0]) / _scale(rest))
    return Shape(knots.tolist(), [part.tolist() for part in parts], bool(misses))


def _scale(centred: Matrix) -> float:
    return float(max(centred.std(), np.abs(centred).max() * FLATTEST, 1e-9))


def too_narrow(shape: Shape, values: Matrix) -> bool:
    """Lie more than a few of these beyond what the shape was drawn for?"""
    seen = values[~np.isnan(values)]
    if not shape.knots or not len(seen):
        return len(seen) > 0
    return float(((seen < shape.knots[0]) | (seen > shape.knots[-1])).mean()) > UNSEEN


def columns_of(shapes: list[Shape], rows: Matrix) -> Matrix:
    """float64[n, parts]: a column of ones, then the parts of each feature; a missing value is as an average one."""
    found = [np.ones(len(rows))]
    for shape, values in zip(shapes, rows.T, strict=True):
        missing = np.isnan(values)
        found += [np.where(missing, 0.0, np.interp(values, shape.knots, part)) for part in shape.parts]
        found += [missing.astype(np.float64)] * shape.misses
    return np.column_stack(found)


def looseness(shapes: list[Shape], straight: float, bend: float) -> Matrix:
    """The prior variance of each column's weight."""
    found = [1e3]
    for shape in shapes:
        found += [straight] * bool(shape.parts) + [bend] * (len(shape.parts) - 1) + [straight / 4] * shape.misses
    return np.array(found)


def carried(old: list[Shape], new: list[Shape]) -> Matrix:
    """[old columns, new columns]: the new columns as the old ones say them, where the old ones were drawn."""
    width = 1 + sum(shape.width for shape in old)
    found, i, k = np.zeros((width, 1 + sum(shape.width for shape in new))), 1, 1
    found[0, 0] = 1.0
    for was, now in zip(old, new, strict=True):
        of_old, of_new = slice(i, i + was.width), slice(k, k + now.width)
        if was is now:
            found[of_old, of_new] = np.eye(was.width)
        else:
            before, after = (columns_of([shape], _points(was)) for shape in (was, now))
            ridge = 1e-9 * np.eye(before.shape[1])
            said = np.linalg.solve(before.T @ before + ridge, before.T @ after[:, 1:])
            found[0, of_new], found[of_old, of_new] = said[0], said[1:]
        i, k = i + was.width, k + now.width
    return found


def _points(shape: Shape) -> Matrix:
    """float64[n, 1]: what a curve was drawn from, in a few values."""
    knots = np.array(shape.knots)
    gaps = [np.nan] * (shape.misses or not shape.knots)
    return np.array([*knots, *((knots[1:] + knots[:-1]) / 2), *gaps])[:, None]


def curves_of(shapes: list[Shape], weights: Matrix) -> list[Curve]:
    """By feature, what the weights of all columns make of its parts."""
    found, i = [], 1
    for shape in shapes:
        parts = np.array(shape.parts).reshape(len(shape.parts), len(shape.knots))
        heights = weights[i : i + len(parts)] @ parts
        i += shape.width
        found.append(Curve(shape.knots, heights.tolist(), float(weights[i - 1]) if shape.misses else 0.0))
    return found
