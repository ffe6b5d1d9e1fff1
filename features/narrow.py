"""A features file cut down to what somebody reads: the same values, out of smaller records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from features.catalog import POINTS
from features.declared import WINDOWED, days_in
from features.tasks import Task

Raw = dict[str, Any]


def asked_models(tasks: Mapping[str, Task], names: Iterable[str], scored: bool) -> dict[str, Task]:
    """The models among these names; without their inputs, unless somebody has `scored`: there is no score."""
    asked = {name: tasks[name] for name in names if name in tasks}
    return asked if scored else {name: replace(task, features=[]) for name, task in asked.items()}


def narrow(raw: Raw, names: Iterable[str], tasks: Mapping[str, Task] | None = None) -> Raw:
    """What a parsed features file that has been checked says of these features, of what these models see, and of those
    they are made of."""
    inputs = {feature for task in (tasks or {}).values() for feature in task.features}
    wanted = _with_parts(raw, {*names, *inputs})
    measures = {name: _measure(name, measure, raw["windows"], wanted) for name, measure in raw["measures"].items()}
    if measures["orders"] is None:  # the rhythm is counted in them
        measures["orders"] = {**raw["measures"]["orders"], "windows": ["lifetime"]}
    kept = {part: _only(raw.get(part, {}), wanted) for part in ("recency", "ratios", "bands", "segments")}
    points = {"points": raw["points"]} if "points" in raw and not wanted.isdisjoint(POINTS) else {}
    known = {name: measure for name, measure in measures.items() if measure is not None}
    return {"windows": _longest(raw), "measures": known, **kept, **points}


def _longest(raw: Raw) -> list[str]:
    """The window that says for how long panes are kept, which a late event reads as of its own time."""
    own = (window for measure in raw["measures"].values() for window in measure.get("windows", ()))
    return [max((*raw["windows"], *own), key=days_in)]


def _with_parts(raw: Raw, names: set[str]) -> set[str]:
    """These features and all that they are made of."""
    wanted: set[str] = set()
    while names - wanted:
        wanted |= names
        names = {part for name in names for part in _parts(raw, name)}
    return wanted


def _parts(raw: Raw, name: str) -> Iterator[str]:
    yield from raw.get("ratios", {}).get(name, ())
    if name in raw.get("bands", {}):
        yield raw["bands"][name]["of"]
    for segment in raw.get("segments", {}).get(name, ()):
        yield from segment.get("when", {})


def _measure(name: str, measure: Raw, windows: list[str], wanted: set[str]) -> Raw | None:
    """The measure with the windows that are wanted of it; None when nothing is."""
    if measure.get("aggregate", "sum") not in WINDOWED:
        return measure if wanted & {name, f"{name}_share"} else None
    kept = [window for window in measure.get("windows", windows) if f"{name}_{window}" in wanted]
    return {**measure, "windows": kept} if kept else None


def _only(table: Raw, wanted: set[str]) -> Raw:
    return {name: value for name, value in table.items() if name in wanted}
