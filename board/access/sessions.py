"""Who is signed in, in Redis: a session by the hash of its cookie, and links that open one, once.

bl:{board}:session:<hash>   until it expires
bl:{board}:link:<hash>      until it is used or expires
"""

from __future__ import annotations

import secrets
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct
from redis import Redis

from board.access.person import Person

COOKIE, CSRF_COOKIE = "brewline", "brewline-csrf"
LINK_S = 600


class Session(Struct, frozen=True):
    person: Person
    csrf: str


_session = msgspec.json.Decoder(Session).decode
_person = msgspec.json.Decoder(Person).decode


class Sessions:
    def __init__(self, redis: Redis, prefix: str, hours: float) -> None:
        self.redis, self.prefix, self.lasts_s = redis, f"{prefix}:{{board}}", round(hours * 3600)

    def open(self, person: Person) -> tuple[str, Session]:
        """The cookie of a new session, and the session."""
        cookie = secrets.token_urlsafe(32)
        session = Session(person, secrets.token_urlsafe(32))
        self.redis.set(self._key("session", cookie), msgspec.json.encode(session), ex=self.lasts_s)
        return cookie, session

    def find(self, cookie: str) -> Session | None:
        raw: Any = self.redis.get(self._key("session", cookie)) if cookie else None
        return _session(raw) if raw else None

    def close(self, cookie: str) -> None:
        self.redis.delete(self._key("session", cookie))

    def link(self, person: Person) -> str:
        """The secret of a link that signs this person in, once."""
        secret = secrets.token_urlsafe(32)
        self.redis.set(self._key("link", secret), msgspec.json.encode(person), ex=LINK_S)
        return secret

    def follow(self, secret: str) -> Person | None:
        raw: Any = self.redis.getdel(self._key("link", secret)) if secret else None
        return _person(raw) if raw else None

    def _key(self, kind: str, secret: str) -> str:
        return f"{self.prefix}:{kind}:{sha256(secret.encode()).hexdigest()}"
