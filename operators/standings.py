"""Where alerts stand, in Redis: the desk's state with the offsets it has come to, written as one transaction."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import msgspec
from redis import Redis
from redis.exceptions import RedisError, WatchError

from alerts.notices.desk import Part, State
from alerts.notices.pace import Pace
from alerts.notices.silence import Silence
from alerts.notices.sink import Sink
from alerts.notices.standing import Standing
from features.outgoing import AlertWord, Notice
from operators.health import warn_seldom
from operators.redis_link import reason

Fence = dict[str, int]  # topic/partition → the offset to go on with; and `SINCE`
SHAPES: dict[Part, Any] = {
    "book": msgspec.json.Decoder(Standing),
    "paces": msgspec.json.Decoder(Pace),
    "silences": msgspec.json.Decoder(Silence),
    "unheard": msgspec.json.Decoder(list[AlertWord]),
}
SINCE = "since"  # beside the fence's places: when the desk started for the first time, epoch ms
RECENT_MS = 900_000  # so long is told again that it has ended


class WrittenByAnother(Exception):
    """Another process keeps the same desk."""


class Standings:
    """Hashes that share a slot: one for each part of the state, one for the fence."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self.redis = redis
        self.keys: dict[str, str] = {part: f"{prefix}:{{alerts}}:{part}" for part in (*SHAPES, "fence")}

    def load(self) -> State:
        return State(**{part: self._read(part) for part in SHAPES})

    def _read(self, part: Part) -> dict[str, Any]:
        stored: Any = self.redis.hgetall(self.keys[part])
        return {key.decode(): SHAPES[part].decode(value) for key, value in stored.items()}

    def fence(self) -> Fence:
        stored: Any = self.redis.hgetall(self.keys["fence"])
        return {place.decode(): int(offset) for place, offset in stored.items()}

    def begin(self, since_ms: int) -> Fence:
        """The fence of a desk that starts for the first time. It is written before anything is read."""
        fence = {SINCE: since_ms}
        self.commit(State(), (), {}, fence)
        return fence

    def firing(self, sink: Sink) -> list[Notice]:
        """What the sink was told and still fires, be it silenced since, or has ended lately."""
        now_ms = round(time.time() * 1000)
        try:
            book = self._read("book").values()
        except RedisError as error:
            warn_seldom("alerts cannot be read", type(error).__name__, error=reason(error))
            return []
        found = [one.again_told() for one in book if one.told and _counts(one, now_ms)]
        return [notice for notice in found if sink.takes(notice)]

    def commit(self, state: State, touched: Iterable[tuple[Part, str]], before: Fence, after: Fence) -> None:
        """What has changed, and how far the topics are read. Raises WrittenByAnother if the fence is not as it was."""
        with self.redis.pipeline() as pipe:
            pipe.watch(self.keys["fence"])
            if self.fence() != before:
                raise WrittenByAnother("the alerts are kept by another process as well: stop one of the two")
            pipe.multi()
            for part, key in touched:
                one = getattr(state, part).get(key)
                if one is None:
                    pipe.hdel(self.keys[part], key)
                else:
                    pipe.hset(self.keys[part], key, msgspec.json.encode(one))
            if after:
                pipe.hset(self.keys["fence"], mapping={place: str(offset) for place, offset in after.items()})
            try:
                pipe.execute()
            except WatchError:
                raise WrittenByAnother("the alerts are kept by another process as well: stop one of the two") from None


def _counts(one: Standing, now_ms: int) -> bool:
    return one.firing or now_ms < one.ended_ms + RECENT_MS
