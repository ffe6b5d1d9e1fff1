"""Sign-in through an OpenID Connect provider that really answers over HTTP, and lies where a test says so."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import uvicorn
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from board.app import API, create_app
from config import board as boards
from config import settings as conf
from operators.servers import free_port
from tests.board.conftest import HERE

pytestmark = pytest.mark.servers
KEY = RSAKey.generate_key(2048, parameters={"kid": "1"})
OTHER = RSAKey.generate_key(2048, parameters={"kid": "1"})


class Provider:
    """`claims`: what it says beside the usual; `key`: what it signs with; `wrong`: why it gives no token."""

    def __init__(self) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.claims: dict[str, Any] = {}
        self.key = KEY
        self.asked: dict[str, str] = {}
        self.told: dict[str, str] = {}
        self.wrong = ""
        self.app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.itself),
                Route("/authorize", self.authorize),
                Route("/token", self.token, methods=["POST"]),
                Route("/keys", lambda request: JSONResponse({"keys": [KEY.as_dict(private=False)]})),
            ]
        )

    def itself(self, request: Request) -> JSONResponse:
        ends = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        return JSONResponse({"issuer": self.url, **{name: f"{self.url}/{end}" for name, end in ends.items()}})

    def authorize(self, request: Request) -> RedirectResponse:
        self.asked = dict(request.query_params)
        return RedirectResponse(f"{self.asked['redirect_uri']}?code=abc&state={self.asked['state']}")

    async def token(self, request: Request) -> JSONResponse:
        self.told = {name: value[0] for name, value in parse_qs((await request.body()).decode()).items()}
        if self.wrong:
            return JSONResponse({"error": self.wrong}, 400)
        now = int(time.time())
        usual = {"iss": self.url, "aud": "board", "sub": "7", "exp": now + 60, "nonce": self.asked["nonce"]}
        who = {"preferred_username": "mei@chain", "groups": ["crm"]}
        token = jwt.encode({"alg": "RS256", "kid": "1"}, {**usual, **who, **self.claims}, self.key)
        return JSONResponse({"access_token": "x", "token_type": "Bearer", "id_token": token})


@pytest.fixture
def provider() -> Iterator[Provider]:
    one = Provider()
    port = urlsplit(one.url).port or 0
    server = uvicorn.Server(uvicorn.Config(one.app, "127.0.0.1", port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield one
    server.should_exit = True
    thread.join(5)


@pytest.fixture
def visitor(provider: Provider, board_settings: conf.Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setenv("BREWLINE_OIDC_SECRET", "between the board and the company")
    roles = {"marketing": ["crm"], "store": ["shops"]}
    board_settings.board = boards.Board(url=HERE, company=boards.Company(provider.url, "board", roles=roles))
    with TestClient(create_app(board_settings), HERE, follow_redirects=False) as client:
        yield client


def travel(visitor: TestClient, provider: Provider) -> Any:
    """To the company's site and back: the board's answer."""
    away = visitor.get("/company").headers["location"]
    back = httpx2.get(away).headers["location"]
    return visitor.get(back.removeprefix(HERE))


def test_who_comes_back_has_the_roles_of_their_groups(visitor: TestClient, provider: Provider) -> None:
    assert visitor.get(f"{API}/doors").json() == {"company": True}
    assert travel(visitor, provider).status_code == 200
    me = visitor.get(f"{API}/me").json()
    assert (me["name"], me["roles"]) == ("mei@chain", ["marketing"])
    assert provider.asked["code_challenge_method"] == "S256"
    assert len(provider.told["code_verifier"]) >= 43


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"nonce": "another"}, "could not be verified"),
        ({"aud": "another"}, "could not be verified"),
        ({"iss": "https://evil.example"}, "could not be verified"),
        ({"exp": 1}, "could not be verified"),
        ({"groups": ["kitchen"]}, "none of your groups"),
        ({"groups": ["shops"]}, "none of your groups"),  # of no store
        ({"preferred_username": ""}, "none of your groups"),
    ],
)
def test_what_does_not_fit_is_refused(
    visitor: TestClient, provider: Provider, claims: dict[str, Any], told: str
) -> None:
    provider.claims = claims
    answer = travel(visitor, provider)
    assert (answer.status_code, told in answer.json()["detail"]) == (403, True), answer.text
    assert visitor.get(f"{API}/me").status_code == 401


def test_a_token_that_another_has_signed_is_refused(visitor: TestClient, provider: Provider) -> None:
    provider.key = OTHER
    assert travel(visitor, provider).status_code == 403


def test_a_code_that_the_company_does_not_know_is_refused(visitor: TestClient, provider: Provider) -> None:
    provider.wrong = "invalid_grant"
    answer = travel(visitor, provider)
    assert (answer.status_code, "could not be verified" in answer.json()["detail"]) == (403, True)


def test_an_answer_is_taken_once_and_by_who_asked(visitor: TestClient, provider: Provider) -> None:
    back = httpx2.get(visitor.get("/company").headers["location"]).headers["location"].removeprefix(HERE)
    stranger = TestClient(visitor.app, HERE, follow_redirects=False)
    assert stranger.get(back).status_code == 403, "without the cookie of who left"
    assert visitor.get(back.replace("state=", "state=é")).status_code == 403
    assert visitor.get(back).status_code == 403, "it was taken by the attempt before"
