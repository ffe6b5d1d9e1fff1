"""Who is let in, in Redis; of every secret only a hash is kept.

bl:{board}:session:<hash>   somebody who has signed in, until it expires
bl:{board}:token:<hash>     a program, until it expires
bl:{board}:link:<hash>      what signs somebody in, once
bl:{board}:of:<name>        the sessions, tokens and links of one name
"""

from __future__ import annotations

import secrets
import time
from hashlib import sha256
from typing import Any, Literal

import msgspec
from msgspec import Struct
from redis import Redis

from board.access.person import Person

LINK_S = 600
LATELY_S = 1.0
KNOWN = 10_000  # tokens and sessions that are remembered so long
TOKEN = "bl_"  # what a token begins with: so that scanners for lost secrets know one
Kind = Literal["session", "token"]


def credentials(prefix: str) -> tuple[bytes, ...]:
    """How the keys begin of all that lets somebody in without a password."""
    return tuple(f"{prefix}:{{board}}:{kind}:".encode() for kind in ("session", "token", "link", "of"))


class Session(Struct, frozen=True):
    """`csrf`: "" for a token, which no browser sends by itself; `reads`: it may change nothing."""

    person: Person
    csrf: str = ""
    reads: bool = False


_session = msgspec.json.Decoder(Session).decode
_person = msgspec.json.Decoder(Person).decode


class Sessions:
    def __init__(self, redis: Redis, prefix: str, hours: float) -> None:
        self.redis, self.prefix, self.lasts_s = redis, f"{prefix}:{{board}}", round(hours * 3600)
        self.found: dict[str, tuple[float, Session]] = {}  # until when it serves

    def open(self, person: Person) -> tuple[str, Session]:
        """The cookie of a new session, and the session."""
        cookie, session = secrets.token_urlsafe(32), Session(person, secrets.token_urlsafe(32))
        self._keep("session", cookie, person, session, self.lasts_s)
        return cookie, session

    def token(self, person: Person, lasts_s: int, reads: bool) -> str:
        """A program's key, shown this once."""
        token = TOKEN + secrets.token_urlsafe(32)
        self._keep("token", token, person, Session(person, "", reads), lasts_s)
        return token

    def find(self, kind: Kind, secret: str) -> Session | None:
        raw: Any = self.redis.get(self._key(kind, secret)) if secret else None
        return _session(raw) if raw else None

    def find_lately(self, kind: Kind, secret: str) -> Session | None:
        """As `remember` found it within LATELY_S; Redis is not asked."""
        until_s, known = self.found.get(self._key(kind, secret), (0.0, None))
        return known if time.monotonic() < until_s else None

    def remember(self, kind: Kind, secret: str) -> Session | None:
        """As `find`, for `find_lately`."""
        now_s, session = time.monotonic(), self.find(kind, secret)
        if session:
            if len(self.found) >= KNOWN:
                self.found.clear()
            self.found[self._key(kind, secret)] = (now_s + LATELY_S, session)
        return session

    def close(self, cookie: str) -> None:
        self.redis.delete(self._key("session", cookie))

    def close_all(self, name: str) -> int:
        """Every session, token and link of this name; how many there were."""
        of = f"{self.prefix}:of:{name}"
        keys: Any = self.redis.smembers(of)
        return int(self.redis.delete(*keys, of)) - 1 if keys else 0

    def link(self, person: Person) -> str:
        """The secret of a link that signs this person in, once."""
        secret = secrets.token_urlsafe(32)
        self._keep("link", secret, person, person, LINK_S)
        return secret

    def follow(self, secret: str) -> Person | None:
        raw: Any = self.redis.getdel(self._key("link", secret)) if secret else None
        return _person(raw) if raw else None

    def _keep(self, kind: str, secret: str, person: Person, kept: Struct, lasts_s: int) -> None:
        key, of = self._key(kind, secret), f"{self.prefix}:of:{person.name}"
        with self.redis.pipeline() as pipe:
            pipe.set(key, msgspec.json.encode(kept), ex=lasts_s)
            pipe.sadd(of, key)
            pipe.expire(of, max(lasts_s, self.redis.ttl(of)))
            pipe.execute()

    def _key(self, kind: str, secret: str) -> str:
        return f"{self.prefix}:{kind}:{sha256(secret.encode()).hexdigest()}"
