"""Scores of models that see what is offered, and what moved them."""

from __future__ import annotations

from features.models import LinearModel, Matrix, score, terms
from features.offers import Offer, inputs
from features.tasks import OF_COUPONS


def score_offer(model: LinearModel, target: str, rows: Matrix, offer: Offer) -> Matrix:
    """float64[n]: of `redeemed` a probability; of `uplift` by how much the coupon raises one, -1 to 1."""
    found = score(model, inputs(target, rows, offer))
    return found if target == "redeemed" else found - score(model, inputs(target, rows, offer, given=False))


def terms_of_offer(model: LinearModel, target: str, rows: Matrix, offer: Offer) -> Matrix:
    """float64[n, all it sees]: what each adds to the logit; of `uplift`, how much more than if nothing were given."""
    found = terms(model, inputs(target, rows, offer))
    return found if target == "redeemed" else found - terms(model, inputs(target, rows, offer, given=False))


def scored(model: LinearModel, target: str, rows: Matrix, offer: Offer) -> tuple[Matrix, Matrix]:
    """Scores, and what each feature added, of float64[n, features] of any model."""
    if target in OF_COUPONS:
        return score_offer(model, target, rows, offer), terms_of_offer(model, target, rows, offer)
    return score(model, rows), terms(model, rows)
