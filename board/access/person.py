"""Who asks: a person with roles, or a program that acts for one."""

from __future__ import annotations

from typing import Literal, get_args

from msgspec import Struct

Role = Literal["marketing", "security", "engineer", "store", "auditor"]
ROLES: tuple[Role, ...] = get_args(Role)
EVERYONE: frozenset[Role] = frozenset(ROLES)
HEAD_OFFICE: frozenset[Role] = EVERYONE - {"store"}


class Person(Struct, frozen=True):
    """`stores`: the only ones that a store manager sees; of no meaning to other roles."""

    name: str
    roles: frozenset[Role]
    stores: frozenset[str] = frozenset()

    @property
    def is_limited(self) -> bool:
        """Whether only some stores are theirs to see."""
        return self.roles == {"store"}

    def may_see(self, store: str) -> bool:
        return not self.is_limited or store in self.stores
