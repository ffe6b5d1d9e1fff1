"""Reads the files that people edit; every error names file, key, what was found and what to write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alerts.kpis.catalog import KpiCatalog
from alerts.kpis.declared import read_kpis
from alerts.service.promise import Promises, read_promises
from config.settings import Settings, WrongSettings
from features.building import build_catalog
from features.catalog import Catalog
from features.check import Limits
from features.stores import Stores, read_stores
from features.tasks import Task, read_tasks
from features.times import parse_time
from features.written import read_toml


def load_catalog(settings: Settings) -> Catalog:
    files = [str(settings.path(name)) for name in (settings.features, settings.models)]
    return build_catalog(load_features(settings), files[0], load_tasks(settings), files[1])


def load_features(settings: Settings) -> dict[str, Any]:
    """The features file, parsed; `load_catalog` checks it."""
    path = settings.path(settings.features)
    return read_toml(text(path), str(path), WrongSettings)


def load_tasks(settings: Settings) -> dict[str, Task]:
    """What models are to foretell, by model. Raises WrongFeatures, WrongSettings."""
    path = settings.path(settings.models)
    return read_tasks(text(path), str(path)) if settings.models else {}


def texts(folder: Path, pattern: str, undecoded: str = "strict") -> list[tuple[str, str]]:
    """(file, text) of the files under a folder, by name; `undecoded`: what becomes of bytes that are no UTF-8."""
    if not folder.is_dir():
        raise WrongSettings(f"{folder}: is no folder; rules are looked for there")
    return [(str(path), text(path, undecoded)) for path in sorted(folder.rglob(pattern))]


def load_stores(settings: Settings) -> Stores:
    if not settings.stores.file:
        return Stores(settings.stores.timezone)
    path = settings.path(settings.stores.file)
    return read_stores(text(path).splitlines(), settings.stores.timezone, str(path))


def load_regions(settings: Settings) -> dict[str, str]:
    """Of each store. Raises WrongStores, WrongSettings."""
    return {store: region for store, (region, _) in load_stores(settings).places.items()}


def load_promises(settings: Settings) -> Promises:
    """Raises WrongPromises, WrongSettings."""
    path = settings.path(settings.service.promises)
    return read_promises(text(path), str(path))


def load_kpis(settings: Settings) -> KpiCatalog:
    """Raises WrongKpis, WrongSettings."""
    path = settings.path(settings.kpis.declared)
    return read_kpis(text(path), str(path))


def load_limits(settings: Settings) -> Limits:
    time = settings.time
    return Limits(settings.kafka.max_event_bytes, parse_time(time.earliest), round(time.max_future_s * 1000))


def text(path: Path, undecoded: str = "strict") -> str:
    try:
        return path.read_text("utf-8-sig", undecoded)  # as Notepad writes it
    except (OSError, UnicodeDecodeError) as error:
        raise WrongSettings(f"{path}: cannot be read: {error}") from error
