"""Labels that come late: a feature row waits in the record until the customer returns or the horizon passes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from msgspec import Struct, json

from features.record import Pending, Record


class Example(Struct):
    """A feature row as it was when scored, with the label it got since; `known_ms` is when it could be known."""

    model: str
    layout: str
    at_ms: int
    known_ms: int
    label: bool
    row: list[float | None]


encode_example = json.Encoder().encode
decode_example = json.Decoder(Example).decode


class Churn(Struct, frozen=True):
    """The churn task: no order within the horizon after an order."""

    model: str
    layout: str
    columns: list[int]
    horizon_ms: int

    def ordered(self, record: Record, at_ms: int, row: list[float]) -> Example | None:
        """The latest order so far: labels the waiting row, if any, and lets this one wait."""
        waiting = record.pending
        record.pending = Pending(at_ms, at_ms + self.horizon_ms, np.array([row[c] for c in self.columns]).tobytes())
        return self._example(waiting, at_ms, at_ms >= waiting.due_ms) if waiting else None

    def due(self, record: Record, now_ms: int) -> Example | None:
        """The horizon has passed without an order."""
        waiting = record.pending
        if waiting is None or waiting.due_ms > now_ms:
            return None
        record.pending = None
        return self._example(waiting, waiting.due_ms, True)

    def _example(self, waiting: Pending, known_ms: int, label: bool) -> Example:
        row = [None if value != value else value for value in np.frombuffer(waiting.row).tolist()]
        return Example(self.model, self.layout, waiting.at_ms, known_ms, label, row)


def rows_of(examples: list[Example]) -> npt.NDArray[np.float64]:
    """float64[n, features]; NaN where a value was missing."""
    return np.array([e.row for e in examples], dtype=np.float64)
