"""Tells of each value of a metric how surprising it is and whether to alert, as values come, by one set of numbers.

    state = begin()
    score = step(state, at_ms, value)

The same values give the same scores, whether one by one or in batches, whether the state was stored in between or not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from msgspec import Struct, msgpack
from numpy.typing import ArrayLike, NDArray

from alerts.metric.kernel import SCALES, SLOTS, VIEWS, Floats, Knobs, Memory, advance, decide, recount

VERSION = 1  # of the stored state; another one begins anew
ROOM = 1024  # steps between two moves of the ring
REMADE = ("ring", "distances")  # the first is stored as whole numbers, the second made anew


class Settings(Struct, frozen=True):
    """What the detector goes by; points are values that came, whatever their distance in time."""

    threshold: float = 1.12  # mean of the views' -log10 p
    history: int = 4000  # points that windows are looked for in, and the long mean is made of
    lags: tuple[int, ...] = (8, 32, 96)  # points in a window
    nearest: int = 3  # which of the nearest windows tells how far
    apart: int = 96  # points between a window and one that it may resemble
    short: int = 8  # points of the short mean
    long: int = 96
    residuals: int = 32  # from what is usual at this time of day, in their mean
    slots_of_day: int = 288
    profile_weight: float = 0.1  # of the latest value in what is usual at its time of day
    tail: float = 0.05  # share of the largest of a view that the exponential is fitted to
    cap: float = 4.0  # of -log10 p of one view
    half_life: float = 3000.0  # points after which a value of a view counts half
    least_seen: int = 100  # values of a view before it has a say
    rise: float = 0.1  # of the threshold with each alert
    forget: float = 7000.0  # points after which an alert counts half in that
    hold: int = 50  # points without another alert after one
    boost: float = 1.0  # of the threshold by the peak of the last alert
    fade: float = 35.0  # points after which that peak counts half


SETTINGS = Settings()
SEEN_IN = ("level", "short mean", "long mean", "short shape", "shape", "long shape", "time of day", "times of day")


class Score(Struct, frozen=True):
    """`value`: 0 to 1, how rare in all views; `alert`: tell somebody, once; `why`: the views in which it is rarest."""

    value: float = 0.0
    alert: bool = False
    why: tuple[str, ...] = ()
    missing: bool = False


@dataclass(frozen=True)
class State:
    """What is known of one metric; `step` changes it in place."""

    settings: Settings
    knobs: Knobs
    memory: Memory


def begin(settings: Settings = SETTINGS) -> State:
    """A state that knows nothing yet."""
    kept, rows = _kept(settings), SCALES * VIEWS
    memory = Memory(
        ring=np.zeros((SCALES, kept + ROOM)),
        place=np.array([ROOM, 0]),
        size=np.zeros(1),
        measure=np.zeros((SCALES, 3)),
        distances=np.zeros((SCALES, len(settings.lags), settings.history + 1)),
        profile=np.zeros((SCALES, settings.slots_of_day)),
        profiled=np.zeros(settings.slots_of_day, np.int64),
        residuals=np.zeros((SCALES, settings.residuals)),
        weights=np.zeros((rows, SLOTS)),
        amounts=np.zeros((rows, SLOTS)),
        least=np.full(rows, -np.inf),
        seen=np.zeros(rows, np.int64),
        weight=np.ones(1),
        alerts=no_alerts(settings),
    )
    return State(settings, knobs_of(settings), memory)


def no_alerts(settings: Settings) -> Floats:
    """What `decide` remembers before the first alert."""
    return np.array([settings.hold, 0.0, 0.0], np.float64)


def knobs_of(settings: Settings) -> Knobs:
    """Settings as the compiled functions take them."""
    known = {name: getattr(settings, name) for name in Knobs._fields if name != "lags"}
    return Knobs(lags=np.array(settings.lags), **known)


def step(state: State, at_ms: int, value: float | None) -> Score:
    """Takes in one value; None, NaN and infinity are missing, and are not learned."""
    rare = rarities(state, [at_ms], [np.nan if value is None else value])
    fires = alerts(state, rare)
    if np.isnan(rare[0, 0]):
        return Score(missing=True)
    by_view = rare[0].reshape(SCALES, VIEWS).max(axis=0)
    most = [name for name, found in zip(SEEN_IN, by_view, strict=True) if found and found == by_view.max()]
    return Score(float(scores(state, rare)[0]), bool(fires[0]), tuple(most))


def rarities(state: State, at_ms: ArrayLike, values: ArrayLike) -> Floats:
    """Takes in values: values x (scale and view), -log10 p of each up to `cap`; a row of NaN where one is missing."""
    known = np.asarray(values, np.float64)
    rare = np.empty((len(known), SCALES * VIEWS))
    advance(np.asarray(at_ms, np.int64), known, state.knobs, state.memory, rare)
    return rare


def scores(state: State, rare: Floats) -> Floats:
    """0 to 1 of each value; NaN where it is missing."""
    return np.asarray(rare.mean(axis=1) / state.settings.cap)


def alerts(state: State, rare: Floats) -> NDArray[np.bool_]:
    """Which of the values that were just taken in are alerts; goes on from the alerts so far."""
    fires = np.zeros(len(rare), np.bool_)
    decide(rare.mean(axis=1), state.settings.threshold, state.knobs, state.memory.alerts, fires)
    return fires


class _Stored(Struct, array_like=True):
    version: int
    arrays: dict[str, bytes]


def encode(state: State) -> bytes:
    """The state as bytes; what can be made anew exactly is left out."""
    memory, first, kept = state.memory, int(state.memory.place[0]), _kept(state.settings)
    arrays = {name: array.tobytes() for name, array in memory._asdict().items() if name not in REMADE}
    arrays["place"] = np.array([ROOM, memory.place[1]]).tobytes()
    arrays["ring"] = memory.ring[:, first : first + kept].astype(np.int32).tobytes()
    return msgpack.encode(_Stored(VERSION, arrays))


def decode(raw: bytes, settings: Settings = SETTINGS) -> State:
    """A stored state; of another version or with other settings' sizes, one that begins anew."""
    state, stored, kept = begin(settings), msgpack.decode(raw, type=_Stored), _kept(settings)
    memory = state.memory
    arrays = {name: array for name, array in memory._asdict().items() if name not in REMADE}
    sizes = {name: array.nbytes for name, array in arrays.items()} | {"ring": SCALES * kept * 4}
    if stored.version != VERSION or {name: len(raw) for name, raw in stored.arrays.items()} != sizes:
        return state
    for name, array in arrays.items():
        array[...] = np.frombuffer(stored.arrays[name], array.dtype).reshape(array.shape)
    memory.ring[:, ROOM : ROOM + kept] = np.frombuffer(stored.arrays["ring"], np.int32).reshape(SCALES, kept)
    for scale in range(SCALES):
        recount(scale, ROOM, state.knobs, memory)
    return state


def _kept(settings: Settings) -> int:
    """Points in the ring that are still asked for."""
    return settings.history + settings.lags[-1] + 1
