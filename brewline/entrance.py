"""Links that sign people in to the board."""

from __future__ import annotations

from board.access.person import Person
from board.access.sessions import Sessions
from config.settings import Settings
from operators.redis_link import connect_redis


def sessions(settings: Settings) -> Sessions:
    """Raises Unreachable."""
    redis = connect_redis(settings.redis.url, settings.redis.start_timeout_s)
    return Sessions(redis, settings.redis.prefix, settings.board.session_hours)


def entrance(settings: Settings, person: Person) -> str:
    """A link that signs this person in, once, within ten minutes. Raises Unreachable."""
    return f"{settings.board.address}/enter/{sessions(settings).link(person)}"
