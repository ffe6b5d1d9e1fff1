"""Online models: each feature adds what a curve says of its value; curves are learned from labels as they come."""

from __future__ import annotations

from features.models.learned import Learned, decode_learned, encode_learned
from features.models.learner import Learner
from features.models.links import LINKS
from features.models.published import (
    Curve,
    LinearModel,
    Matrix,
    decode_model,
    encode_model,
    input_layouts,
    largest,
    score,
    score_rows,
    terms,
    top_terms,
)

__all__ = [
    "LINKS",
    "Curve",
    "Learned",
    "Learner",
    "LinearModel",
    "Matrix",
    "decode_learned",
    "decode_model",
    "encode_learned",
    "encode_model",
    "input_layouts",
    "largest",
    "score",
    "score_rows",
    "terms",
    "top_terms",
]
