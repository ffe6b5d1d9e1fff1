"""Admits who is let in and may; everything else is refused."""

from __future__ import annotations

from collections.abc import Set

from msgspec import Struct
from starlette.requests import Request

from board.access.limits import Limit
from board.access.notes import Notes
from board.access.person import Person, Role
from board.access.sessions import Session, Sessions
from board.endpoint import Endpoint
from board.problems import Problem

SAFE = {"GET", "HEAD"}
CSRF, PURPOSE = "x-csrf-token", "x-purpose"
LEAST_PURPOSE = 3


class Cookies(Struct, frozen=True):
    """Names of the cookies; by https, a browser takes these from this host alone."""

    session: str = "brewline"
    csrf: str = "brewline-csrf"

    @classmethod
    def of(cls, secure: bool) -> Cookies:
        return cls("__Host-brewline", "__Host-brewline-csrf") if secure else cls()


class Gate:
    """All of it is done in a request's own thread."""

    def __init__(self, sessions: Sessions, notes: Notes, limit: Limit, cookies: Cookies) -> None:
        self.sessions, self.notes, self.limit, self.cookies = sessions, notes, limit, cookies

    def find(self, request: Request, often: bool = False) -> Session | None:
        """`often`: as it was within the last second will do."""
        find = self.sessions.find_lately if often else self.sessions.find
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return find("token", token.strip())
        return find("session", request.cookies.get(self.cookies.session, ""))

    def admit(self, request: Request, roles: Set[Role], method: str, often: bool = False) -> Session:
        """Raises Problem: 401 for who is not let in, 403 for who may not, 429 for who asks too much."""
        session = self.find(request, often)
        if session is None:
            raise Problem(401, "sign in, or send a token that has not expired")
        self.limit.take(session.person.name)
        if method not in SAFE:
            if session.reads:
                raise Problem(403, "this token may only read")
            if session.csrf and request.headers.get(CSRF) != session.csrf:
                raise Problem(403, f"the header {CSRF} is missing or another session's")
        if not session.person.roles & roles:
            raise Problem(403, f"this is for {', '.join(sorted(roles))}")
        return session

    def admit_to(self, endpoint: Endpoint, request: Request) -> Person:
        """Who opens data of a customer says what for, which is noted. Raises Problem."""
        person = self.admit(request, endpoint.roles, endpoint.method, endpoint.often).person
        if endpoint.personal:
            purpose = request.headers.get(PURPOSE, "").strip()
            if len(purpose) < LEAST_PURPOSE:
                detail = f"this opens {endpoint.personal} of a customer: say what for in the header {PURPOSE}"
                raise Problem(403, detail, needs="purpose")
            if endpoint.often:
                rows = request.query_params.get("customers", "").count(",") + 1
                self.notes.note_often(person, endpoint.personal, rows, purpose, address(request))
            else:
                object = f"{endpoint.personal} {request.path_params.get('id', '')}".strip()
                self.notes.note(person, "view", object, 1, purpose, address(request))
        return person


def address(request: Request) -> str:
    return request.client.host if request.client else ""
