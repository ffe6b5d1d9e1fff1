"""The state of all judged series of one layer, in arrays, and its records.

The roots are the chain, its regions and its channels; the stores are the other layer. Records are `names|<layer>`,
`course|<layer>` (what moves with each minute), `learned|<layer>` (with each hour), `ring|<layer>|<place>` (the minutes
of the longest window) and `cell|<layer>|<place>` (how 168 hours of the week, then 24 of the day, differ).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from msgspec import msgpack
from numpy.typing import NDArray

from alerts.kpis import structure
from alerts.kpis.series import AOV, SERIES, WIDTH

ROOTS, STORES = "roots", "stores"
WEEK_HOURS = 168
CELLS = WEEK_HOURS + 24
QUIET, PENDING, FIRING = 0, 1, 2  # the state of a series
SHORT = (2, 10)  # minutes; the longest window is that of the settings
SPREAD_PRIOR, SPREAD_WEIGHT = 0.03, 1.0  # squared relative deviation, and how many windows' worth that is held to be
AMOUNT_PRIOR = 0.4  # variance of the logarithm of an order
JUMPS = (1, 2, 3, 5, 8, 12, 20, 30)  # minutes that are held against those before: of roots, where so few say something
QUARTER = 15  # minutes: what is usual of a root within an hour is known by quarters
BASE = 30  # minutes; those before them are what a root is held to run at

Array = NDArray[Any]
Arrays = dict[str, Array]


def pack(arrays: Mapping[str, Array]) -> bytes:
    """Arrays of any shape, little-endian; of int64, each row of the first dimension as narrow as its numbers allow."""
    return msgpack.encode({name: (a.dtype.str, a.shape, _narrowed(a)) for name, a in arrays.items()})


def _narrowed(array: Array) -> bytes | list[tuple[str, bytes]]:
    if array.dtype != np.int64 or not array.size:
        return np.ascontiguousarray(array).tobytes()
    rows = array.reshape(len(array) if array.ndim > 1 else 1, -1)
    kinds = [_narrowest(least, most) for least, most in zip(rows.min(1).tolist(), rows.max(1).tolist(), strict=True)]
    return [(kind, row.astype(kind).tobytes() if kind else b"") for kind, row in zip(kinds, rows, strict=True)]


def _narrowest(least: int, most: int) -> str:
    """A type of whole numbers; empty where all are 0."""
    fits = (bits for bits in (7, 15, 31, 63) if -1 << bits <= least and most < 1 << bits)
    return f"<i{(next(fits) + 1) // 8}" if least or most else ""


def unpack(raw: bytes) -> Arrays:
    return {name: _widened(*told) for name, told in msgpack.decode(raw).items()}


def _widened(kind: str, shape: list[int], data: bytes | list[tuple[str, bytes]]) -> Array:
    if isinstance(data, bytes):
        return np.frombuffer(data, dtype=kind).reshape(shape).copy()
    found: Array = np.zeros(shape, kind)
    rows = found.reshape(len(data), -1)
    for place, (narrow, row) in enumerate(data):
        if narrow:
            rows[place] = np.frombuffer(row, narrow)
    return found


def _trimmed(array: Array) -> Array:
    """Without the last dimensions of which there is nothing: they may have come after it was last changed."""
    some = np.flatnonzero(array.any(axis=tuple(range(array.ndim - 1))))
    return array[..., : some[-1] + 1 if len(some) else 0]


def _course(layer: str, dims: int) -> Arrays:
    found: Arrays = {
        "state": np.zeros((SERIES, dims), np.int8),
        "side": np.zeros((SERIES, dims), np.int8),
        "start": np.zeros((SERIES, dims), np.int64),
        "calm": np.zeros((SERIES, dims), np.int16),
        "unusual": np.zeros((SERIES, dims), np.int64),  # the last minute in which it was not quiet
        "ordered": np.zeros(dims, np.int64),  # the last minute with an order
        "spoke": np.zeros(dims, np.int64),  # the last minute with anything
        "back": np.zeros(dims, np.int64),  # the first minute after the last silence
        "missed": np.zeros((2, dims), np.float64),  # orders, signs of life that should have come since the last one
        "hour": np.zeros((WIDTH, dims), np.int64),  # sums of the hour that is being learned
        "wet": np.zeros(dims, np.float64),  # share of its orders that were told of rain
        "till": np.zeros(dims, bool),  # has ever sent a heartbeat
    }
    if layer == ROOTS:
        found["quarters"] = np.zeros((60 // QUARTER, WIDTH, dims), np.int64)  # of that hour
        found["ran"] = np.zeros((2, SERIES, dims))  # before it was unusual: logarithm of what it ran at, its own rate
    return found


def _learned(layer: str, windows: int, dims: int) -> Arrays:
    over = np.full((windows, SERIES, dims), SPREAD_PRIOR * SPREAD_WEIGHT, np.float32)
    over[:, AOV] = AMOUNT_PRIOR * SPREAD_WEIGHT
    found: Arrays = {
        "over": over,
        "under": np.full((windows, SERIES, dims), SPREAD_WEIGHT, np.float32),
        "born": np.zeros(dims, np.int64),
        "parent": np.full(dims, -1, np.int64),  # of a store: the root whose share it has
    }
    if layer == STORES:
        return {**found, "level": np.zeros((2, SERIES, dims))}
    mean, cov = structure.begin(dims)
    day = np.zeros((2, SERIES, 24, dims))
    structural = {"mean": mean, "cov": cov, "day": day, "days": np.zeros((24, dims), np.int64)}
    structural["quarters"] = np.zeros((2, 5, 24 * 60 // QUARTER, dims))  # counts: seen, and if its hour ran evenly
    jumped = np.full((2, len(JUMPS), SERIES, dims), SPREAD_WEIGHT, np.float32)
    jumped[0] *= over[:1] / SPREAD_WEIGHT
    return {**found, **structural, "jumped": jumped}


class Panel:
    """One layer; what is asked for must be among the records it was made with, or is taken for empty."""

    def __init__(self, layer: str, window: int, records: Mapping[str, bytes]) -> None:
        self.layer, self.window, self.records = layer, window, records
        self.widths = (*(width for width in SHORT if width < window), window)
        self.jumps = JUMPS if layer == ROOTS and window >= 2 * BASE else ()
        raw = records.get(f"names|{layer}")
        self.dims: list[str] = msgpack.decode(raw, type=list[str]) if raw else []
        self.place = {dim: place for place, dim in enumerate(self.dims)}
        self.course = self._read("course", _course(layer, len(self.dims)))
        self.learned = self._read("learned", _learned(layer, len(self.widths), len(self.dims)))
        self.ring = self._read_ring()
        self._cells: dict[int, Array] = {}
        self.changed: set[str] = set()

    def _read(self, name: str, empty: Arrays) -> Arrays:
        raw = self.records.get(f"{name}|{self.layer}")
        kept = unpack(raw) if raw else {}
        return {
            each: kept[each] if each in kept and kept[each].shape == new.shape else new for each, new in empty.items()
        }

    def _read_ring(self) -> Array:
        """Counters by minute modulo the longest window, [window, WIDTH, dims]."""
        ring = np.zeros((self.window, WIDTH, len(self.dims)), np.int64)
        for place in range(self.window):
            raw = self.records.get(f"ring|{self.layer}|{place}")
            if raw:
                counts = unpack(raw)["counts"]
                ring[place, :, : counts.shape[-1]] = counts
        return ring

    def add(self, dims: list[str], parents: list[int], minute: int) -> None:
        """New dimensions, first seen in `minute`."""
        count = len(dims)
        new = _learned(self.layer, len(self.widths), count)
        new["parent"][:], new["born"][:] = parents, minute
        fresh = _course(self.layer, count)
        for name in ("ordered", "spoke", "back"):
            fresh[name][:] = minute
        axis = {"mean": 1, "cov": 1}
        self.course = {n: np.concatenate([a, fresh[n]], axis=-1) for n, a in self.course.items()}
        self.learned = {n: np.concatenate([a, new[n]], axis=axis.get(n, -1)) for n, a in self.learned.items()}
        self.place |= {dim: len(self.dims) + place for place, dim in enumerate(dims)}
        self.dims += dims
        self.ring = self._grown(self.ring)
        self.changed |= {"names", "course", "learned"}

    def keep(self, kept: Array) -> None:
        """Forgets the other dimensions. Every cell must have been loaded."""
        axis = {"mean": 1, "cov": 1}
        self.course = {name: array[..., kept] for name, array in self.course.items()}
        self.learned = {n: np.compress(kept, a, axis=axis.get(n, a.ndim - 1)) for n, a in self.learned.items()}
        self._cells = {cell: self.cell(cell)[..., kept] for cell in range(CELLS)}
        self.ring = self.ring[..., kept]
        self.dims = [dim for dim, stays in zip(self.dims, kept.tolist(), strict=True) if stays]
        self.place = {dim: place for place, dim in enumerate(self.dims)}
        self.changed |= {"names", "course", "learned", *(f"ring|{place}" for place in range(self.window))}
        self.changed |= {f"cell|{cell}" for cell in range(CELLS)}

    def minute(self, minute: int) -> Array:
        """Counters of a minute, [WIDTH, dims], to be read and written."""
        found: Array = self.ring[minute % self.window]
        return found

    def cell(self, cell: int) -> Array:
        """Of an hour of the week, or behind them of the day: what was seen of each series and what was expected."""
        if cell not in self._cells:
            raw = self.records.get(f"cell|{self.layer}|{cell}")
            self._cells[cell] = unpack(raw)["profile"] if raw else np.zeros((2, SERIES, 0), np.float32)
        self._cells[cell] = found = self._grown(self._cells[cell])
        return found

    def _grown(self, array: Array) -> Array:
        """With places for dimensions that came since it was stored."""
        missing = len(self.dims) - array.shape[-1]
        if not missing:
            return array
        return np.concatenate([array, np.zeros((*array.shape[:-1], missing), array.dtype)], axis=-1)

    def touch(self, name: str) -> None:
        """`name` of a record, without its layer, will be written."""
        self.changed.add(name)

    def write(self) -> dict[str, bytes]:
        puts: dict[str, bytes] = {}
        for name in self.changed:
            kind, _, place = name.partition("|")
            record = f"{kind}|{self.layer}" + (f"|{place}" if place else "")
            if kind == "names":
                puts[record] = msgpack.encode(self.dims)
            elif kind in ("course", "learned"):
                puts[record] = pack(self.course if kind == "course" else self.learned)
            elif kind == "ring":
                puts[record] = pack({"counts": _trimmed(self.minute(int(place)))})
            else:
                puts[record] = pack({"profile": _trimmed(self.cell(int(place)))})
        return puts


def names(layer: str, window: int, cells: set[int]) -> list[str]:
    """The records that judging needs, with these cells of the profiles."""
    whole = [f"{name}|{layer}" for name in ("names", "course", "learned")]
    ring = [f"ring|{layer}|{place}" for place in range(window)]
    return [*whole, *ring, *(f"cell|{layer}|{cell}" for cell in sorted(cells))]
