"""The sinks of the settings, with their secrets, which stand in the environment or in files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from alerts.notices.sink import SECRETIVE, OverHttp, Sink, Sinks, read_sinks, variable
from config.reading import SINK_SECRET
from config.settings import Settings, WrongSettings
from flows.files import text
from operators.sinks import Target, make_target


def load_sinks(settings: Settings) -> Sinks:
    """Raises WrongSinks, WrongSettings."""
    path = settings.path(settings.sinks)
    return read_sinks(text(path), str(path))


def load_targets(settings: Settings, sinks: Sinks, environ: Mapping[str, str] = os.environ) -> list[Target]:
    """Raises WrongSettings, which names where a secret is looked for and quotes nothing of it."""
    known = [variable(name) for name in sinks.sinks]
    for name, value in environ.items():
        if name.startswith(SINK_SECRET) and value and name not in known:
            told = ", ".join(known) or "none, as no sink is configured"
            raise WrongSettings(f"environment variable {name}: there is no such sink; expected {told}")
    folder = settings.path(settings.sinks).parent
    return [_target(folder, name, sink, environ) for name, sink in sinks.sinks.items()]


def _target(folder: Path, name: str, sink: Sink, environ: Mapping[str, str]) -> Target:
    secret, place = "", f"[sinks.{name}]"
    if isinstance(sink, OverHttp):
        secret, place = _secret(folder, name, sink, environ)
    try:
        return make_target(name, sink, secret, folder)
    except ValueError as error:
        raise WrongSettings(f"{place}: {error}") from None
    except OSError as error:
        raise WrongSettings(f"[sinks.{name}]: a certificate or key cannot be used: {error}") from None


def _secret(folder: Path, name: str, sink: OverHttp, environ: Mapping[str, str]) -> tuple[str, str]:
    """The secret, and where it was found."""
    if named := environ.get(variable(name), ""):
        return named, f"environment variable {variable(name)}"
    if sink.secret_file:
        return text(folder / sink.secret_file), f"[sinks.{name}] secret_file"
    if isinstance(sink, SECRETIVE):
        raise WrongSettings(
            f"[sinks.{name}]: there is no secret: set {variable(name)}, or secret_file to a file that holds it"
        )
    return "", f"[sinks.{name}]"
