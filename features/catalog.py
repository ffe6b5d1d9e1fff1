"""The declared features: measures, windows, ratios and recencies, checked once at load."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches
from hashlib import blake2b
from typing import Any, Literal

import msgspec
from msgspec import Struct

from features.events import CUSTOMER_EVENTS
from features.kernel import MEASURES
from features.times import UNITS_MS, parse_duration

Amount = int | str
BUILT_IN = ("rhythm_days", "gap_over_rhythm", "age_days", "complaints_open")
COMPUTED = {"order": {"items"}, "rating": {"star_tenths"}}  # amounts that are no field of the event


class WrongFeatures(ValueError):
    """A features file that cannot be used; the message names file, key, found and expected."""


class Recency(Struct, forbid_unknown_fields=True):
    event: str
    unit: Literal["d", "h", "m"]


class Inputs(Struct, forbid_unknown_fields=True):
    features: list[str]


class Declared(Struct, forbid_unknown_fields=True):
    windows: list[str]
    measures: dict[str, dict[str, Amount]]
    ratios: dict[str, tuple[str, str]] = {}
    recency: dict[str, Recency] = {}
    models: dict[str, Inputs] = {}


class Effect(Struct, frozen=True):
    """What one event type does to one measure: `sign` × the field, or × 1 where `field` is empty."""

    measure: int
    sign: int
    field: str
    undo: bool


class Catalog(Struct, frozen=True):
    """Feature names in column order, and how to fill them."""

    measures: list[str]
    windows: list[str]
    names: list[str]
    effects: dict[str, list[Effect]]
    ratios: list[tuple[int, int]]
    recencies: list[tuple[str, int]]  # event type, unit in ms
    models: dict[str, list[int]]  # model → columns it sees
    kept_days: int  # daily panes a record keeps
    layout: str  # changes when the meaning of a stored record changes

    def index(self, name: str) -> int:
        return self.names.index(name)


def build_catalog(raw: dict[str, Any], file: str = "features.toml") -> Catalog:
    """The catalog of a parsed features file. Raises WrongFeatures."""
    try:
        declared = msgspec.convert(raw, Declared)
    except msgspec.ValidationError as error:
        raise WrongFeatures(f"{file}: {error}") from error
    for window in declared.windows:
        _check_window(window, file)
    if "orders" not in declared.measures:
        raise WrongFeatures(f"{file}: [measures]: 'orders' is missing: the rhythm of a customer is counted in orders")
    if len(declared.measures) > MEASURES:
        raise WrongFeatures(f"{file}: [measures]: found {len(declared.measures)}, a record has room for {MEASURES}")
    measures = list(declared.measures)
    names = [f"{m}_{w}" for w in declared.windows for m in measures]
    ratios = [
        (_position(top, names, file, f"[ratios] {key}"), _position(bottom, names, file, f"[ratios] {key}"))
        for key, (top, bottom) in declared.ratios.items()
    ]
    recencies = []
    for key, recency in declared.recency.items():
        _known_event(recency.event, file, f"[recency] {key}")
        recencies.append((recency.event, UNITS_MS[recency.unit]))
    names = [*names, *declared.ratios, *declared.recency, *BUILT_IN]
    _check_names([*names, *declared.models], file)
    return Catalog(
        measures=measures,
        windows=declared.windows,
        names=names,
        effects=_effects(declared, file),
        ratios=ratios,
        recencies=recencies,
        models={
            m: [_position(f, names, file, f"[models.{m}]") for f in i.features] for m, i in declared.models.items()
        },
        kept_days=max((_days(window) for window in declared.windows), default=0) + 1,
        layout=blake2b(repr((measures, declared.measures)).encode(), digest_size=4).hexdigest(),
    )


def _effects(declared: Declared, file: str) -> dict[str, list[Effect]]:
    effects: dict[str, list[Effect]] = {}
    for index, (measure, amounts) in enumerate(declared.measures.items()):
        for event, amount in amounts.items():
            where = f"[measures] {measure}"
            _known_event(event, file, where)
            effects.setdefault(event, []).append(_effect(index, event, amount, f"{file}: {where}: {event}"))
    return effects


def _effect(measure: int, event: str, amount: Amount, where: str) -> Effect:
    if isinstance(amount, int):
        sign, name = amount, ""
    else:
        sign, name = (-1, amount[1:]) if amount.startswith("-") else (1, amount)
        fields = _whole_numbers(event)
        if name not in fields:
            raise WrongFeatures(f"{where}: there is no whole-number field {name!r}{_hint(name, fields)}")
    undo = sign < 0
    if undo and event not in ("refund", "void"):
        raise WrongFeatures(f"{where}: only refund and void can take back, found {amount!r}")
    return Effect(measure, sign, name, undo)


def _whole_numbers(event: str) -> set[str]:
    """Names of what can be added up: panes hold integers."""
    fields = msgspec.structs.fields(CUSTOMER_EVENTS[event])
    return {f.name for f in fields if getattr(f.type, "__origin__", f.type) is int} | COMPUTED.get(event, set())


def _check_names(names: list[str], file: str) -> None:
    for name, uses in Counter(names).items():
        if uses > 1:
            raise WrongFeatures(f"{file}: the name {name!r} is taken: choose another")


def _days(window: str) -> int:
    return int(window[:-1]) if window.endswith("d") else 1


def _check_window(window: str, file: str) -> None:
    if window == "lifetime":
        return
    try:
        length_ms = parse_duration(window)
    except ValueError as error:
        raise WrongFeatures(f"{file}: windows: {error}") from error
    if not (length_ms in (UNITS_MS["h"], 24 * UNITS_MS["h"]) or (length_ms > 0 and window[-1] == "d")):
        raise WrongFeatures(f"{file}: windows: found {window!r}, expected '1h', '24h', whole days or 'lifetime'")


def _known_event(event: str, file: str, where: str) -> None:
    if event not in CUSTOMER_EVENTS:
        raise WrongFeatures(f"{file}: {where}: there is no event {event!r}{_hint(event, CUSTOMER_EVENTS)}")


def _position(name: str, names: list[str], file: str, where: str) -> int:
    if name not in names:
        raise WrongFeatures(f"{file}: {where}: there is no feature {name!r}{_hint(name, names)}")
    return names.index(name)


def _hint(name: str, known: Any) -> str:
    close = get_close_matches(name, list(known), 1)
    return f"; did you mean {close[0]!r}?" if close else ""
