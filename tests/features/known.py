"""One customer's record as tests handle it: an event at a time, and a row as of a time."""

from __future__ import annotations

from features import events as e
from features.catalog import Catalog
from features.customer import Core
from features.job import Batch, Clock
from features.record import Record, decode_record


class Known:
    """What the engine knows of the customer `c`."""

    def __init__(self, catalog: Catalog) -> None:
        self.core = Core(catalog)
        self.raw = b""

    def take(self, *events: e.Event) -> list[bool]:
        """Applies these events as one batch; False for those that were applied before."""
        for event in events:
            event.customer = "c"
        batch = Batch("events", 0, -1, [*range(len(events))], [e.encode(event) for event in events], [0] * len(events))
        applied = self.core.apply(self.core.columns(batch, Clock()), [], {"c": self.raw})
        self.raw = applied.records.at(0) if events else self.raw
        self.rows = applied.rows.tolist()
        return [not again for again in applied.repeated]

    def row(self, at_ms: int) -> dict[str, float]:
        names = self.core.catalog.names
        return dict(zip(names, self.core.row(self.raw, at_ms), strict=True))

    @property
    def record(self) -> Record:
        return decode_record(self.raw, self.core.catalog.layout.id, self.core.catalog.cells)
