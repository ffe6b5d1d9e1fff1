"""Links that sign people in to the board."""

from __future__ import annotations

from board.access.person import Person
from board.access.sessions import Sessions
from config.settings import Settings
from operators.redis_link import connect_redis


def entrance(settings: Settings, person: Person) -> str:
    """A link that signs this person in, once, within ten minutes. Raises Unreachable."""
    redis, board = connect_redis(settings.redis.url, settings.redis.start_timeout_s), settings.board
    secret = Sessions(redis, settings.redis.prefix, board.session_hours).link(person)
    return f"{board.url.rstrip('/') or f'http://{board.host}:{board.port}'}/enter/{secret}"
