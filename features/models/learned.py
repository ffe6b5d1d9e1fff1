"""All that a learner knows, as plain numbers, so that it can be stored and taken up again."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field, json

from features.models.curves import Shape

Matrix = npt.NDArray[np.float64]


class Learned(Struct):
    """Matrices are bytes, row by row: the latest rows float32, all else float64.

    What older rows said is kept as their information and their pull: so many weighted products of columns, and of
    columns with what was seen (recursive iteratively reweighted least squares).
    """

    labels: int = 0
    version: int = 0
    features: list[str] = []
    link: str = ""
    rows: bytes = b""  # the latest
    targets: bytes = b""  # theirs
    shapes: list[Shape] = []  # none: no curves are drawn yet
    redraw_at: float = 0.0  # when so many labels are known
    information: bytes = b""
    pull: bytes = b""
    members: bytes = b""  # the weights of each
    losses: list[float] = []  # of each of them, on what it had not seen
    spread: float = 1.0  # factor of the variance
    calibration: list[float] = field(default_factory=lambda: [0.0, 1.0])  # what is added, and the factor
    calibration_information: list[float] = field(default_factory=lambda: [0.0] * 4)
    calibration_pull: list[float] = field(default_factory=lambda: [0.0] * 2)
    layout: str = ""  # hash of what is foretold, and from which features


encode_learned = json.Encoder().encode
decode_learned = json.Decoder(Learned).decode


def packed(matrix: npt.NDArray[Any]) -> bytes:
    return matrix.tobytes()


def unpacked(raw: bytes, columns: int, kind: str = "<f8") -> Matrix:
    return np.frombuffer(raw, dtype=kind).reshape(-1, columns).astype(np.float64)
