"""Reads the files that people edit; every error names file, key, what was found and what to write."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from alerts.service.promise import Promises, read_promises
from config.settings import Settings, WrongSettings
from features.catalog import Catalog, build_catalog
from features.check import Limits
from features.stores import Stores, read_stores
from features.times import parse_time

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def load_catalog(settings: Settings) -> Catalog:
    return build_catalog(load_features(settings), str(settings.path(settings.features)))


def load_features(settings: Settings) -> dict[str, Any]:
    """The features file, parsed; `load_catalog` checks it."""
    path = settings.path(settings.features)
    try:
        return tomllib.loads(text(path))
    except tomllib.TOMLDecodeError as error:
        raise WrongSettings(f"{path}: not valid TOML: {error}") from error


def texts(folder: Path, pattern: str) -> list[tuple[str, str]]:
    """(file, text) of the files under a folder, by name."""
    if not folder.is_dir():
        raise WrongSettings(f"{folder}: is no folder; rules are looked for there")
    return [(str(path), text(path)) for path in sorted(folder.rglob(pattern))]


def load_stores(settings: Settings) -> Stores:
    if not settings.stores.file:
        return Stores(settings.stores.timezone)
    path = settings.path(settings.stores.file)
    return read_stores(text(path).splitlines(), settings.stores.timezone, str(path))


def load_promises(settings: Settings) -> Promises:
    """Raises WrongPromises, WrongSettings."""
    path = settings.path(settings.service.promises)
    return read_promises(text(path), str(path))


def load_limits(settings: Settings) -> Limits:
    time = settings.time
    return Limits(settings.kafka.max_event_bytes, parse_time(time.earliest), round(time.max_future_s * 1000))


def text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongSettings(f"{path}: cannot be read: {error}") from error
