"""The logits of a linear model over feature rows."""

from __future__ import annotations

import numpy as np

from features.kernel.arrays import Floats, Ints
from features.kernel.compiled import making_arrays


@making_arrays
def logits(features: Floats, rows: Ints, columns: Ints, mean: Floats, scale: Floats, weights: Floats) -> Floats:
    """float64[rows]: what the columns of these rows add to the logit of a linear model; see features.models.terms."""
    out = np.zeros(len(rows), np.float64)
    for i in range(len(rows)):
        for k in range(len(columns)):
            x = features[rows[i], columns[k]]
            if x == x:
                out[i] += (np.copysign(np.log1p(abs(x)), x) - mean[k]) / scale[k] * weights[k]
    return out
