"""The board as an application: its API, its pages and the files they are made of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from anyio import to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from board.access.gate import Gate
from board.access.person import EVERYONE
from board.access.sessions import COOKIE, CSRF_COOKIE, Sessions
from board.api import alerts, engine, kpis, letters, me, models
from board.calls import call_of
from board.live import Live
from board.pages import PAGES, Page
from board.problems import Problem, answer
from board.sources import Sources
from config.settings import Settings

STATIC = Path(__file__).parent / "static"
PARTS = (me, kpis, alerts, models, engine, letters)
ENDPOINTS = tuple(endpoint for part in PARTS for endpoint in part.ENDPOINTS)
FEEDS = tuple(feed for part in PARTS for feed in getattr(part, "FEEDS", ()))
API = "/api/v1"
# A browser that came from another site keeps back strict cookies for as long as it is only redirected.
ENTERED = """<!doctype html><meta http-equiv="refresh" content="0;url=/now">
<link rel="icon" href="/static/icon.svg"><title>Brewline</title>"""


def create_app(settings: Settings) -> Starlette:
    """Raises Unreachable."""
    sources = Sources(settings)
    sessions = Sessions(sources.redis, sources.prefix, settings.board.session_hours)
    gate, live = Gate(sessions), Live(FEEDS, sources)

    @asynccontextmanager
    async def lives(app: Starlette) -> AsyncIterator[None]:
        live.start()
        yield
        live.close()
        sources.close()

    routes: list[BaseRoute] = [
        Route("/", lambda request: RedirectResponse("/now"), name="home"),
        Route("/enter/{secret}", _enter(sessions, settings.board.secure), name="enter"),
        *(Route(path, _shown(page, gate)) for page in PAGES for path in page.paths),
        Route(f"{API}/leave", _leave(sessions, gate), methods=["POST"], name="leave"),
        Route(f"{API}/live", _watched(gate, live), name="live"),
        *(Route(API + e.path, call_of(e, sources, gate), methods=[e.method], name=e.name) for e in ENDPOINTS),
        Mount("/static", StaticFiles(directory=STATIC), name="static"),
    ]
    return Starlette(routes=routes, lifespan=lives)


def _enter(sessions: Sessions, secure: bool):  # type: ignore[no-untyped-def]
    def enter(request: Request) -> Response:
        person = sessions.follow(request.path_params["secret"])
        if person is None:
            return answer(Problem(403, "this link has been used, or is too old: ask for another"))
        shown, (cookie, session) = HTMLResponse(ENTERED), sessions.open(person)
        common = {"max_age": sessions.lasts_s, "samesite": "strict", "secure": secure}
        shown.set_cookie(COOKIE, cookie, httponly=True, **common)
        shown.set_cookie(CSRF_COOKIE, session.csrf, **common)  # the pages say it with all that they change
        return shown

    return enter


def _leave(sessions: Sessions, gate: Gate):  # type: ignore[no-untyped-def]
    async def leave(request: Request) -> Response:
        try:
            await gate.admit(request, EVERYONE, "POST", "")
        except Problem as problem:
            return answer(problem)
        await to_thread.run_sync(sessions.close, request.cookies[COOKIE])
        left = Response(None, 204)
        left.delete_cookie(COOKIE)
        left.delete_cookie(CSRF_COOKIE)
        return left

    return leave


def _shown(page: Page, gate: Gate):  # type: ignore[no-untyped-def]
    async def shown(request: Request) -> Response:
        person = await gate.person(request)
        if person is None:
            return FileResponse(STATIC / "enter.html", 401)
        if not person.roles & page.roles:
            return FileResponse(STATIC / "index.html", 403)
        return FileResponse(STATIC / "index.html")

    return shown


def _watched(gate: Gate, live: Live):  # type: ignore[no-untyped-def]
    async def watched(request: Request) -> Response:
        try:
            person = await gate.admit(request, EVERYONE, "GET", "")
        except Problem as problem:
            return answer(problem)
        feeds = {name for name in request.query_params.get("feeds", "").split(",") if name}
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(live.watch(person, feeds), 200, headers, "text/event-stream")

    return watched
