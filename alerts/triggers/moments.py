"""When rules are asked, and what they can look at then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from alerts.coupons.code import symbols_of
from alerts.triggers.simple import Look
from features.catalog import Catalog
from features.columns import KNOWN_BY, Columns, event_fields, written
from features.kernel.arrays import Floats, Ints
from features.kernel.scan import DECIMAL, FLAG, TEXT
from features.models import LinearModel, Matrix, score_rows
from features.offers import Offer
from features.scoring import score_offer
from features.tasks import OF_COUPONS
from features.times import day_of_month_of, hour_of, minute_of, month_of, ordinal_of, weekday_of

CLOCK: dict[str, Callable[[Any], Any]] = {
    "hour": hour_of,
    "weekday": weekday_of,
    "minute_of_day": minute_of,
    "local_day": ordinal_of,
    "month": month_of,
    "day_of_month": day_of_month_of,
}
MISSING: dict[int, tuple[Any, type]] = {TEXT: ("", object), FLAG: (None, object)}  # and how values are held


class Moments(Struct):
    """When rules are asked, as columns: a row of features as of a time, with what conditions and policy need of then.

    `rows` are indexes of feature rows; `asks` is bool[n, rules], and `exits` where they
    are asked whether their exit holds; `place` is where in the batch the cause stands: an
    event of `columns`, or the tick that reached a timer (then `event` is -1); `stamps_ms` are these records' Kafka
    timestamps, `clock_ms` the partition's clock then.
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
    clock_ms: Ints
    exits: npt.NDArray[np.bool_]

    def orders(self, at: Sequence[int] | Ints) -> list[tuple[int, int]]:
        """Where in the log moments stand, and of timers that one tick has reached, when each was due."""
        these = np.array(at, dtype=np.int64)
        due_ms = np.where(self.event[these] < 0, self.at_ms[these], 0)
        return list(zip(self.place[these].tolist(), due_ms.tolist(), strict=True))


class Seen(Struct):
    """What conditions can look at: features, scores and facts of a batch's moments."""

    catalog: Catalog
    columns: dict[str, int]
    models: dict[str, LinearModel]
    moments: Moments
    rows: Matrix
    words: Mapping[int, str]  # the texts that codes stand for
    offers: Mapping[int, Offer] = {}  # by rule that looks at a score of what it offers

    def looks(self, rule: int) -> Look:
        """As one rule looks at them."""
        return partial(self.look, offer=self.offers[rule]) if rule in self.offers else self.look

    def look(self, name: str, at: Ints, offer: Offer | None = None) -> npt.NDArray[Any]:
        """The values of a name at some moments; where there is none NaN, of a text "", of a flag None."""
        if name in self.columns:
            values = np.asarray(self.rows[self.moments.rows[at], self.columns[name]])
            return self._spelt(name, values) if name in self.catalog.texts else values
        if name in self.catalog.models:
            return self._scores(name, self.moments.rows[at], offer)
        if name in CLOCK:
            return np.asarray(CLOCK[name](self.moments.local_ms[at]))
        return self._told("type" if name == "event" else name, self.moments.event[at])

    def _spelt(self, name: str, values: Floats) -> npt.NDArray[Any]:
        """The texts of a feature that is one; "" where it has none."""
        steps = self.catalog.texts[name]
        words: Mapping[int, str] = dict(enumerate(steps, start=1)) if steps else self.words
        codes = np.where(np.isnan(values), -1, values).astype(np.int64).tolist()
        return np.array([words.get(code, "") for code in codes], dtype=object)

    def _scores(self, name: str, rows: Ints, offer: Offer | None) -> Floats:
        model, target = self.models.get(name), self.catalog.tasks[name].target
        if model is None:
            return np.full(len(rows), np.nan)
        if target in OF_COUPONS:
            seen = self.rows[rows[:, None], np.array(self.catalog.models[name])]
            return score_offer(model, target, seen, offer) if offer else np.full(len(rows), np.nan)
        return score_rows(model, self.rows, rows, self.catalog.models[name])

    def _told(self, name: str, events: Ints) -> npt.NDArray[Any]:
        """What the events say themselves; nothing at a timer, and of events that have no such field."""
        how, kinds = event_fields().get(name, (TEXT, None))
        columns, there = self.moments.columns, np.flatnonzero(events >= 0)
        if kinds is not None:
            there = there[np.isin(columns.kind[events[there]], list(kinds))]
        if name in KNOWN_BY:
            there = there[columns.numbers(KNOWN_BY[name], events[there]) != 0]
        none, type = MISSING.get(how, (np.nan, float))
        values: npt.NDArray[Any] = np.full(len(events), none, dtype=type)
        read = {TEXT: columns.texts, DECIMAL: columns.decimals}.get(how, columns.numbers)
        told: Any = read(written(name), events[there])
        if name == "coupon":  # what rules see goes into receipts, and codes must not
            told = ["" if symbols_of(text) else text for text in told]
        values[there] = told.astype(np.bool_) if how == FLAG else told
        return values
