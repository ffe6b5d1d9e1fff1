"""Admits who is let in and may; everything else is refused."""

from __future__ import annotations

from collections.abc import Mapping, Set

from msgspec import Struct
from starlette.requests import Request

from board.access.limits import Limit
from board.access.notes import Notes
from board.access.person import Person, Role
from board.access.sessions import Kind, Session, Sessions
from board.endpoint import Endpoint
from board.problems import Problem
from features.identity import is_customer_id

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
    """Who asks is looked for in Redis: in a thread of the request's own, but by `find_lately`."""

    def __init__(self, sessions: Sessions, notes: Notes, limit: Limit, cookies: Cookies) -> None:
        self.sessions, self.notes, self.limit, self.cookies = sessions, notes, limit, cookies

    def find(self, request: Request) -> Session | None:
        return self.sessions.find(*self._shown(request))

    def find_lately(self, request: Request) -> Session | None:
        """As `remember` found it within the last second."""
        return self.sessions.find_lately(*self._shown(request))

    def remember(self, request: Request) -> Session | None:
        return self.sessions.remember(*self._shown(request))

    def _shown(self, request: Request) -> tuple[Kind, str]:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return "token", token.strip()
        return "session", request.cookies.get(self.cookies.session, "")

    def admit(self, request: Request, roles: Set[Role], method: str) -> Session:
        """Raises Problem: 401 for who is not let in, 403 for who may not, 429 for who asks too much."""
        return self._allow(self.find(request), request, roles, method)

    def _allow(self, session: Session | None, request: Request, roles: Set[Role], method: str) -> Session:
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

    def admit_to(self, endpoint: Endpoint, request: Request, session: Session | None) -> Person:
        """Who opens data of a customer says what for, which is noted. Raises Problem."""
        person = self._allow(session, request, endpoint.roles, endpoint.method).person
        if endpoint.personal:
            purpose = request.headers.get(PURPOSE, "").strip()
            if len(purpose) < LEAST_PURPOSE:
                detail = f"this opens {endpoint.personal} of a customer: say what for in the header {PURPOSE}"
                raise Problem(403, detail, needs="purpose")
            if endpoint.often:
                rows = request.query_params.get("customers", "").count(",") + 1
                self.notes.note_often(person, endpoint.personal, rows, purpose, address(request))
            else:
                about = object_of(request.path_params, endpoint.personal)
                self.notes.note(person, "view", about, 1, purpose, address(request), fields=[endpoint.personal])
        return person


def object_of(path: Mapping[str, str], personal: str) -> str:
    """What is opened, as the trail names it: never by an identifier that somebody took for a customer id."""
    if "id" in path:
        return f"customer {path['id']}" if is_customer_id(path["id"]) else "customer"
    return " ".join([personal, *path.values()])


def address(request: Request) -> str:
    return request.client.host[:128] if request.client else ""
