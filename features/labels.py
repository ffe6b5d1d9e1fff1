"""Labels that come late: rows wait in the record until what came after them has settled."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
import numpy.typing as npt
import orjson
from msgspec import Struct
from msgspec.structs import replace

from features.catalog import Catalog
from features.customer import Applied, Label
from features.kernel import arrays
from features.kernel.arrays import ABOVE, GAP, KNOWN, LABEL, LABELLED, SCORED, SPENT, TOLD, UP_TO, WHO, Ints
from features.models import input_layouts
from features.seen import id_hash
from features.tasks import GAPS, Task, waiting_inputs
from features.times import DAY_MS

ROWS = 500  # in one message
Numbers = npt.NDArray[np.float64]


class Examples(Struct):
    """Feature rows as they were when scored, with the labels they got since; `known_ms` is when each could be known.

    After a crash rows may be told again, also cut into other messages; their ids are the same.
    """

    model: str
    layout: str
    ids: list[str]
    at_ms: list[int]
    known_ms: list[int]
    labels: list[float]
    rows: list[list[float | None]]

    def __post_init__(self) -> None:
        if len({len(column) for column in (self.ids, self.at_ms, self.known_ms, self.labels, self.rows)}) > 1:
            raise ValueError("ids, at_ms, known_ms, labels and rows differ in length")

    def only(self, rows: list[int]) -> Examples:
        """Some of the rows."""
        if len(rows) == len(self.ids):
            return self
        columns = {name: getattr(self, name) for name in ("ids", "at_ms", "known_ms", "labels", "rows")}
        return replace(self, **{name: [column[row] for row in rows] for name, column in columns.items()})

    def matrix(self) -> Numbers:
        """float64[n, features]; NaN where a value was missing."""
        return np.array(self.rows, dtype=np.float64)


encode_examples = msgspec.json.Encoder().encode
decode_examples = msgspec.json.Decoder(Examples).decode


class Taught(Struct, frozen=True):
    """A model: its inputs among those that wait, and its horizon among the horizons."""

    layout: str
    target: str
    inputs: list[int]
    horizon: int

    def of(self, labelled: Ints) -> tuple[Ints, Numbers]:
        """Which of the labelled rows are its own, and their labels."""
        if self.target == "spend_ahead":
            rows = np.flatnonzero(labelled[:, TOLD] == SPENT)
            return rows, labelled[rows, LABEL].astype(np.float64)
        horizon_ms = labelled[:, LABELLED + self.horizon]
        due = (labelled[:, ABOVE] < horizon_ms) & (horizon_ms <= labelled[:, UP_TO])
        rows = np.flatnonzero((labelled[:, TOLD] == GAP) & due)
        gap_ms, horizon_ms = labelled[rows, LABEL], horizon_ms[rows]
        if self.target == "churn":
            return rows, (gap_ms >= horizon_ms).astype(np.float64)
        return rows, np.minimum(gap_ms, horizon_ms) / DAY_MS


class Labels(Struct, frozen=True):
    """What the core labels, and what each model takes of that."""

    label: Label
    taught: dict[str, Taught]

    def messages(self, applied: Applied) -> Iterator[tuple[str, bytes]]:
        """(model, examples): the rows of a batch that got their label."""
        ids = [_id(applied.customers[who], at_ms) for who, at_ms in applied.labelled[:, [WHO, SCORED]].tolist()]
        for model, taught in self.taught.items() if ids else ():
            rows, labels = taught.of(applied.labelled)
            for start in range(0, len(rows), ROWS):
                some = rows[start : start + ROWS]
                told = {
                    "model": model,
                    "layout": taught.layout,
                    "ids": [ids[row] for row in some],
                    "at_ms": applied.labelled[some, SCORED].tolist(),
                    "known_ms": applied.labelled[some, KNOWN].tolist(),
                    "labels": labels[start : start + ROWS].tolist(),
                    "rows": np.ascontiguousarray(applied.inputs[some][:, taught.inputs]),
                }
                yield model, orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY)  # NaN becomes null


def _id(customer: str, at_ms: int) -> str:
    """Of a customer's row as it was at a moment, whoever learns from it; it leads back to nobody by itself."""
    return id_hash(f"{customer}|{at_ms}").hex()


NO_LABELS = Labels(Label(), {})


def labels_of(catalog: Catalog) -> Labels:
    """What the models of a catalog learn from: their rows wait as one, of all their inputs."""
    gaps = {name: task for name, task in catalog.tasks.items() if task.target in GAPS}
    spends = {name: task for name, task in catalog.tasks.items() if task.target == "spend_ahead"}
    inputs = waiting_inputs(catalog.tasks)
    layouts = input_layouts(catalog)
    horizons = sorted(set(map(_horizon, gaps.values())))
    taught = {
        name: Taught(
            layouts[name],
            task.target,
            [inputs.index(feature) for feature in task.features],
            horizons.index(_horizon(task)) if name in gaps else -1,
        )
        for name, task in (gaps | spends).items()
    }
    spend_ms = max((task.horizon_ms for task in spends.values()), default=0)
    return Labels(Label([catalog.index(name) for name in inputs], horizons, spend_ms), taught)


def _horizon(task: Task) -> tuple[int, int]:
    return (task.rhythms, arrays.RHYTHM) if task.rhythms else (task.horizon_ms, arrays.A_WHILE)
