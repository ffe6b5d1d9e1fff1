"""One thing that the API does, declared by a function: who may ask, what for, and what is answered.

    @get("/kpis/{dim}", HEAD_OFFICE)
    def series(sources: Sources, person: Person, asked: Asked) -> Series:
        "What was counted of a dimension, slot by slot."

`asked` is made of the path's and the query's parameters, `said` (if there is one) of the body. Nothing is reachable
that names no roles.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any, Literal, get_type_hints

from msgspec import Struct

from board.access.person import Role

Method = Literal["GET", "POST", "PUT", "DELETE"]


class Nothing(Struct, forbid_unknown_fields=True):
    """Asks for nothing in particular."""


class Endpoint(Struct, frozen=True):
    """`personal`: what of a customer it opens, for which a purpose is asked and noted; "" for nothing.

    `often`: programs ask it hundreds of times a second, for the customers that its parameter `customers` names; its
    `handle` is a coroutine, others are called in a thread.
    """

    method: Method
    path: str
    roles: frozenset[Role]
    handle: Callable[..., Any]
    asked: type
    said: type | None
    answer: Any
    personal: str = ""
    often: bool = False

    @property
    def name(self) -> str:
        return f"{self.handle.__module__.rpartition('.')[2]}.{self.handle.__name__}"

    @property
    def summary(self) -> str:
        return (self.handle.__doc__ or "").strip().splitlines()[0]


Declared = Callable[[Callable[..., Any]], Endpoint]


def _declare(method: Method, path: str, roles: Set[Role], personal: str, often: bool = False) -> Declared:
    def declared(handle: Callable[..., Any]) -> Endpoint:
        hints = get_type_hints(handle)
        return Endpoint(
            method, path, frozenset(roles), handle, hints["asked"], hints.get("said"), hints["return"], personal, often
        )

    return declared


def get(path: str, roles: Set[Role], personal: str = "", often: bool = False) -> Declared:
    return _declare("GET", path, roles, personal, often)


def post(path: str, roles: Set[Role], personal: str = "") -> Declared:
    return _declare("POST", path, roles, personal)


def delete(path: str, roles: Set[Role], personal: str = "") -> Declared:
    return _declare("DELETE", path, roles, personal)
