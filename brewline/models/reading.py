"""What is stored of models: versions, what is watched of them, and whether each can score."""

from __future__ import annotations

from functools import partial

from msgspec import Struct
from redis import Redis

from config.settings import Settings
from features.course import Subject, subjects
from features.models import LinearModel
from features.partitions import partition_of
from features.versions import Unusable, Versions, decode_versions, unseal, version_key, versions_key
from features.watch import Watch, decode_watch
from features.written import hint
from flows.files import load_catalog
from operators.layout import stored_partitions
from operators.redis_link import connect_redis
from operators.store import PartitionStore


class Known(Struct):
    """A model: `faults` says by version why it could not score, empty where it can; `fit`: those that can."""

    subject: Subject
    versions: Versions
    watch: Watch
    faults: dict[int, str]
    fit: dict[int, LinearModel]


def read_models(settings: Settings) -> dict[str, Known]:
    """By name, all that are declared. Raises Unreachable."""
    redis = connect_redis(settings.redis.url, settings.redis.start_timeout_s)
    return known_models(redis, settings.redis.prefix, subjects(load_catalog(settings)))


def known_models(redis: Redis, prefix: str, declared: dict[str, Subject]) -> dict[str, Known]:
    """By name, those that are declared."""
    return {name: _known(redis, prefix, subject) for name, subject in declared.items()}


def read_model(settings: Settings, name: str) -> Known:
    """Raises ValueError for no such model, or one of which there is no version yet."""
    models = read_models(settings)
    if name not in models:
        raise ValueError(f"models: there is no model {name!r}{hint(name, models)}")
    if not models[name].versions.kept:
        raise ValueError(
            f"models: there is no version of {name} yet: the first one is published when"
            f" {settings.learning.publish_every} labels were learned from"
        )
    return models[name]


def _known(redis: Redis, prefix: str, subject: Subject) -> Known:
    store = PartitionStore(redis, prefix, "learning")
    partition = partition_of(subject.name, stored_partitions(redis, prefix, "examples") or 1)

    get = partial(store.record, partition)

    stored, watched = get(versions_key(subject.name)), get(f"watch|{subject.name}")
    versions = decode_versions(stored) if stored else Versions()
    faults, fit = {}, {}
    for version in versions.kept:
        try:
            raw = get(version_key(subject.name, version.number))
            fit[version.number] = unseal(raw, subject.name, version.number, subject.layout)
            faults[version.number] = ""
        except Unusable as unusable:
            faults[version.number] = unusable.reason
    return Known(subject, versions, decode_watch(watched) if watched else Watch(), faults, fit)
