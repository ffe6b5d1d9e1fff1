"""Local users, in Redis: bl:{board}:users, a hash by name. Of a password only its argon2id hash is kept."""

from __future__ import annotations

import secrets
from functools import cached_property
from typing import Any

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from msgspec import Struct
from redis import Redis

from board.access.person import ROLES, Person
from features.written import hint

SHORTEST = 12


class User(Struct, frozen=True):
    """`hash`: "" for who comes by links only."""

    person: Person
    hash: str = ""


class Users:
    def __init__(self, redis: Redis, prefix: str, hasher: PasswordHasher | None = None) -> None:
        self.redis, self.key = redis, f"{prefix}:{{board}}:users"
        self.hasher = hasher or PasswordHasher()

    @cached_property
    def nobody(self) -> str:
        """A hash that no password has, so that an unknown name takes as long."""
        return self.hasher.hash(secrets.token_urlsafe(32))

    def put(self, person: Person, password: str | None) -> None:
        """Adds or changes a user; None keeps the password there is. Raises ValueError."""
        check(person)
        if password is not None and len(password) < SHORTEST:
            raise ValueError(f"users: the password is too short, expected {SHORTEST} characters or more")
        before = self.get(person.name)
        kept = before.hash if before else ""
        user = User(person, kept if password is None else self.hasher.hash(password))
        self.redis.hset(self.key, person.name, msgspec.json.encode(user))

    def get(self, name: str) -> User | None:
        raw: Any = self.redis.hget(self.key, name)
        return msgspec.json.decode(raw, type=User) if raw else None

    def all(self) -> list[User]:
        stored: Any = self.redis.hgetall(self.key)
        return [msgspec.json.decode(stored[name], type=User) for name in sorted(stored)]

    def remove(self, name: str) -> bool:
        return bool(self.redis.hdel(self.key, name))

    def verified(self, name: str, password: str) -> Person | None:
        """None for a wrong name or password, which take the same time."""
        user = self.get(name)
        try:
            self.hasher.verify(user.hash if user and user.hash else self.nobody, password)
        except (VerificationError, InvalidHashError):
            return None
        return user.person if user and user.hash else None


def check(person: Person) -> None:
    """Raises ValueError."""
    if not (0 < len(person.name) <= 128 and person.name.isprintable()):
        raise ValueError(f"users: found the name {person.name!r}, expected 1 to 128 letters")
    if not person.roles:
        raise ValueError(f"users: {person.name} has no role, expected --role with one of {', '.join(ROLES)}")
    for role in person.roles:
        if role not in ROLES:
            raise ValueError(f"users: found the role {role!r}, expected one of {', '.join(ROLES)}{hint(role, ROLES)}")
    if "store" in person.roles and not person.stores:
        raise ValueError(f"users: {person.name} is a store manager of no store: name theirs with --store")
