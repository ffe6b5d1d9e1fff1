"""A human's word on which version of a model scores: sent to learning, which alone writes what it keeps."""

from __future__ import annotations

import time
from typing import Any

from msgspec import Struct
from rich.console import Console

from brewline.models.reading import Known, read_model
from brewline.trail import note, person
from config.settings import Settings
from features.versions import ROLLED_BACK, Appointment, Versions, encode_appointment
from operators.kafka import Unreachable, producer, require_kafka

WAIT_S = 10.0
LOOK_S = 0.1


class Appointed(Struct):
    """A word on which version scores; 0: as learning finds. `taken`: learning has taken it up."""

    model: str
    version: int
    why: str
    by: str
    taken: bool


def promote(settings: Settings, model: str, version: int, auto: bool, by: str, out: Console) -> int:
    """Exit code: 1 when learning has not taken it up. Raises ValueError, Unreachable."""
    return _print(put_first(settings, model, version, auto, by or person()), out)


def roll_back(settings: Settings, model: str, version: int, by: str, out: Console) -> int:
    """Exit code: 1 when learning has not taken it up. Raises ValueError, Unreachable."""
    return _print(put_back(settings, model, version, by or person()), out)


def put_first(settings: Settings, model: str, version: int, auto: bool, by: str) -> Appointed:
    """Lets a version score and pins it, or lets learning decide again. Raises ValueError, Unreachable."""
    if auto == bool(version):
        raise ValueError("models promote: say either which version, or --auto")
    known = read_model(settings, model)
    if auto and not known.versions.pinned:
        raise ValueError(f"models promote: {model} is not pinned: whichever learning finds best scores already")
    if not auto:
        _require(known, version)
    return _appoint(settings, known, version, "unpinned" if auto else "promoted", by)


def put_back(settings: Settings, model: str, version: int, by: str) -> Appointed:
    """Lets an earlier version score, by default the champion before the present one. Raises ValueError, Unreachable."""
    known = read_model(settings, model)
    version = version or known.versions.former
    if not version:
        raise ValueError(f"models rollback: no champion of {model} before the present one is kept; {_kept(known)}")
    _require(known, version)
    return _appoint(settings, known, version, ROLLED_BACK, by)


def _require(known: Known, version: int) -> None:
    name, versions = known.subject.name, known.versions
    if versions.find(version) is None:
        raise ValueError(f"models: {name} has no version {version}; {_kept(known)}")
    if fault := known.faults[version]:
        raise ValueError(f"models: version {version} of {name} cannot score: {fault}; {_kept(known)}")
    if versions.champion == version and versions.pinned:
        raise ValueError(f"models: version {version} of {name} scores already, and is pinned")


def _kept(known: Known) -> str:
    fit = [str(version.number) for version in known.versions.kept if not known.faults[version.number]]
    return f"those that can score are {', '.join(fit)}" if fit else "none is kept that can score"


def _appoint(settings: Settings, known: Known, version: int, why: str, by: str) -> Appointed:
    word = Appointment(known.subject.name, version, why, by, round(time.time() * 1000))
    note(settings, "model_promotion", f"{word.model} {version}: {why}", by=word.by)
    _send(settings, word)
    end = time.monotonic() + WAIT_S
    while not (taken := _is_done(read_model(settings, word.model).versions, word)) and time.monotonic() < end:
        time.sleep(LOOK_S)
    return Appointed(word.model, version, why, by, taken)


def _print(done: Appointed, out: Console) -> int:
    if not done.taken:
        out.print(f"learning has not taken it up within {WAIT_S:g} s: it will, as soon as it runs", soft_wrap=True)
        return 1
    told = f"version {done.version} is pinned" if done.version else "learning decides again which version scores"
    out.print(
        f"{done.model}: {told} ({done.why} by {done.by}); scorers look once a second", soft_wrap=True, markup=False
    )
    return 0


def _is_done(versions: Versions, word: Appointment) -> bool:
    if not word.version:
        return not versions.pinned
    return versions.pinned and versions.champion == word.version


def _send(settings: Settings, word: Appointment) -> None:
    client = settings.kafka.librdkafka()
    require_kafka(client, settings.kafka.start_timeout_s)
    sender, failed = producer(client), list[Any]()
    sender.produce(
        settings.topic("examples"),
        encode_appointment(word),
        word.model,
        on_delivery=lambda error, _: failed.append(error) if error else None,
    )
    if sender.flush(WAIT_S) or failed:
        raise Unreachable("Kafka did not take the word; the same command may be given again")
