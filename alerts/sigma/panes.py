"""Older values of a group that has too many, stretch by stretch, as sketches."""

from __future__ import annotations

from bisect import bisect_left
from operator import attrgetter

from msgspec import Struct

from alerts.sigma import sketch
from alerts.sigma.measure import Counted


class Pane(Struct, array_like=True):
    """Values of one stretch of time, as a sketch."""

    start_ms: int
    end_ms: int  # the time of the latest
    events: int
    registers: bytearray


def add(panes: list[Pane], start_ms: int, counted: Counted) -> None:
    """Into the pane that begins then; they stay in order."""
    place = bisect_left(panes, start_ms, key=attrgetter("start_ms"))
    if place == len(panes) or panes[place].start_ms != start_ms:
        panes.insert(place, Pane(start_ms, counted.at_ms, 0, sketch.empty()))
    pane = panes[place]
    sketch.add(pane.registers, int(counted.value))
    pane.end_ms = max(pane.end_ms, counted.at_ms)
    pane.events += counted.events


def different(panes: list[Pane], held: list[Counted]) -> float:
    """How many different values there are in these panes and events, about."""
    exact = sketch.empty()
    for counted in held:
        sketch.add(exact, int(counted.value))
    return sketch.estimate([exact, *(pane.registers for pane in panes)])
