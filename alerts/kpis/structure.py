"""How much more than its profile a series runs at now: level, trend, rain, holidays and campaigns, by the hour.

A structural time series (Harvey 1989, damped local linear trend with regression) on the logarithm, kept by a Kalman
filter for all series at once. What a covariate does is learned; until it is, it widens what is expected. An hour far
out is pulled in to `FURTHEST` standard deviations, so that a fault moves little and a lasting change moves all in time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from alerts.kpis.series import KPIS

Floats = NDArray[np.float64]

LEVEL, TREND, RAIN, HOLIDAY, CAMPAIGN = range(5)
PARTS = 5
START = np.array([0.05, 0.01, 0.25, 0.09, 0.09])  # variances of what is not known yet; the trend is by day
DRIFT = np.array([1e-4, 1e-6, 0.0, 0.0, 0.0])  # by hour: the level strays some 5 % in a day of itself
SCALES = {"count": 1.0, "share": 0.3, "amount": 0.04}  # of both: shares and amounts move less
SCALE = np.array([0.04 if kpi.name == "alive" else SCALES[kpi.kind] for kpi in KPIS])[:, None]
DAMPED = 0.5 ** (1 / (24 * 7))  # by hour: half a trend is left after a week
FURTHEST = 3.0
LARGEST = 3.0  # of a logarithm: twenty times its profile


def begin(dims: int) -> tuple[Floats, Floats]:
    """Mean [series, dims, parts] and covariance [series, dims, parts, parts]."""
    cov = np.repeat(np.diag(START)[None, None] * SCALE[..., None, None], dims, axis=1)
    return np.zeros((len(KPIS), dims, PARTS)), cov


def covariates(wet: Floats, holiday: float, campaigns: float) -> Floats:
    """What each dimension's logarithm is made of at a moment: [dims, parts]; `wet` and `campaigns` are shares."""
    z = np.zeros((len(wet), PARTS))
    z[:, LEVEL], z[:, RAIN], z[:, HOLIDAY], z[:, CAMPAIGN] = 1.0, wet, holiday, campaigns
    return z


def multiplier(mean: Floats, cov: Floats, z: Floats) -> tuple[Floats, Floats]:
    """Logarithm of the multiplier and its variance, [series, dims]."""
    return (
        np.clip(np.einsum("kdp,dp->kd", mean, z), -LARGEST, LARGEST),
        np.einsum("kdpq,dp,dq->kd", cov, z, z, optimize=False),
    )


def step(mean: Floats, cov: Floats) -> None:
    """An hour passes."""
    mean[..., LEVEL] += mean[..., TREND] / 24
    mean[..., TREND] *= DAMPED
    cov[..., LEVEL, :] += cov[..., TREND, :] / 24
    cov[..., :, LEVEL] += cov[..., :, TREND] / 24
    cov[..., TREND, :] *= DAMPED
    cov[..., :, TREND] *= DAMPED
    places = np.arange(PARTS)
    cov[..., places, places] = np.minimum(
        cov[..., places, places] + DRIFT * SCALE[..., None], 4 * START * SCALE[..., None]
    )


def learn(mean: Floats, cov: Floats, z: Floats, strayed: Floats, noise: Floats, known: NDArray[np.bool_]) -> None:
    """Takes an hour that strayed so far (relative to the mean), of variance `noise`, where it is `known`."""
    seen = np.einsum("kdpq,dq->kdp", cov, z)
    variance = np.einsum("kdp,dp->kd", seen, z) + noise
    far = FURTHEST * np.sqrt(variance)
    gain = np.where(known, 1 / variance, 0.0)[..., None] * seen
    mean += gain * np.clip(strayed, -far, far)[..., None]
    cov -= gain[..., :, None] * seen[..., None, :]
