"""How good foretold probabilities were: areas, log loss, calibration, and whose differences are more than chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
BINS = 10
FIGURES = ("roc_auc", "pr_auc", "log_loss")
CALIBRATION = (
    "calibration_error",
    "calibration_error_of_chance",
    "as_much_by_chance",
    "asked_by_chance",
    "calibration_error_by_width",
    "by_width_of_chance",
)
DRAWS = 400
ASKED = 0.02  # calibration error that is asked for


def figures(labels: Matrix, chances: Matrix, seed: int = 7) -> dict[str, float]:
    """`calibration_error_of_chance` is what chances that are exactly right would show on so few people, on the mean of
    draws; `as_much_by_chance` the share of draws with ours or more, `asked_by_chance` that with what is asked for.
    """
    rng = np.random.default_rng(seed)
    drawn = [(rng.random(len(chances)) < chances).astype(np.float64) for _ in range(DRAWS)]
    by_luck, error = np.array([calibration_error(one, chances) for one in drawn]), calibration_error(labels, chances)
    widths_by_luck = np.array([calibration_error_by_width(one, chances) for one in drawn])
    return {
        "roc_auc": round(roc_auc(labels, chances), 4),
        "pr_auc": round(pr_auc(labels, chances), 4),
        "log_loss": round(log_loss(labels, chances), 4),
        "calibration_error": round(error, 4),
        "calibration_error_of_chance": round(float(by_luck.mean()), 4),
        "as_much_by_chance": round(float((by_luck >= error).mean()), 3),
        "asked_by_chance": round(float((by_luck <= ASKED).mean()), 3),
        "calibration_error_by_width": round(calibration_error_by_width(labels, chances), 4),
        "by_width_of_chance": round(float(widths_by_luck.mean()), 4),
        "mean_foretold": round(float(chances.mean()), 4),
        "mean_label": round(float(labels.mean()), 4),
    }


def roc_auc(labels: Matrix, scores: Matrix) -> float:
    """How often who did it scores above who did not; ties count half."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    ones = labels.sum()
    return float((ranks[labels > 0].sum() - ones * (ones + 1) / 2) / (ones * (len(labels) - ones)))


def pr_auc(labels: Matrix, scores: Matrix) -> float:
    """Average precision; whoever scores the same is found together."""
    order = np.argsort(-scores, kind="stable")
    found, last = np.cumsum(labels[order]), np.append(np.diff(scores[order]) != 0, True)
    precision, recall = found[last] / (np.flatnonzero(last) + 1), found[last] / labels.sum()
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def log_loss(labels: Matrix, chances: Matrix) -> float:
    inside = np.clip(chances, 1e-6, 1 - 1e-6)
    return float(-np.mean(labels * np.log(inside) + (1 - labels) * np.log(1 - inside)))


def calibration_error(labels: Matrix, chances: Matrix) -> float:
    """Mean distance between what was foretold and what came, over tenths of the people by what was foretold."""
    parts = np.array_split(np.argsort(chances, kind="stable"), BINS)
    return float(sum(abs((labels[part] - chances[part]).sum()) for part in parts if len(part)) / len(labels))


def calibration_error_by_width(labels: Matrix, chances: Matrix) -> float:
    """The same over ten parts of the range from 0 to 1, of which some hold few people or none (Guo et al., 2017)."""
    part = np.clip((chances * BINS).astype(np.int64), 0, BINS - 1)
    return float(np.abs(np.bincount(part, labels - chances, BINS)).sum() / len(labels))


def paired(
    customers: list[str], labels: Matrix, ours: Matrix, theirs: Matrix, draws: int, seed: int = 7
) -> dict[str, list[float]]:
    """By figure: ours less theirs, then the 2.5th and the 97.5th percentile over draws of customers."""
    places = np.unique(customers, return_inverse=True)[1]
    rows = np.split(np.argsort(places, kind="stable"), np.cumsum(np.bincount(places))[:-1])
    rng, found = np.random.default_rng(seed), dict[str, list[float]]()
    drawn = [np.concatenate([rows[i] for i in rng.integers(0, len(rows), len(rows))]) for _ in range(draws)]
    for name in FIGURES:
        measure: Any = globals()[name]
        differences = [measure(labels[at], ours[at]) - measure(labels[at], theirs[at]) for at in drawn]
        now = measure(labels, ours) - measure(labels, theirs)
        found[name] = [round(float(value), 4) for value in (now, *np.percentile(differences, [2.5, 97.5]))]
    return found
