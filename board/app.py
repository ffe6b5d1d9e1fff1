"""The board as an application: its API, its pages and the files they are made of."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from board.access.door import Door
from board.access.gate import Cookies, Gate
from board.access.headers import Headers
from board.access.limits import Limit
from board.access.oidc import Oidc
from board.access.person import EVERYONE
from board.access.sessions import Sessions
from board.access.users import Users
from board.api import (
    alerts,
    campaigns,
    coupons,
    customers,
    engine,
    firing,
    incidents,
    kpis,
    letters,
    me,
    models,
    rules,
    stores,
)
from board.calls import call_of
from board.description import describe
from board.live import Live
from board.pages import PAGES, Page
from board.problems import Handle, answering
from board.sources import Sources
from config.reading import WrongSettings
from config.settings import Settings
from flows.files import text

STATIC = Path(__file__).parent / "static"
PARTS = (me, kpis, stores, incidents, campaigns, alerts, firing, coupons, customers, engine, letters, models, rules)
ENDPOINTS = tuple(endpoint for part in PARTS for endpoint in getattr(part, "ENDPOINTS", ()))
FEEDS = tuple(feed for part in PARTS for feed in getattr(part, "FEEDS", ()))
API = "/api/v1"


def create_app(settings: Settings) -> Starlette:
    """Raises Unreachable, WrongSettings."""
    board, sources = settings.board, Sources(settings)
    sessions = Sessions(sources.redis, sources.prefix, board.session_hours)
    limit = Limit(board.requests_per_s, board.requests_per_s)
    gate, live = Gate(sessions, sources.notes, limit, Cookies.of(board.secure)), Live(FEEDS, sources)
    door = Door(gate, Users(sources.redis, sources.prefix), _company(settings, sources), board.secure)

    @asynccontextmanager
    async def lives(app: Starlette) -> AsyncIterator[None]:
        live.start()
        yield
        live.close()
        await sources.reads.close()
        sources.close()

    routes: list[BaseRoute] = [
        *_calls(sources, gate),
        Route("/healthz", answering(_well(sources)), name="healthz"),
        Route("/", lambda request: RedirectResponse("/now"), name="home"),
        *door.routes(API),
        *(Route(path, answering(_shown(page, gate))) for page in PAGES for path in page.paths),
        Route(f"{API}/live", answering(_watched(gate, live)), name="live"),
        Route(f"{API}/openapi.json", answering(_described(gate)), name="openapi"),
        Mount("/static", StaticFiles(directory=STATIC), name="static"),
    ]
    guards = [
        Middleware(Headers, secure=board.secure),
        Middleware(TrustedHostMiddleware, allowed_hosts=board.hosts, www_redirect=False),
    ]
    return Starlette(routes=routes, lifespan=lives, middleware=guards, exception_handlers={404: _lost(gate)})


def _calls(sources: Sources, gate: Gate) -> list[Route]:
    """What is asked often is looked for first: routes are tried one by one."""
    endpoints = sorted(ENDPOINTS, key=lambda endpoint: not endpoint.often)
    return [Route(API + e.path, call_of(e, sources, gate), methods=[e.method], name=e.name) for e in endpoints]


def _company(settings: Settings, sources: Sources) -> Oidc | None:
    company = settings.board.company
    if not company.issuer:
        return None
    secret = os.environ.get("BREWLINE_OIDC_SECRET", "")
    if not secret and company.secret_file:
        secret = text(settings.path(company.secret_file)).strip()
    if not secret:
        raise WrongSettings("the secret of the company's sign-in is missing: set BREWLINE_OIDC_SECRET, or"
                            " [board.company] secret_file to a file that holds it")  # fmt: skip
    return Oidc(company, secret, f"{settings.board.address}/company/back", sources.redis, sources.prefix)


def _well(sources: Sources) -> Handle:
    def well(request: Request) -> Response:
        sources.redis.ping()
        return PlainTextResponse("ok\n")

    return well


def _described(gate: Gate) -> Handle:
    body = msgspec.json.encode(describe(ENDPOINTS, version("brewline"), API))

    def described(request: Request) -> Response:
        gate.admit(request, EVERYONE, "GET")
        return Response(body, media_type="application/json")

    return described


def _shown(page: Page, gate: Gate) -> Handle:
    def shown(request: Request) -> Response:
        session = gate.find(request)
        if session is None:
            return FileResponse(STATIC / "enter.html", 401)
        return FileResponse(STATIC / "index.html", 200 if session.person.roles & page.roles else 403)

    return shown


def _lost(gate: Gate) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Who is not signed in is not told which pages there are."""

    def told(request: Request) -> Response:
        if request.url.path.startswith(("/api/", "/static/")):
            return PlainTextResponse("Not Found", 404)
        if gate.find(request) is None:
            return FileResponse(STATIC / "enter.html", 401)
        return FileResponse(STATIC / "index.html", 404)

    async def lost(request: Request, _: Exception) -> Response:
        return await answering(told)(request)

    return lost


def _watched(gate: Gate, live: Live) -> Handle:
    def watched(request: Request) -> Response:
        person = gate.admit(request, EVERYONE, "GET").person
        feeds = {name for name in request.query_params.get("feeds", "").split(",") if name}
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        told = live.watch(person, feeds, lambda: gate.find(request) is not None)
        return StreamingResponse(told, 200, headers, "text/event-stream")

    return watched
