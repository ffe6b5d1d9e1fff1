"""A features file becomes a catalog: what is kept of a customer, then the columns that are read from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from features.catalog import (
    BUILT_IN,
    COUNTED,
    GREATEST,
    INPUTS,
    LEAST,
    POINTS,
    SETS,
    SPREAD,
    SUMS,
    TIMES,
    Catalog,
    Effect,
    Touch,
)
from features.declared import (
    HOUR,
    Declared,
    Measure,
    Value,
    Where,
    WrongFeatures,
    check_window,
    days_in,
    hint,
    known_event,
    read_declared,
    read_ladder,
    read_measure,
    read_values,
)
from features.kernel import arrays
from features.layout import Layout
from features.tasks import SPEND, Task, waiting_inputs
from features.times import UNITS_MS


def build_catalog(
    raw: dict[str, Any],
    file: str = "features.toml",
    tasks: Mapping[str, Task] | None = None,
    models_file: str = "models.toml",
) -> Catalog:
    """The catalog of a parsed features file, and of the models over it. Raises WrongFeatures."""
    declared = read_declared(raw, file)
    for window in declared.windows:
        check_window(window, f"{file}: windows")
    if "orders" not in declared.measures:
        raise WrongFeatures(f"{file}: [measures]: 'orders' is missing: {COUNTED}")
    return _Building(declared, file, dict(tasks or {}), models_file).catalog()


class _Building:
    """A catalog in the making: first what is kept, then the columns one behind the other."""

    def __init__(self, declared: Declared, file: str, tasks: dict[str, Task], models_file: str) -> None:
        self.declared = declared
        self.file = file
        self.tasks = tasks
        self.models_file = models_file
        self.measures = [read_measure(n, m, declared.windows, file) for n, m in declared.measures.items()]
        self.orders = self._orders()
        windows = [*declared.windows, *(window for measure in self.measures for window in measure.windows)]
        self.windows = list(dict.fromkeys(windows))
        self.effects: dict[str, list[Effect]] = {}
        self.touches: dict[str, list[Touch]] = {}
        self.cells = self._cells()
        self.tables: list[tuple[int, int]] = [(arrays.TIMES, 0)]
        self.table_names = [TIMES]
        self.ladders: list[list[int]] = []
        self.names: list[str] = []
        self.kept_in: dict[str, list[str]] = {}
        self.days_of: dict[str, int] = {}
        self.texts: dict[str, list[str]] = {}
        self.made_of: dict[str, list[str]] = {}

    def _orders(self) -> str:
        """The definition of the cell that counts orders."""
        measure, place = next(m for m in self.measures if m.name == "orders"), f"{self.file}: [measures] orders"
        if measure.aggregate != "sum":
            raise WrongFeatures(
                f"{place}: aggregate: found {measure.aggregate!r}, expected 'sum': {COUNTED}; declare the"
                f" {measure.aggregate} under another name"
            )
        if Value("order") not in measure.values:
            raw = self.declared.measures["orders"]
            found = f"found {raw['order']!r}" if "order" in raw else "is missing"
            raise WrongFeatures(f"{place}: order: {found}, expected 1: {COUNTED}")
        return f"sum {measure}"

    def _cells(self) -> list[list[str]]:
        """Definitions of the cells: sums, greatest, least, sets. Measures that mean the same share one."""
        cells: list[list[str]] = [[], [], [], []]
        for measure in self.measures:
            for group, definition in _definitions(measure):
                cells[group] += [definition] if definition not in cells[group] else []
        found = sum(map(len, cells))
        if found > arrays.CELLS_OF_PANE:
            room = arrays.CELLS_OF_PANE
            raise WrongFeatures(
                f"{self.file}: [measures]: found {found} to be kept by window, there is room for {room}"
            )
        return cells

    def cell(self, definition: str) -> int:
        return [d for group in self.cells for d in group].index(definition)

    def catalog(self) -> Catalog:
        columns = self._window_columns()
        reads = self._table_reads()
        recencies = self._recencies()
        for name in BUILT_IN:
            self._name(name, [self.orders])
        ratios = [self._ratio(name, *parts) for name, parts in self.declared.ratios.items()]
        bands = [self._band(name) for name in self.declared.bands]
        segments = [self._segments(name) for name in self.declared.segments]
        for name, uses in Counter(self.names).items():
            if uses > 1:
                raise WrongFeatures(f"{self.file}: the name {name!r} is taken: choose another")
        models = {name: self._inputs(name, task) for name, task in self.tasks.items()}
        inputs = waiting_inputs(self.tasks)
        cells = [definition for group in self.cells for definition in group]
        points, days = self.declared.points, max(map(days_in, self.windows), default=0) + 1
        return Catalog(
            measures=self.measures,
            windows=self.windows,
            names=self.names,
            texts=self.texts,
            effects=self.effects,
            touches=self.touches,
            cells=len(cells),
            ends=tuple(accumulate(map(len, self.cells[:3]))),  # type: ignore[arg-type]
            orders=self.cell(self.orders),
            spend=self._spend(),
            tables=self.tables,
            columns=columns,
            reads=reads,
            ladders=self.ladders,
            recencies=recencies,
            ratios=ratios,
            bands=bands,
            segments=segments,
            cents_per_point=points.cents_per_point if points else 1,
            models=models,
            tasks=self.tasks,
            kept_days=days,
            layout=Layout(cells, self.table_names, {INPUTS: inputs} if inputs else {}, days=days),
            kept_in=self.kept_in,
            days_of=self.days_of,
            made_of=self.made_of,
        )

    def _name(self, name: str, kept_in: list[str], days: int = 0) -> None:
        self.names.append(name)
        self.kept_in[name] = kept_in
        self.days_of[name] = days

    def _derive(self, name: str, parts: list[str]) -> None:
        self.made_of[name] = parts
        kept_in = list(dict.fromkeys(kept for part in parts for kept in self.kept_in[part]))
        self._name(name, kept_in, max(self.days_of[part] for part in parts))

    def _window_columns(self) -> list[tuple[int, int, int]]:
        """(how, total, total it is divided by) by window and measure; notes what events do to the cells."""
        for measure in self.measures:
            for group, definition in _definitions(measure):
                if group < SETS:
                    self._note_effects(measure, self.cell(definition), definition)
        columns = []
        for at, window in enumerate(self.windows):
            for measure in self.measures:
                if window in measure.windows:
                    first, *_ = kept = [definition for _, definition in _definitions(measure)]
                    total, count = (at * sum(map(len, self.cells)) + self.cell(d) for d in (first, kept[-1]))
                    columns.append((HOW[measure.aggregate], total, count))
                    self._name(f"{measure.name}_{window}", kept, days_in(window))
        return columns

    def _note_effects(self, measure: Measure, cell: int, definition: str) -> None:
        for value in measure.values:
            counted = Value(value.event, value.sign) if definition.startswith("count ") else value
            effect = Effect(cell, counted, measure.where)
            known = self.effects.setdefault(value.event, [])
            known += [effect] if effect not in known else []

    def _table_reads(self) -> list[tuple[int, int, int]]:
        """(what, table, argument) of the features that are read from tables."""
        reads = []
        for measure in self.measures:
            for name, what, argument in self._reads_of(measure):
                reads.append((what, len(self.tables) - 1, argument))
                self._name(name, [self.table_names[-1]])
        reads.append((arrays.SPREAD, 0, 0))
        self._name(SPREAD, [TIMES])
        return reads + self._points()

    def _reads_of(self, measure: Measure) -> list[tuple[str, int, int]]:
        """What is read from a measure's table, which is made for it where it needs one."""
        name, meaning, is_text = measure.name, f"{measure.aggregate} {measure}", measure.values[0].text
        match measure.aggregate:
            case "distinct":
                self._table(arrays.PLACES, self.cell(meaning), f"places {measure}", measure)
            case "last":
                self._table(arrays.LATEST, 0, meaning, measure)
                self.texts |= {name: []} if is_text else {}
                return [(name, arrays.VALUE, 0 if is_text else 1)]
            case "decay":
                self._table(arrays.DECAYED, measure.half_life_ms, meaning, measure)
                return [(name, arrays.WEIGHT, 0)]
            case "top":
                self._table(arrays.WEIGHTS, measure.half_life_ms, meaning, measure)
                self.texts |= {name: []} if measure.values[0].field != HOUR else {}
                return [(name, arrays.FAVOURITE, 0), (f"{name}_share", arrays.SHARE, 0)]
        return []

    def _table(self, keeps: int, argument: int, definition: str, measure: Measure) -> None:
        self._add_table(keeps, argument, definition)
        for value in measure.values:
            self.touches.setdefault(value.event, []).append(Touch(len(self.tables) - 1, value, measure.where))

    def _add_table(self, keeps: int, argument: int, definition: str) -> None:
        if definition in self.table_names:
            raise WrongFeatures(f"{self.file}: [measures]: two measures mean the same: {definition}")
        if len(self.tables) == arrays.TABLES_OF_RECORD:
            room = arrays.TABLES_OF_RECORD
            raise WrongFeatures(f"{self.file}: [measures]: too many of top, last, decay and distinct: room for {room}")
        self.tables.append((keeps, argument))
        self.table_names.append(definition)

    def _points(self) -> list[tuple[int, int, int]]:
        points = self.declared.points
        if points is None:
            return []
        place = f"{self.file}: [points]"
        if not (points.cents_per_point > 0 and 0 < points.valid_months <= 24):
            raise WrongFeatures(f"{place}: expected cents_per_point of 1 or more, valid_months of 1 to 24")
        for word, spoken in (("earn", points.earn), ("spend", points.spend)):
            values = read_values(spoken, f"{place}: {word}")
            self._add_table(arrays.MONTHS, 0, f"points {word} {' '.join(sorted(map(str, values)))}")
            for value in values:
                self.touches.setdefault(value.event, []).append(Touch(len(self.tables) - 1, value, Where()))
        earned = len(self.tables) - 2
        for name in POINTS:
            self._name(name, self.table_names[-2:])
        reads = [(what, earned, points.valid_months) for what in (arrays.BALANCE, arrays.EXPIRING, arrays.EARNED)]
        for name, band in self.declared.bands.items():
            if band.keep:
                self._name(f"{name}_points", self.table_names[-2:])
                reads.append((arrays.KEPT, earned, len(self.ladders)))
                self.ladders.append(read_ladder(band, f"{self.file}: [bands] {name}: keep"))
        return reads

    def _recencies(self) -> list[tuple[str, int]]:
        recencies = []
        for name, recency in self.declared.recency.items():
            known_event(recency.event, f"{self.file}: [recency] {name}")
            recencies.append((recency.event, UNITS_MS[recency.unit]))
            self._name(name, [])
        return recencies

    def _ratio(self, name: str, top: str, bottom: str) -> tuple[int, int]:
        place = f"{self.file}: [ratios] {name}"
        ratio = self._number(top, place), self._number(bottom, place)
        self._derive(name, [top, bottom])
        return ratio

    def _band(self, name: str) -> tuple[int, list[float], bool]:
        band, place = self.declared.bands[name], f"{self.file}: [bands] {name}"
        if not band.cuts or band.cuts != sorted(set(band.cuts)):
            raise WrongFeatures(f"{place}: cuts: found {band.cuts}, expected numbers that rise")
        if band.names and len(band.names) != len(band.cuts) + 1:
            raise WrongFeatures(f"{place}: names: found {len(band.names)}, expected one more than cuts")
        of = f"{name}_points" if band.keep and self.declared.points else band.of
        column = self._number(of, place)
        self._derive(name, [of])
        self.texts |= {name: band.names} if band.names else {}
        return column, band.cuts, band.best == "low"

    def _segments(self, name: str) -> list[list[tuple[int, float, float]]]:
        place = f"{self.file}: [segments] {name}"
        segments = self.declared.segments[name]
        ranges = [
            [(self._number(feature, place), low, high) for feature, (low, high) in segment.when.items()]
            for segment in segments
        ]
        self._derive(name, list(dict.fromkeys(feature for segment in segments for feature in segment.when)))
        self.texts[name] = [segment.name for segment in segments]
        return ranges

    def _inputs(self, model: str, task: Task) -> list[int]:
        place = f"{self.models_file}: [{model}]"
        if model in self.names:
            raise WrongFeatures(f"{place}: the name {model!r} is taken by a feature: choose another")
        if task.target == "spend_ahead" and self._spend() < 0:
            raise WrongFeatures(f"{place}: target: spend_ahead adds up the measure {SPEND!r}, a sum, which is missing")
        return [self._number(feature, place) for feature in task.features]

    def _spend(self) -> int:
        """The cell of the measure that counts what is spent; -1: there is none."""
        sums = (measure for measure in self.measures if (measure.name, measure.aggregate) == (SPEND, "sum"))
        return next((self.cell(definition) for m in sums for _, definition in _definitions(m)), -1)

    def _number(self, name: str, place: str) -> int:
        """The column of a feature that is a number, among those that stand before."""
        if name not in self.names:
            raise WrongFeatures(f"{place}: there is no feature {name!r}{hint(name, self.names)}")
        if name in self.texts:
            raise WrongFeatures(f"{place}: {name!r} is a text, expected a number")
        return self.names.index(name)


HOW = {
    "sum": arrays.SUM_OF,
    "max": arrays.MOST_OF,
    "min": arrays.MOST_OF,
    "mean": arrays.MEAN_OF,
    "distinct": arrays.DISTINCT_OF,
}


def _definitions(measure: Measure) -> list[tuple[int, str]]:
    """What is kept in panes for a measure: (its group, its meaning)."""
    match measure.aggregate:
        case "sum":
            return [(SUMS, f"sum {measure}")]
        case "mean":
            return [(SUMS, f"sum {measure}"), (SUMS, f"count {measure}")]
        case "max":
            return [(GREATEST, f"max {measure}")]
        case "min":
            return [(LEAST, f"min {measure}")]
        case "distinct":
            return [(SETS, f"distinct {measure}")]
    return []
