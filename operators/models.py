"""What learning has published, as scorers and rules read it: once a second, between batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import structlog
from redis import Redis
from redis.exceptions import RedisError

from features.bandit import Weights, decode_weights
from features.models import LinearModel, decode_model
from features.partitions import partition_of
from features.trials import trials_key
from features.tried import weights_key
from operators.health import MODEL
from operators.store import PartitionStore, stored_partitions

log = structlog.get_logger()
EVERY_S = 1.0


class PublishedModels:
    """Keeps `models` current from the learning flow's records; one that does not fit is refused, the last one stays.
    So it keeps the `weights` of arms, of those rules that `learns` names.

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

    def refresh(self) -> None:
        if time.monotonic() < self.next_s:
            return
        for name, layout in self.layouts.items():
            model = self._read(name, f"model|{name}", decode_model)
            if model is not None and model.layout != layout:
                log.warning("model refused: learned on other features", model=name, version=model.version)
            elif model is not None:
                self.models[name] = model
                MODEL.labels(name).set(model.version)
        for rule in self.learns:
            weights = self._read(trials_key(rule), weights_key(rule), decode_weights)
            if weights is not None:
                self.weights[rule] = weights
        self.next_s = time.monotonic() + EVERY_S

    def _read(self, name: str, record: str, decode: Callable[[bytes], Any]) -> Any:
        """What is kept as `record` in the partition of `name`; None where there is nothing, or it cannot be read."""
        try:
            raw: Any = self.store.redis.get(self.store.key(partition_of(name, self.partitions), f"r:{record}"))
            found = decode(raw) if raw else None
        except (RedisError, msgspec.DecodeError) as error:
            if isinstance(error, RedisError) and name not in self.asked:
                raise
            log.warning("model not read, the last one stays", model=name, error=str(error))
            return None
        self.asked.add(name)
        return found


def published(redis: Redis, prefix: str, layouts: dict[str, str]) -> dict[str, LinearModel]:
    """The models as they score now, for who asks once. Raises RedisError."""
    partitions = stored_partitions(redis, prefix, "examples") or 1
    found = PublishedModels(PartitionStore(redis, prefix, "learning"), partitions, layouts)
    found.refresh()
    return found.models
