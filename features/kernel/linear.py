"""What the curves of a model add up to over feature rows."""

from __future__ import annotations

import numpy as np

from features.kernel.arrays import Floats, Ints
from features.kernel.compiled import making_arrays


@making_arrays
def logits(
    features: Floats,
    rows: Ints,
    columns: Ints,
    ends: Ints,
    knots: Floats,
    heights: Floats,
    rises: Floats,
    missing: Floats,
) -> Floats:
    """float64[rows]: what the columns of these rows add to a model; see features.models.published.terms."""
    out = np.zeros(len(rows), np.float64)
    for i in range(len(rows)):
        total, start = 0.0, 0
        for k in range(len(columns)):
            x, end = features[rows[i], columns[k]], ends[k]
            if x != x:
                total += missing[k]
            elif start < end:
                x = min(max(x, knots[start]), knots[end - 1])
                p = start
                for q in range(start + 1, end):
                    p += knots[q] <= x  # no branch to be guessed wrong
                total += heights[p] + rises[p] * (x - knots[p])
            start = end
        out[i] = total
    return out
