"""A score as a sum: what each feature has added, and all else, so that bars of it add up."""

from __future__ import annotations

from collections.abc import Mapping
from math import log, log1p

from msgspec import Struct

from alerts.triggers.receipts.explain import Score
from features.tasks import Task


class Term(Struct):
    """`added`: to the logit, or to the logarithm of an amount."""

    feature: str
    added: float


class Weighed(Struct):
    """`terms`, and `rest`: the starting point and all smaller ones; together they are `sum`. Both are null where a
    score is a difference of two, or has no value."""

    model: str
    version: int
    value: float | None
    scale: str  # "logit" or "log1p"
    terms: list[Term]
    sum: float | None
    rest: float | None


def weigh(scores: Mapping[str, Score], tasks: Mapping[str, Task]) -> list[Weighed]:
    found = []
    for name, score in scores.items():
        task = tasks.get(name)
        scale = task.link if task else "logit"
        whole = _sum(score.value, scale) if task and task.target != "uplift" else None
        rest = None if whole is None else round(whole - sum(score.terms.values()), 4)
        terms = [Term(feature, added) for feature, added in score.terms.items()]
        found.append(Weighed(name, score.version, score.value, scale, terms, whole, rest))
    return found


def _sum(value: float | None, scale: str) -> float | None:
    """What gives this score."""
    if value is None:
        return None
    if scale == "log1p":
        return round(log1p(value), 4) if value > -1 else None
    return round(log(value / (1 - value)), 4) if 0 < value < 1 else None
