"""What the judge knows, read for those who look: what is usual of a dimension, and how all stores stand now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from alerts.kpis.book import decode_header
from alerts.kpis.panel import STORES
from alerts.kpis.recent import Recent, Standings, standings
from alerts.kpis.usual import Usual, usual_records
from operators.customers import NoState
from operators.kpis import read_judge

if TYPE_CHECKING:
    from board.sources import Sources

TRIES = 5  # at reading between two commits of the judge
PARTS = 12  # of the window, for a store's small chart
MOST_CELLS = 1_000_000  # stores times hours of profiles that one reading may cost
NO_JUDGE = "no minute has been judged yet: start `brewline run kpis`, and wait for the first to close"


def read_usual(
    sources: Sources, layer: str, hours: Iterable[int], wet: Mapping[int, float] | None = None
) -> Usual | None:
    """None where so many hours of so many stores would be too much to read."""
    wanted = sorted({hour + step for hour in hours for step in (-1, 0, 1)})
    if layer == STORES and len(wanted) * len(sources.stores_now.recent.dims) > MOST_CELLS:
        return None
    records = read_judge(sources.redis, sources.prefix, usual_records(layer, wanted))
    return Usual(records, sources.seasons, wet) if "judge" in records else None


class StoresNow:
    """All stores in the judge's latest window: of a minute that is new, only that is read. For several threads."""

    def __init__(self, sources: Sources) -> None:
        self.sources, self.recent, self.lock = sources, Recent(), Lock()
        self.usual: Usual | None = None
        self.hour = -1
        self.found: Standings | None = None

    def read(self) -> tuple[int, Standings]:
        """The first minute that is not in it, and how stores stand. Raises NoState."""
        with self.lock:
            for _ in range(TRIES):
                if self._follow():
                    break
            if self.found is None:
                raise NoState(NO_JUDGE)
            return self.recent.header.next, self.found

    def _follow(self) -> bool:
        sources = self.sources
        raw = read_judge(sources.redis, sources.prefix, ["judge"]).get("judge")
        header = decode_header(raw) if raw else None
        if header is None or header.next < 0:
            return True
        if self.found is not None and header.next == self.recent.header.next:
            return True
        if not self.recent.take(header, read_judge(sources.redis, sources.prefix, self.recent.needed(header))):
            return False
        hour = (header.next - 1) // 60
        if self.usual is None or hour != self.hour or len(self.usual.panels[STORES].dims) < len(self.recent.dims):
            self.usual, self.hour = self._read_usual(hour), hour
        self.found = standings(self.recent, self.usual, PARTS)
        return True

    def _read_usual(self, hour: int) -> Usual:
        names = usual_records(STORES, (hour - 1, hour))
        return Usual(read_judge(self.sources.redis, self.sources.prefix, names), self.sources.seasons)


def listed(values: np.ndarray, digits: int) -> list[float | None]:
    """As JSON has them: None for what is not known."""
    return [round(value, digits) if value == value else None for value in values.tolist()]
