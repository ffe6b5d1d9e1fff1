"""Labels that come late: a feature row waits in the record until the customer returns or the horizon passes."""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt
import orjson
from msgspec import Struct

from features.customer import Applied
from features.kernel.arrays import KNOWN, LABEL, SCORED
from features.kernel.merging import Merged

ROWS = 500  # in one message


class Examples(Struct):
    """Feature rows as they were when scored, with the labels they got since; `known_ms` is when each could be known."""

    model: str
    layout: str
    at_ms: list[int]
    known_ms: list[int]
    labels: list[bool]
    rows: list[list[float | None]]

    def __post_init__(self) -> None:
        if not len(self.at_ms) == len(self.known_ms) == len(self.labels) == len(self.rows):
            raise ValueError("at_ms, known_ms, labels and rows differ in length")

    def matrix(self) -> npt.NDArray[np.float64]:
        """float64[n, features]; NaN where a value was missing."""
        return np.array(self.rows, dtype=np.float64)


encode_examples = msgspec.json.Encoder().encode
decode_examples = msgspec.json.Decoder(Examples).decode


class Churn(Struct, frozen=True):
    """The churn task: no order within the horizon after an order."""

    model: str
    layout: str
    columns: list[int]
    horizon_ms: int

    def messages(self, applied: Applied | Merged) -> list[bytes]:
        """The rows of a batch, or of a merge, that got their label."""
        return [
            orjson.dumps(
                {
                    "model": self.model,
                    "layout": self.layout,
                    "at_ms": labelled[:, SCORED].tolist(),
                    "known_ms": labelled[:, KNOWN].tolist(),
                    "labels": (labelled[:, LABEL] > 0).tolist(),
                    "rows": np.ascontiguousarray(applied.inputs[start : start + ROWS]),
                },
                option=orjson.OPT_SERIALIZE_NUMPY,  # NaN becomes null
            )
            for start in range(0, len(applied.labelled), ROWS)
            for labelled in (applied.labelled[start : start + ROWS],)
        ]
