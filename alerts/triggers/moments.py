"""When rules are asked, and what they can look at then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from features.catalog import Catalog
from features.columns import Columns
from features.kernel.arrays import Floats, Ints
from features.models import LinearModel, Matrix, score_rows
from features.times import hour_of, weekday_of


class Moments(Struct):
    """When rules are asked, as columns: a row of features as of a time, with what conditions and policy need of then.

    `rows` are indexes of feature rows; `asks` is bool[n, rules]; `place` is where in the batch the cause stands: an
    event of `columns`, or the tick that reached a timer (then `event` is -1); `stamps_ms` are these records' Kafka
    timestamps.
    """

    columns: Columns
    rows: Ints
    asks: npt.NDArray[np.bool_]
    who: Ints
    event: Ints
    place: Ints
    stamps_ms: Ints
    at_ms: Ints
    local_ms: Ints
    consented: Ints


class Seen(Struct):
    """What conditions can look at: features, scores and facts of a batch's moments."""

    catalog: Catalog
    columns: dict[str, int]
    models: dict[str, LinearModel]
    moments: Moments
    rows: Matrix
    words: Mapping[int, str]  # the texts that codes stand for

    def look(self, name: str, at: Ints) -> npt.NDArray[Any]:
        """The values of a name at some moments; NaN where a number is missing, "" where a text is."""
        if name in self.columns:
            values = np.asarray(self.rows[self.moments.rows[at], self.columns[name]])
            return self._spelt(name, values) if name in self.catalog.texts else values
        if name in self.catalog.models:
            return self._scores(name, self.moments.rows[at])
        local_ms = self.moments.local_ms[at]
        if name == "hour":
            return np.asarray(hour_of(local_ms))
        if name == "weekday":
            return np.asarray(weekday_of(local_ms))
        return self._texts("type" if name == "event" else name, self.moments.event[at])

    def _spelt(self, name: str, values: Floats) -> npt.NDArray[Any]:
        """The texts of a feature that is one; "" where it has none."""
        steps = self.catalog.texts[name]
        words: Mapping[int, str] = dict(enumerate(steps, start=1)) if steps else self.words
        codes = np.where(np.isnan(values), -1, values).astype(np.int64).tolist()
        return np.array([words.get(code, "") for code in codes], dtype=object)

    def _scores(self, name: str, rows: Ints) -> Floats:
        model = self.models.get(name)
        if model is None:
            return np.full(len(rows), np.nan)
        return score_rows(model, self.rows, rows, self.catalog.models[name])

    def _texts(self, name: str, events: Ints) -> npt.NDArray[Any]:
        texts = np.full(len(events), "", dtype=object)
        of_event = np.flatnonzero(events >= 0)
        texts[of_event] = self.moments.columns.texts(name, events[of_event])
        return texts
