"""Admits who is signed in and may; everything else is refused."""

from __future__ import annotations

from collections.abc import Set

from anyio import to_thread
from starlette.requests import Request

from board.access.person import Person, Role
from board.access.sessions import COOKIE, Sessions
from board.problems import Problem

SAFE = {"GET", "HEAD"}
CSRF = "x-csrf-token"


class Gate:
    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions

    async def person(self, request: Request) -> Person | None:
        session = await to_thread.run_sync(self.sessions.find, request.cookies.get(COOKIE, ""))
        return session.person if session else None

    async def admit(self, request: Request, roles: Set[Role], method: str, personal: str) -> Person:
        """Raises Problem: 401 for who is not signed in, 403 for who may not."""
        session = await to_thread.run_sync(self.sessions.find, request.cookies.get(COOKIE, ""))
        if session is None:
            raise Problem(401, "sign in first")
        if method not in SAFE and request.headers.get(CSRF) != session.csrf:
            raise Problem(403, f"the header {CSRF} is missing or another session's")
        if not session.person.roles & roles:
            raise Problem(403, f"this is for {', '.join(sorted(roles))}")
        return session.person
