"""The declared features in column order, and where in a customer's state each is kept."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate, compress
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from features.declared import (
    Measure,
    Value,
    Where,
)
from features.layout import Layout
from features.tasks import Task

BUILT_IN = ("rhythm_days", "gap_over_rhythm", "age_days", "complaints_open")
POINTS = ("points_balance", "points_expiring", "points_earned_12m")
SPREAD = "rhythm_spread_days"
COUNTED = "the rhythm of a customer is counted in orders"
TIMES = "times of the latest orders"  # the first table of all
INPUTS = "inputs"  # of all models together: the rows that wait for labels
SUMS, GREATEST, LEAST, SETS = range(4)  # the groups of a pane's cells


class Effect(Struct, frozen=True):
    """What one event type does to one cell of a pane."""

    cell: int
    value: Value
    where: Where


class Touch(Struct, frozen=True):
    """What one event type does to one table."""

    table: int
    value: Value
    where: Where


class Catalog(Struct, frozen=True):
    """Feature names in column order, and how the kernel fills them; lists as features.kernel.arrays describes them."""

    measures: list[Measure]
    windows: list[str]
    names: list[str]
    texts: dict[str, list[str]]  # features that are words, and those they can be; none listed: any text of an event
    effects: dict[str, list[Effect]]
    touches: dict[str, list[Touch]]
    cells: int
    ends: tuple[int, int, int]  # where the cells that are sums end, then the greatest, then the least
    orders: int  # the cell that counts them
    spend: int  # the cell that counts what is spent; -1: there is none
    tables: list[tuple[int, int]]
    columns: list[tuple[int, int, int]]
    reads: list[tuple[int, int, int]]
    ladders: list[list[int]]  # of steps that are kept: how many, their cuts, what keeps each
    recencies: list[tuple[str, int]]  # event type, unit in ms
    ratios: list[tuple[int, int]]
    bands: list[tuple[int, list[float], bool]]  # column, cuts, less is better
    segments: list[list[list[tuple[int, float, float]]]]  # by feature and segment: column, from, to
    cents_per_point: int
    models: dict[str, list[int]]  # model → columns it sees
    tasks: dict[str, Task]  # model → what it is to foretell
    kept_days: int  # daily panes a record keeps
    layout: Layout
    kept_in: dict[str, list[str]]  # feature → what of the layout it is computed from
    days_of: dict[str, int]  # feature → days that its window reaches back; 0: it has none, or all of them
    made_of: dict[str, list[str]]  # feature of features → those

    def index(self, name: str) -> int:
        return self.names.index(name)

    def narrowed(self, wanted: Iterable[str]) -> Catalog:
        """The same records with rows of fewer columns: those wanted, those models see, and what these are made of."""
        more = {*BUILT_IN, *wanted, *(self.names[column] for inputs in self.models.values() for column in inputs)}
        kept: set[str] = set()
        while more:
            kept |= more
            more = {part for name in more for part in self.made_of.get(name, ())} - kept
        stays = [name in kept for name in self.names]
        place = [before - 1 for before in accumulate(stays)]

        def each(start: int, parts: list[Any]) -> list[Any]:
            return list(compress(parts, stays[start : start + len(parts)]))

        reads = len(self.columns)
        recencies = reads + len(self.reads)
        ratios = recencies + len(self.recencies) + len(BUILT_IN)
        bands = ratios + len(self.ratios)
        segments = bands + len(self.bands)
        return replace(
            self,
            names=each(0, self.names),
            columns=each(0, self.columns),
            reads=each(reads, self.reads),
            recencies=each(recencies, self.recencies),
            ratios=[(place[top], place[bottom]) for top, bottom in each(ratios, self.ratios)],
            bands=[(place[column], cuts, less) for column, cuts, less in each(bands, self.bands)],
            segments=[
                [[(place[column], low, high) for column, low, high in ranges] for ranges in segment]
                for segment in each(segments, self.segments)
            ],
            models={model: [place[column] for column in inputs] for model, inputs in self.models.items()},
        )
