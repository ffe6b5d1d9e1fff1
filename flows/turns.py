"""What learning notes in Brewline's own audit trail: which version scores from now on, where no human has said so."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from redis.exceptions import RedisError

from features.partitions import partition_of
from features.versions import Turn, decode_versions, versions_key
from flows.house import House
from flows.noting import log, note

EVERY_S = 1.0


class Turns:
    """Follows, once a second, the turns of those models that this process learns.

    What was noted last is kept in Redis, so a turn whose process died behind it is noted by the next one; it is kept
    once the trail has it, so a crash in between notes it twice.
    """

    def __init__(self, house: House, models: Iterable[str]) -> None:
        self.house, self.store = house, house.store("learning")
        mine, of = house.settings.kafka.shared
        places = {model: partition_of(model, house.partitions["examples"]) for model in models}
        self.models = {model: place for model, place in places.items() if place % of == mine}
        self.key = f"{house.settings.redis.prefix}:turns-noted"
        self.next_s = 0.0

    def follow(self) -> None:
        if time.monotonic() < self.next_s:
            return
        self.next_s = time.monotonic() + EVERY_S
        try:
            self._follow()
        except RedisError as error:  # the step that comes next waits for Redis
            log.warning("turns of models are noted later", error=str(error))

    def _follow(self) -> None:
        noted: Any = self.house.redis.hgetall(self.key)
        for model, place in self.models.items():
            raw = self.store.record(place, versions_key(model))
            turns = decode_versions(raw).turns if raw else []
            if new := behind(turns, noted.get(model.encode(), b"").decode()):
                if said := [(f"{model} {turn.version}: {turn.why}", 1) for turn in new if not turn.by]:
                    note(self.house, "model_promotion", said)
                self.house.redis.hset(self.key, model, named(new[-1]))


def behind(turns: list[Turn], noted: str) -> list[Turn]:
    """Those behind the one that was noted; all, where that is none of them."""
    names = [named(turn) for turn in turns]
    return turns[names.index(noted) + 1 :] if noted in names else turns


def named(turn: Turn) -> str:
    return f"{turn.at_ms}|{turn.version}|{turn.why}"
