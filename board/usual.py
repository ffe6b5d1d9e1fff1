"""What the judge knows, read for those who look: what is usual of a dimension, and how all stores stand now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec import msgpack
from numpy.typing import NDArray

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
MOST_AT_ONCE = 400_000  # stores times minutes
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


class Look(NamedTuple):
    """How stores stood at a minute, with the names that people know them by."""

    until: int  # the first minute that is not in it
    window: int  # minutes
    ids: NDArray[np.str_]
    regions: NDArray[np.str_]
    found: Standings


class StoresNow:
    """All stores in the judge's latest window: of a minute that is new, only that is read. For several threads."""

    def __init__(self, sources: Sources) -> None:
        self.sources, self.recent, self.lock = sources, Recent(), Lock()
        self.usual: Usual | None = None
        self.hour = -1
        self.ids, self.regions = np.array([], dtype=str), np.array([], dtype=str)
        self.look: Look | None = None

    def read(self) -> Look:
        """Raises NoState."""
        with self.lock:
            for _ in range(TRIES):
                if self._follow():
                    break
            if self.look is None:
                raise NoState(NO_JUDGE)
            return self.look

    def _follow(self) -> bool:
        raw = self._records(["judge"]).get("judge")
        header = decode_header(raw) if raw else None
        if header is None or header.next < 0 or (self.look is not None and header.next == self.look.until):
            return True
        if not self.recent.take(header, self._in_parts(self.recent.needed(header))):
            return False
        if len(self.ids) != len(self.recent.dims):
            self.ids = np.array([dim.partition(":")[2] for dim in self.recent.dims], dtype=str)
            self.regions = np.array([self.sources.regions.get(id, "") for id in self.ids.tolist()], dtype=str)
        hour = (header.next - 1) // 60
        if self.usual is None or hour != self.hour or len(self.usual.panels[STORES].dims) < len(self.ids):
            self.usual, self.hour = self._read_usual(hour), hour
        found = standings(self.recent, self.usual, PARTS)
        self.look = Look(header.next, header.window, self.ids, self.regions, found)
        return True

    def _records(self, names: list[str]) -> dict[str, bytes]:
        return read_judge(self.sources.redis, self.sources.prefix, names)

    def _in_parts(self, names: list[str]) -> dict[str, bytes]:
        """Few enough at a time that Redis keeps nobody waiting; `judge` last: it tells whether all are of one time."""
        stores = max(1, len(msgpack.decode(self._records([f"names|{STORES}"]).get(f"names|{STORES}", b"\x90"))))
        count = max(1, MOST_AT_ONCE // stores)
        last = [name for name in names if not name.startswith("ring|")]
        rings = [name for name in names if name.startswith("ring|")]
        parts = [rings[at : at + count] for at in range(0, len(rings), count)]
        parts[-1:] = [[*parts[-1], *last]] if parts else [last]
        return {name: raw for part in parts for name, raw in self._records(part).items()}

    def _read_usual(self, hour: int) -> Usual:
        names = usual_records(STORES, (hour - 1, hour))
        return Usual(self._records(names), self.sources.seasons)


def listed(values: NDArray[np.float64], digits: int) -> list[float | None]:
    """As JSON has them: None for what is not known."""
    return [round(value, digits) if value == value else None for value in values.tolist()]
