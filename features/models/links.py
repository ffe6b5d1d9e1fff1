"""How what curves add up to becomes a probability or an amount, and what a label says about it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from msgspec import Struct

Matrix = npt.NDArray[np.float64]
FAR = 30.0  # nothing added up counts beyond this
LARGE, MOST = 0.95, 10.0  # an amount counts for no more than so many times this quantile of the latest above 0
LEAST = 1e-4  # what even a label that was foreseen says


class Link(Struct, frozen=True):
    """A generalised linear model's link, with the variance that goes with it (McCullagh and Nelder, 1989)."""

    response: Callable[[Matrix], Matrix]
    winsorised: Callable[[Matrix, Matrix], Matrix]  # labels, latest targets → labels, none beyond what is usual
    target: Callable[[Matrix], Matrix]  # of labels, as the other functions want it
    work: Callable[[Matrix, Matrix], tuple[Matrix, Matrix]]  # linear, target → weights, residuals
    loss: Callable[[Matrix, Matrix], Matrix]  # linear, target → negative log likelihood, but for a constant
    start: Callable[[Matrix], float]  # target → the linear form where nothing but the labels is known
    scaled: bool  # its variance has a factor of its own, to be estimated


def _inside(linear: Matrix) -> Matrix:
    return np.clip(linear, -FAR, FAR)


def _probability(linear: Matrix) -> Matrix:
    return np.asarray(1.0 / (1.0 + np.exp(-_inside(linear))), dtype=np.float64)


def _work_of_chance(linear: Matrix, target: Matrix) -> tuple[Matrix, Matrix]:
    chance = _probability(linear)
    return np.maximum(chance * (1 - chance), LEAST), target - chance


def _loss_of_chance(linear: Matrix, target: Matrix) -> Matrix:
    return np.asarray(np.logaddexp(0.0, _inside(linear)) - target * _inside(linear), dtype=np.float64)


def _start_of_chance(target: Matrix) -> float:
    share = (target.sum() + 1) / (len(target) + 2)
    return float(np.log(share / (1 - share)))


def _amount(linear: Matrix) -> Matrix:
    return np.asarray(np.expm1(np.clip(linear, 0.0, FAR)), dtype=np.float64)


def _winsorised_amounts(labels: Matrix, latest: Matrix) -> Matrix:
    amounts = np.concatenate([labels, latest - 1.0])
    amounts = amounts[amounts > 0.0]
    most = MOST * np.quantile(amounts, LARGE, method="lower") if len(amounts) else 0.0
    return np.asarray(np.clip(labels, 0.0, most), dtype=np.float64)


def _work_of_amount(linear: Matrix, target: Matrix) -> tuple[Matrix, Matrix]:
    mean = np.exp(_inside(linear))
    return np.maximum(mean, LEAST), target - mean


def _loss_of_amount(linear: Matrix, target: Matrix) -> Matrix:
    return np.asarray(np.exp(_inside(linear)) - target * _inside(linear), dtype=np.float64)


def _start_of_amount(target: Matrix) -> float:
    return float(np.log(target.mean())) if len(target) else 0.0


LINKS = {
    "logit": Link(
        response=_probability,
        winsorised=lambda labels, latest: labels,
        target=lambda labels: labels,
        work=_work_of_chance,
        loss=_loss_of_chance,
        start=_start_of_chance,
        scaled=False,
    ),
    # an expected amount, by quasi-Poisson: 1 + amount is exp(...), its variance a multiple of it
    "log1p": Link(
        response=_amount,
        winsorised=_winsorised_amounts,
        target=lambda labels: labels + 1.0,
        work=_work_of_amount,
        loss=_loss_of_amount,
        start=_start_of_amount,
        scaled=True,
    ),
}
