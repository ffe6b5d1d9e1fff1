"""The pages, and for whom they are. Each is a module of the same name in static/pages/."""

from __future__ import annotations

from msgspec import Struct

from board.access.person import EVERYONE, HEAD_OFFICE, Role


class Page(Struct, frozen=True):
    """`paths`: where it answers; `{id}` is whatever it is about."""

    name: str
    paths: tuple[str, ...]
    roles: frozenset[Role]


def _page(name: str, roles: frozenset[Role], *more: str) -> Page:
    return Page(name, (f"/{name}", *(f"/{name}/{tail}" for tail in more)), roles)


MARKETING: frozenset[Role] = frozenset({"marketing", "engineer", "auditor"})
PAGES = (
    _page("now", EVERYONE),
    _page("stores", EVERYONE, "{id}"),
    _page("campaigns", HEAD_OFFICE, "{id}"),
    _page("coupons", MARKETING),
    _page("customer", HEAD_OFFICE, "{id}"),
    _page("rules", MARKETING, "{id}"),
    _page("alerts", EVERYONE, "{key}"),
    _page("models", MARKETING, "{name}"),
    _page("engine", frozenset({"engineer", "auditor"})),
)
