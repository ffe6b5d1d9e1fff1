"""Versions of a model as they are kept: each sealed for itself, and by model which of them scores.

`versions|<model>` names the champion, which scores, and the challenger, which is compared with it; `model|<model>|<n>`
is version n: 16 bytes of BLAKE2b over the rest, then msgpack.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from math import isfinite

import msgspec
from msgspec import Struct, json, msgpack

from features.models import LinearModel, decode_model, encode_model

DIGEST_BYTES = 16
TURNS_KEPT = 20
ROLLED_BACK = "rolled back"  # why a champion has turned
START = b'{"type":"champion"'  # of an appointment in the topic of examples


REASONS = ("missing", "corrupt", "undecodable", "layout")


class Unusable(Exception):
    """A stored version that must not score. `reason`: one of REASONS."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Sealed(Struct, array_like=True):
    """A version as it was published. `figures`: of the version before it, on labels that came after that one."""

    name: str
    version: int
    layout: str
    labels: int
    at_ms: int
    figures: dict[str, float | None]
    model: bytes


class Comparison(Struct, array_like=True):
    """A challenger and the champion of then on the same labels, none of which either had learned from: mean losses."""

    champion: int
    labels: int
    loss: float
    champion_loss: float

    @property
    def won(self) -> bool:
        """At least as good; nobody is beside a loss that is no number."""
        return isfinite(self.loss) and isfinite(self.champion_loss) and self.loss <= self.champion_loss


class Version(Struct, array_like=True):
    """What is told of a version that is kept; event time."""

    number: int
    layout: str
    labels: int
    at_ms: int
    figures: dict[str, float | None] = {}
    compared: Comparison | None = None


class Turn(Struct, array_like=True):
    """A change of champion, or that one was pinned or set free. `why`: first, unusable, better, promoted, rolled back,
    unpinned."""

    at_ms: int
    version: int
    before: int
    why: str
    by: str = ""


class Versions(Struct, array_like=True):
    """Of one model; 0 is none. A pinned champion stays until a human says otherwise, and is never `held` back."""

    champion: int = 0
    challenger: int = 0
    pinned: bool = False
    kept: list[Version] = []  # the oldest first
    turns: list[Turn] = []  # the latest
    held: bool = False  # the champion was worse than a baseline over the latest window: its scores have no value
    formers: list[int] = []  # champions before the present one, each once, the latest last; who is rolled back is none

    def turn(self, at_ms: int, version: int, why: str, by: str = "") -> None:
        self.turns = [*self.turns, Turn(at_ms, version, self.champion, why, by)][-TURNS_KEPT:]
        if why == ROLLED_BACK and version in self.formers:
            self.formers = self.formers[: self.formers.index(version)]
        elif why != ROLLED_BACK and version != self.champion:
            self.formers = [n for n in (*self.formers, self.champion) if n not in (0, version)]
        self.champion = version
        self.challenger = 0 if self.challenger == version else self.challenger

    def find(self, number: int) -> Version | None:
        return next((version for version in self.kept if version.number == number), None)

    @property
    def scores(self) -> int:
        """The version whose scores have a value."""
        return 0 if self.held else self.champion

    @property
    def former(self) -> int:
        """The champion before the present one, of those that are kept; 0: there is none."""
        return next((number for number in reversed(self.formers) if self.find(number)), 0)

    def trim(self, most: int) -> list[int]:
        """Lets the oldest go beyond `most`, never one that scores, is compared or may be rolled back to; their
        numbers."""
        needed = {self.champion, self.challenger, self.former}
        spare = [version.number for version in self.kept[: max(0, len(self.kept) - most)]]
        gone = [number for number in spare if number not in needed]
        self.kept = [version for version in self.kept if version.number not in gone]
        self.formers = [number for number in self.formers if number not in gone]
        return gone

    @property
    def fallbacks(self) -> list[int]:
        """What may score in place of the champion: the latest first."""
        return [version.number for version in reversed(self.kept) if version.number < self.champion]


class Appointment(Struct, tag="champion"):
    """A human's word on who scores: `version` from now on, whatever learning finds; 0: as learning finds."""

    model: str
    version: int
    why: str
    by: str
    at_ms: int


encode_versions = msgpack.Encoder().encode
decode_versions = msgpack.Decoder(Versions).decode
encode_appointment = json.Encoder().encode
decode_appointment = json.Decoder(Appointment).decode
_encode = msgpack.Encoder().encode
_decode = msgpack.Decoder(Sealed).decode


def versions_key(model: str) -> str:
    return f"versions|{model}"


def version_key(model: str, number: int) -> str:
    return f"model|{model}|{number}"


def seal(model: LinearModel, at_ms: int, figures: dict[str, float | None]) -> bytes:
    body = _encode(Sealed(model.name, model.version, model.layout, model.labels, at_ms, figures, encode_model(model)))
    return _digest(body) + body


def open_sealed(raw: bytes | None) -> Sealed:
    """Raises Unusable."""
    if raw is None:
        raise Unusable("missing")
    if _digest(raw[DIGEST_BYTES:]) != raw[:DIGEST_BYTES]:
        raise Unusable("corrupt")
    try:
        return _decode(raw[DIGEST_BYTES:])
    except msgspec.DecodeError as error:
        raise Unusable("undecodable") from error


def unseal(raw: bytes | None, name: str, number: int, layout: str) -> LinearModel:
    """The model of that name, number and layout. Raises Unusable."""
    sealed = open_sealed(raw)
    if sealed.layout != layout:
        raise Unusable("layout")
    try:
        model = decode_model(sealed.model)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Unusable("undecodable") from error
    if (model.name, model.version, model.layout) != (name, number, layout):
        raise Unusable("corrupt")
    return model


def champion(name: str, layout: str, records: Mapping[str, bytes]) -> LinearModel | None:
    """Who scores by these records; None where nobody can."""
    stored = records.get(versions_key(name))
    number = decode_versions(stored).scores if stored else 0
    try:
        return unseal(records.get(version_key(name, number)), name, number, layout)
    except Unusable:
        return None


def sole(model: LinearModel, at_ms: int = 0) -> dict[str, bytes]:
    """Records under which this version is the champion, and the only one."""
    versions = Versions(kept=[Version(model.version, model.layout, model.labels, at_ms)])
    versions.turn(at_ms, model.version, "first")
    return {
        versions_key(model.name): encode_versions(versions),
        version_key(model.name, model.version): seal(model, at_ms, {}),
    }


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=DIGEST_BYTES).digest()
