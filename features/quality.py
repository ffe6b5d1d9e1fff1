"""How good scores were, once their labels are known: figures of many rows, and what two baselines would have said."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

Floats: TypeAlias = npt.NDArray[np.float64]
LOGIT = "logit"  # the link of models that score by a probability; others score by a number
LEAST = 1e-6  # a probability of 0 or 1 would make one wrong row cost infinitely much
BINS = 10  # of a reliability table
PRIOR = 10.0  # rows that the base rate counts for in a bin of the recency rule
RECENCY = ("days_since_order", "rhythm_days")  # inputs by which it groups
BASELINES = ("base_rate", "recency")


class Bin(Struct):
    """Rows whose score was about the same; `rate` is the share of yes among them."""

    rows: int
    score: float
    rate: float


def losses(scores: Floats, labels: Floats, link: str) -> Floats:
    """By row: logarithmic loss of a probability, Poisson deviance of a number; NaN where there is no score.

    Both are least where scores are what is expected (T. Gneiting, Making and Evaluating Point Forecasts, 2011), the
    absolute error where they are what is usual. Of 1 + number, as models of numbers learn it.
    """
    if link != LOGIT:
        said, came = np.maximum(scores, 0.0) + 1.0, np.maximum(labels, 0.0) + 1.0
        return np.asarray(2.0 * (came * np.log(came / said) - (came - said)))
    likely = np.clip(np.where(labels > 0, scores, 1 - scores), LEAST, 1.0)
    return np.asarray(-np.log(likely))


def roc_auc(scores: Floats, labels: Floats) -> float | None:
    """How likely a yes is scored above a no, ties counting half; None without both of them."""
    yes = labels > 0
    positives, negatives = int(yes.sum()), int((~yes).sum())
    if not positives or not negatives:
        return None
    return float((_ranks(scores)[yes].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def _ranks(values: Floats) -> Floats:
    """From 1 on; those that are equal share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Floats = (last - (counts - 1) / 2)[inverse]
    return ranks


def pr_auc(scores: Floats, labels: Floats) -> float | None:
    """Average precision: the mean over yes of the precision at its score; None without any."""
    yes = labels > 0
    if not yes.any():
        return None
    _, inverse, counts = np.unique(-scores, return_inverse=True, return_counts=True)
    hits = np.bincount(inverse, weights=yes)
    precision = np.cumsum(hits) / np.cumsum(counts)
    return float((precision * hits).sum() / hits.sum())


def reliability(scores: Floats, labels: Floats) -> list[Bin]:
    """Rows in order of their score, cut into bins of as many each."""
    order = np.argsort(scores, kind="stable")
    parts = [part for part in np.array_split(order, min(BINS, len(order))) if len(part)] if len(order) else []
    return [Bin(len(part), float(scores[part].mean()), float((labels[part] > 0).mean())) for part in parts]


def calibration_error(scores: Floats, labels: Floats) -> float:
    """Mean distance of score and rate over the bins of `reliability`."""
    bins = reliability(scores, labels)
    return sum(bin.rows * abs(bin.score - bin.rate) for bin in bins) / sum(bin.rows for bin in bins)


def figures(scores: Floats, labels: Floats, link: str) -> dict[str, float | None]:
    """Of the rows that have a score; nothing where none has."""
    scored = ~np.isnan(scores)
    scores, labels = scores[scored], labels[scored]
    if not len(scores):
        return {}
    loss = float(losses(scores, labels, link).mean())
    if link != LOGIT:
        return {"mean_poisson_deviance": loss, "mean_absolute_error": float(np.abs(scores - labels).mean())}
    return {
        "log_loss": loss,
        "roc_auc": roc_auc(scores, labels),
        "pr_auc": pr_auc(scores, labels),
        "calibration_error": calibration_error(scores, labels),
    }


def loss_of(link: str) -> str:
    """The figure by which models are compared: less is better."""
    return "log_loss" if link == LOGIT else "mean_poisson_deviance"


class Tally(Struct, array_like=True):
    rows: int = 0
    total: float = 0.0


class Baselines(Struct, array_like=True):
    """What who has no model would say: the mean label so far, and the same by how recent the customer is."""

    all: Tally = field(default_factory=Tally)
    groups: dict[str, Tally] = {}

    def score(self, recency: Floats) -> Floats:
        """float64[n, 2] for float64[n, recency inputs]."""
        mean = (self.all.total + 0.5) / (self.all.rows + 1)
        found = [self.groups.get(group, Tally()) for group in _groups(recency)]
        by_group = [(tally.total + PRIOR * mean) / (tally.rows + PRIOR) for tally in found]
        return np.column_stack([np.full(len(recency), mean), np.array(by_group, dtype=np.float64)])

    def learn(self, recency: Floats, labels: Floats) -> None:
        for group, label in zip(_groups(recency), labels.tolist(), strict=True):
            for tally in (self.all, self.groups.setdefault(group, Tally())):
                tally.rows += 1
                tally.total += label


def _groups(recency: Floats) -> list[str]:
    """By row: its values in steps of about 40 %."""
    steps = np.floor(2 * np.log2(1 + np.clip(np.nan_to_num(recency, nan=-1.0), -1.0, None) + 1e-9))
    steps = np.where(np.isnan(recency), -1, steps)
    return [",".join(str(int(step)) for step in row) for row in steps.tolist()]
