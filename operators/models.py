"""What learning has published, as scorers and rules read it: once a second, between batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from itertools import product
from typing import Any

import msgspec
import structlog
from msgspec.structs import asdict
from redis import Redis
from redis.exceptions import RedisError

from features.arms import Weights, decode_weights, weights_key
from features.models import LinearModel
from features.partitions import partition_of
from features.trials import trials_key
from features.versions import (
    REASONS,
    Turn,
    Unusable,
    Versions,
    decode_versions,
    unseal,
    version_key,
    versions_key,
)
from operators.health import MODEL, REFUSALS
from operators.layout import stored_partitions
from operators.store import PartitionStore

log = structlog.get_logger()
EVERY_S = 1.0


class PublishedModels:
    """Keeps `models` current from the learning flow's records: of each the champion. One that cannot score is refused,
    and the one before stays; at the start, the latest older one that can score serves. So it keeps the `weights` of
    arms, of those rules that `learns` names. A champion that is held back leaves `models`.

    While Redis is away, too, the last ones stay. Raises RedisError when it was never asked, for then there are none.
    """

    def __init__(self, store: PartitionStore, partitions: int, layouts: dict[str, str]) -> None:
        self.store = store
        self.partitions = partitions
        self.layouts = layouts  # model → hash of the inputs it must have been learned on
        self.models: dict[str, LinearModel] = {}
        self.learns: Iterable[str] = ()
        self.weights: dict[str, Weights] = {}
        self.next_s = 0.0
        self.asked: set[str] = set()  # models that Redis was asked for, be it that there are none yet
        self.turned: dict[str, Turn] = {}  # model → its latest turn
        self.scoring: dict[str, tuple[int, bytes]] = {}  # model → its champion and the bytes of it, once it scores
        self.refused: dict[str, tuple[int, str]] = {}  # model → champion that was refused last, and why
        for name, reason in product(layouts, REASONS):
            REFUSALS.labels(name, reason)  # from the start, so that the first one is a rise

    def refresh(self) -> None:
        if time.monotonic() < self.next_s:
            return
        for name in self.layouts:
            self._ask(name, self._follow)
        for rule in self.learns:
            self._ask(rule, self._weigh)
        self.next_s = time.monotonic() + EVERY_S

    def _ask(self, name: str, follow: Callable[[str], None]) -> None:
        try:
            follow(name)
        except RedisError as error:
            if name not in self.asked:
                raise
            log.warning("not read, what was read last stays", name=name, error=str(error))
        self.asked.add(name)

    def _weigh(self, rule: str) -> None:
        raw = self._get(trials_key(rule), weights_key(rule))
        try:
            if raw:
                self.weights[rule] = decode_weights(raw)
        except msgspec.DecodeError as error:
            log.warning("not read, what was read last stays", name=rule, error=str(error))

    def _follow(self, name: str) -> None:
        stored = self._get(name, versions_key(name))
        if stored is None:
            return
        try:
            versions = decode_versions(stored)
        except msgspec.DecodeError:
            self._refuse(name, 0, "undecodable")
            return
        self._tell(name, versions)
        if versions.held:
            self._hold_back(name)
            return
        if not versions.champion:  # it has learned, and nothing is published yet
            return
        raw = self._get(name, version_key(name, versions.champion))
        if (versions.champion, raw) == self.scoring.get(name):
            return
        try:
            model = unseal(raw, name, versions.champion, self.layouts[name])
        except Unusable as unusable:
            self._refuse(name, versions.champion, unusable.reason)
            self._fall_back(name, versions)
        else:
            self._take(model)
            self.scoring[name] = (versions.champion, raw)
            self.refused.pop(name, None)

    def _hold_back(self, name: str) -> None:
        """Its scores have no value until learning says otherwise."""
        if self.models.pop(name, None) is not None:
            MODEL.labels(name).set(0)
            log.warning("model held back: it is worse than its baseline", model=name)
        self.scoring.pop(name, None)

    def _fall_back(self, name: str, versions: Versions) -> None:
        """Where none scores yet, the latest older version that can."""
        for number in versions.fallbacks if name not in self.models else ():
            try:
                model = unseal(self._get(name, version_key(name, number)), name, number, self.layouts[name])
            except Unusable as unusable:
                REFUSALS.labels(name, unusable.reason).inc()
            else:
                self._take(model)
                return

    def _tell(self, name: str, versions: Versions) -> None:
        """One line for each change of champion, and for who has said so."""
        latest = versions.turns[-1] if versions.turns else None
        if latest is not None and latest != self.turned.get(name):
            self.turned[name] = latest
            log.info("model turns", model=name, **asdict(latest))

    def _take(self, model: LinearModel) -> None:
        before = self.models.get(model.name)
        self.models[model.name] = model
        MODEL.labels(model.name).set(model.version)
        log.info("model scores", model=model.name, version=model.version, before=before.version if before else 0)

    def _refuse(self, name: str, number: int, reason: str) -> None:
        """Counted each time, and told once for each version and reason: it is tried every second."""
        REFUSALS.labels(name, reason).inc()
        if self.refused.get(name) != (number, reason):
            self.refused[name] = (number, reason)
            log.error("model refused, the one before stays", model=name, version=number, reason=reason)

    def _get(self, name: str, record: str) -> Any:
        """What is kept as `record` in the partition of `name`."""
        return self.store.record(partition_of(name, self.partitions), record)


def published(redis: Redis, prefix: str, layouts: dict[str, str]) -> dict[str, LinearModel]:
    """The models as they score now, for who asks once. Raises RedisError."""
    partitions = stored_partitions(redis, prefix, "examples") or 1
    found = PublishedModels(PartitionStore(redis, prefix, "learning"), partitions, layouts)
    found.refresh()
    return found.models
