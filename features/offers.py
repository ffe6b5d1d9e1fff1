"""What models of coupons see beside the customer's feature row: what is offered, and by which rule.

A model of `redeemed` says how likely the coupon is to be redeemed. A model of `uplift` says how likely the customer is
to order while the coupon is good, given it or not; its score is the difference. In both, rules share buckets by hash:
what a bucket adds starts at nothing, so a rule that is new has what coupons of that worth bring everywhere.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np
from msgspec import Struct

from features.catalog import Catalog
from features.kernel.arrays import Floats
from features.times import HOUR_MS

BUCKETS = 16
WORTH = ("offer_cents", "offer_percent", "offer_at_most_cents", "offer_min_spend_cents")
MOMENT = ("offer_valid_hours", *(f"offer_rule_{bucket}" for bucket in range(BUCKETS)))  # the same if nothing is given
GIVEN = "offer_given"


class Offer(Struct, frozen=True):
    """A coupon as a model sees it."""

    rule: str
    face_value_cents: int
    percent: int
    at_most_cents: int
    min_spend_cents: int
    valid_ms: int

    @property
    def worth(self) -> list[float]:
        return [float(n) for n in (self.face_value_cents, self.percent, self.at_most_cents, self.min_spend_cents)]

    @property
    def moment(self) -> list[float]:
        buckets = [0.0] * BUCKETS
        buckets[crc32(self.rule.encode()) % BUCKETS] = 1.0
        return [self.valid_ms / HOUR_MS, *buckets]


class Scored(Struct, gc=False):
    """What a model saw of a decision, and of which target it learns from what comes of it."""

    target: str
    layout: str
    row: list[float | None]


def seen_by(target: str, features: list[str]) -> list[str]:
    """The names of all that a model of these features sees."""
    if target == "redeemed":
        return [*features, *WORTH, *MOMENT]
    if target == "uplift":
        return [*features, *MOMENT, GIVEN, *WORTH, *(f"{name}_if_given" for name in (*features, *MOMENT))]
    return features


def inputs_of(catalog: Catalog) -> dict[str, list[str]]:
    """By model, the names of all that it sees."""
    return {model: seen_by(task.target, task.features) for model, task in catalog.tasks.items()}


def inputs(target: str, rows: Floats, offer: Offer, given: bool = True) -> Floats:
    """float64[n, all that a model of this target sees] of its features' float64[n, features]."""
    worth, moment = (np.tile(values, (len(rows), 1)) for values in (offer.worth, offer.moment))
    if target == "redeemed":
        return np.hstack((rows, worth, moment))
    common = np.hstack((rows, moment))
    if not given:
        return np.hstack((common, np.zeros((len(rows), 1 + len(WORTH) + common.shape[1]))))
    return np.hstack((common, np.ones((len(rows), 1)), worth, common))


def input_row(target: str, row: list[float], offer: Offer, given: bool) -> list[float | None]:
    """The same of one row."""
    if target == "redeemed":
        return [*row, *offer.worth, *offer.moment]
    common = [*row, *offer.moment]
    return [*common, 1.0, *offer.worth, *common] if given else [*common, *[0.0] * (1 + len(WORTH) + len(common))]
