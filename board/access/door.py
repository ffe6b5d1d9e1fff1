"""How people come in and go: by password, by a link, through the company's sign-in, and out again."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from board.access.gate import Gate, address
from board.access.limits import Limit
from board.access.oidc import Oidc, Refused
from board.access.person import EVERYONE, Person
from board.access.users import Users
from board.body import read_body
from board.problems import Problem, answer, answering

TRIES_PER_S, TRIES = 1 / 60, 10.0  # of passwords, by name and by address: right ones do not count
DEPARTURES_PER_S, DEPARTURES = 1.0, 100.0  # to the company's sign-in, by address
MOST_BYTES = 10_000
DOOR = Path(__file__).parents[1] / "static" / "enter.html"
# A browser that came from another site keeps strict cookies back for as long as it is only redirected.
ENTERED = """<!doctype html><html lang="en"><meta http-equiv="refresh" content="0;url=/now">
<link rel="icon" href="/static/icon.svg"><title>Brewline</title>"""


class Said(Struct, forbid_unknown_fields=True):
    name: str
    password: str


class Doors(Struct):
    """`company`: whether there is a company's sign-in."""

    company: bool


class Door:
    def __init__(self, gate: Gate, users: Users, oidc: Oidc | None, secure: bool) -> None:
        self.gate, self.users, self.oidc, self.secure = gate, users, oidc, secure
        self.tries, self.departures = Limit(TRIES_PER_S, TRIES), Limit(DEPARTURES_PER_S, DEPARTURES)

    def routes(self, api: str) -> list[Route]:
        routes = [
            Route("/enter/{secret}", answering(self.follow), name="enter"),
            Route(f"{api}/doors", answering(self.doors), name="doors"),
            Route(f"{api}/enter", self.enter, methods=["POST"], name="password"),
            Route(f"{api}/leave", answering(self.leave), methods=["POST"], name="leave"),
        ]
        if self.oidc:
            routes += [
                Route("/company", answering(self.depart), name="company"),
                Route("/company/back", answering(self.arrive), name="company back"),
            ]
        return routes

    def doors(self, request: Request) -> Response:
        return Response(msgspec.json.encode(Doors(self.oidc is not None)), 200, media_type="application/json")

    async def enter(self, request: Request) -> Response:
        try:
            raw = await read_body(request, MOST_BYTES)
        except Problem as problem:
            return answer(problem)

        def entered(request: Request) -> Response:
            said = msgspec.json.decode(raw, type=Said)
            name, place = f"name {said.name}", f"address {address(request)}"
            for asker in (place, name):  # where nothing is left to an address, a name loses nothing
                self.tries.take(asker)
            person = self.users.verified(said.name, said.password)
            if person is None:
                stranger = Person(said.name[:128] or "?", frozenset())
                self.gate.notes.note(stranger, "login", "board", ip=address(request), result="denied")
                raise Problem(403, "the name or the password is wrong")
            self.tries.forget(name)
            self.tries.give(place)
            return self._in(person, request, Response(None, 204))

        return await answering(entered)(request)

    def follow(self, request: Request) -> Response:
        person = self.gate.sessions.follow(request.path_params["secret"])
        if person is None:  # a person looks at it: the page says that it has been used, or is too old
            return FileResponse(DOOR, 403, {"cache-control": "no-store"})
        return self._in(person, request, HTMLResponse(ENTERED))

    def depart(self, request: Request) -> Response:
        assert self.oidc
        self.departures.take(address(request))
        url, mark = self.oidc.depart()
        gone = RedirectResponse(url, 303)
        # The company's site leads back here: a strict cookie would stay behind.
        gone.set_cookie(self.oidc.cookie, mark, max_age=600, httponly=True, samesite="lax", secure=self.secure)
        return gone

    def arrive(self, request: Request) -> Response:
        assert self.oidc
        try:
            person = self.oidc.arrive(request.cookies.get(self.oidc.cookie, ""), dict(request.query_params))
        except Refused as refused:
            raise Problem(403, f"{refused}") from None
        entered = self._in(person, request, HTMLResponse(ENTERED))
        entered.delete_cookie(self.oidc.cookie)
        return entered

    def leave(self, request: Request) -> Response:
        session = self.gate.admit(request, EVERYONE, "POST")
        cookies = self.gate.cookies
        self.gate.sessions.close(request.cookies.get(cookies.session, ""))
        self.gate.notes.note(session.person, "logout", "board", ip=address(request))
        left = Response(None, 204)
        for name in (cookies.session, cookies.csrf):
            left.delete_cookie(name, secure=self.secure)
        return left

    def _in(self, person: Person, request: Request, shown: Response) -> Response:
        self.gate.notes.note(person, "login", "board", ip=address(request))
        cookie, session = self.gate.sessions.open(person)
        cookies, lasts_s = self.gate.cookies, self.gate.sessions.lasts_s
        for name, value, hidden in ((cookies.session, cookie, True), (cookies.csrf, session.csrf, False)):
            shown.set_cookie(name, value, max_age=lasts_s, httponly=hidden, samesite="strict", secure=self.secure)
        shown.headers["cache-control"] = "no-store"
        return shown
