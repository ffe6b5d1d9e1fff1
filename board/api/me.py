"""Who you are to the board, and what is there for you."""

from __future__ import annotations

from msgspec import Struct

from board.access.person import EVERYONE, Person
from board.endpoint import Nothing, get
from board.pages import PAGES
from board.sources import Sources


class Me(Struct):
    name: str
    roles: list[str]
    stores: list[str]
    pages: list[str]
    zone: str  # of the chain


@get("/me", EVERYONE)
def me(sources: Sources, person: Person, asked: Nothing) -> Me:
    """Who is signed in, with the pages that are theirs."""
    pages = [page.name for page in PAGES if person.roles & page.roles]
    return Me(person.name, sorted(person.roles), sorted(person.stores), pages, sources.settings.stores.timezone)


ENDPOINTS = (me,)
