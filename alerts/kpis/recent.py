"""How all stores stand in the judge's latest window: what came, what is usual, which are silent or alarmed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from msgspec import Struct, msgpack
from numpy.typing import NDArray

from alerts.kpis.book import Header, decode_header
from alerts.kpis.expectation import Floats
from alerts.kpis.learning import spread
from alerts.kpis.panel import FIRING, STORES, Arrays, unpack
from alerts.kpis.series import ALIVE_MINUTES, AOV, ORDERS, PLACE
from alerts.kpis.silence import PATIENCE
from alerts.kpis.usual import Usual

COLUMNS = ("orders", "revenue_cents", "visits", "redemptions")  # of a store's minute
ROWS = [PLACE[name] for name in COLUMNS]
LATE = 3  # minutes that are read again, for they may have been corrected
OPEN, CLOSED, SILENT, LEARNING = "open", "closed", "silent", "learning"
STATES = (OPEN, CLOSED, SILENT, LEARNING)
LEAST_EXPECTED = 0.5  # orders in the window: with less, a store without any is closed
USUALLY_HEARD = 0.5  # of the minutes: a till that says less is not missed
FAR = (2.0, 3.0)  # standard deviations: unusual, very unusual
LEAST_CHANGE = 0.2  # of what is expected: a smaller one is nobody's business

Whole = NDArray[np.int64]


class Recent:
    """The minutes of the window by store; `needed` names the judge's records that are news, `take` reads them."""

    def __init__(self) -> None:
        self.header = Header()
        self.dims: list[str] = []
        self.course: Arrays = {}
        self.minutes: dict[int, NDArray[np.int32]] = {}  # [COLUMNS, stores]

    def needed(self, header: Header) -> list[str]:
        known = self.header.next - LATE if self.header.window == header.window else -1
        first = max(0, header.next - header.window, known)
        ring = [f"ring|{STORES}|{minute % header.window}" for minute in range(first, header.next)]
        return ["judge", f"names|{STORES}", f"course|{STORES}", *ring]

    def take(self, header: Header, records: Mapping[str, bytes]) -> bool:
        """False, and nothing is taken, if the judge has gone on since `header` was read."""
        raw, names = records.get("judge"), records.get(f"names|{STORES}")
        if not raw or not names or decode_header(raw).next != header.next:
            return False
        self.dims, self.course = msgpack.decode(names, type=list[str]), unpack(records[f"course|{STORES}"])
        if self.header.window != header.window:
            self.minutes.clear()
        window = range(max(0, header.next - header.window), header.next)
        self.minutes = {minute: counts for minute, counts in self.minutes.items() if minute in window}
        for minute in window:
            if raw := records.get(f"ring|{STORES}|{minute % header.window}"):
                self.minutes[minute] = unpack(raw)["counts"][ROWS].astype(np.int32)
        self.header = header
        return True

    def sums(self, parts: int = 1) -> Whole:
        """Of the window in so many parts, the latest last, [parts, COLUMNS, stores]."""
        found = np.zeros((parts, len(COLUMNS), len(self.dims)), np.int64)
        window = self.header.window
        for minute, counts in self.minutes.items():
            part = (minute - self.header.next + window) * parts // window
            found[part, :, : counts.shape[-1]] += counts
        return found


class Standings(Struct):
    """By store; `expected` of the window, [COLUMNS' first two, stores]; `far`: -2 very low … 2 very high."""

    dims: list[str]
    counts: Whole  # [COLUMNS, stores]
    parts: Whole  # orders, [parts, stores]
    expected: Floats
    far: NDArray[np.int8]  # as `expected`
    state: NDArray[np.int8]  # of STATES
    firing: NDArray[np.bool_]  # [SERIES, stores]


def standings(recent: Recent, usual: Usual, parts: int) -> Standings:
    split = recent.sums(parts)
    counts, stores = split.sum(axis=0), len(recent.dims)
    mean, heard, strays = _expected(recent, usual, stores)
    expected = mean[[ORDERS, AOV]].copy()
    expected[1] = mean[ORDERS] * np.exp(mean[AOV])
    last, course = recent.header.next - 1, recent.course
    silent = course["till"] & (last - course["spoke"] >= PATIENCE) & (heard >= USUALLY_HEARD)
    nothing = (counts[0] == 0) & ~(mean[ORDERS] >= LEAST_EXPECTED)
    chosen = [silent, nothing, ~np.isfinite(mean[ORDERS])]
    kinds = [STATES.index(name) for name in (SILENT, CLOSED, LEARNING)]
    state = np.select(chosen, kinds, STATES.index(OPEN)).astype(np.int8)
    far = np.stack([_far(counts[0], mean[ORDERS], strays), _far_money(counts[1], mean, strays)])
    return Standings(recent.dims, counts, split[:, 0], expected, far, state, course["state"] == FIRING)


def _expected(recent: Recent, usual: Usual, stores: int) -> tuple[Floats, Floats, Floats]:
    """In the window: counts, and of amounts the logarithm; of a minute, how often a till is heard; squared errors."""
    panel = usual.panels[STORES]
    next_, window = recent.header.next, recent.header.window
    now, before = (usual.rates(STORES, (next_ - 1) // 60 - back) for back in (0, 1))
    late = min(window, (next_ - 1) % 60 + 1)
    mean = now.mean * late + (np.where(np.isfinite(before.mean), before.mean, now.mean) * (window - late))
    mean[AOV] = now.mean[AOV]
    strays = spread(panel)[-1, ORDERS] + now.blur[ORDERS]
    grown = np.full((len(mean), stores), np.nan)
    grown[:, : mean.shape[1]] = mean[:, :stores]
    return grown, _grown(now.mean[ALIVE_MINUTES], stores, 0.0), _grown(strays, stores, 0.0)


def _grown(row: Floats, stores: int, missing: float) -> Floats:
    """With places for stores that came since."""
    return np.concatenate([row[:stores], np.full(max(0, stores - len(row)), missing)])


def _far(seen: Whole, mean: Floats, strays: Floats) -> NDArray[np.int8]:
    return _steps(seen - mean, mean, np.sqrt(mean + mean**2 * strays))


def _far_money(seen: Whole, mean: Floats, strays: Floats) -> NDArray[np.int8]:
    cents = np.exp(mean[AOV])
    expected, chance = mean[ORDERS] * cents, mean[ORDERS] * cents**2 * 1.4  # amounts differ as well
    return _steps(seen - expected, expected, np.sqrt(chance + expected**2 * strays))


def _steps(strayed: Floats, mean: Floats, sd: Floats) -> NDArray[np.int8]:
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.where(np.abs(strayed) >= LEAST_CHANGE * mean, strayed / sd, 0.0)
    steps = np.sign(z) * np.searchsorted(FAR, np.abs(np.nan_to_num(z)), side="right")
    return np.asarray(steps, np.int8)
