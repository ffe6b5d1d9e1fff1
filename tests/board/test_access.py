"""Deny by default: nobody reaches anything that is not meant for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from board.access.person import ROLES, Role
from board.app import API, ENDPOINTS, create_app
from board.pages import PAGES
from board.roles import PAGE, written
from config import settings as conf
from operators.servers import redis_server
from tests.board.conftest import HERE, SignedIn

pytestmark = pytest.mark.servers


def path_of(path: str) -> str:
    return path.replace("{", "").replace("}", "")


def test_who_is_not_signed_in_reaches_nothing_but_the_door(visitor: TestClient) -> None:
    for endpoint in ENDPOINTS:
        answer = visitor.request(endpoint.method, API + path_of(endpoint.path))
        assert answer.status_code == 401, endpoint.name
        assert answer.headers["content-type"] == "application/problem+json"
    assert visitor.get(f"{API}/live?feeds=kpis").status_code == 401
    for page in PAGES:
        assert {visitor.get(path_of(path)).status_code for path in page.paths} == {401}


@pytest.mark.parametrize("role", ROLES)
def test_every_endpoint_is_denied_but_to_its_roles(signed_in: SignedIn, role: Role) -> None:
    client = signed_in(role, stores=("S1",))
    denied = {e.name for e in ENDPOINTS if client.request(e.method, API + path_of(e.path)).status_code == 403}
    assert {e.name for e in ENDPOINTS if role not in e.roles} <= denied
    for page in PAGES:
        for path in page.paths:
            assert client.get(path_of(path)).status_code == (200 if role in page.roles else 403)


def test_a_link_signs_in_once(signed_in: SignedIn, visitor: TestClient) -> None:
    client = signed_in("auditor")
    assert client.get(f"{API}/me").json()["roles"] == ["auditor"]
    used = str(client.get("/enter/no-such-secret").status_code)
    assert used == "403"


def test_a_change_without_the_sessions_token_is_refused(signed_in: SignedIn) -> None:
    client = signed_in("marketing")
    del client.headers["x-csrf-token"]
    assert client.post(f"{API}/leave").status_code == 403
    assert client.get(f"{API}/me").status_code == 200, "still signed in"


def test_who_has_left_is_signed_out_everywhere(signed_in: SignedIn) -> None:
    client = signed_in("marketing")
    cookie = client.cookies["brewline"]
    assert client.post(f"{API}/leave").status_code == 204
    client.cookies.set("brewline", cookie)
    assert client.get(f"{API}/me").status_code == 401


def test_the_page_on_the_board_tells_the_roles_as_they_are() -> None:
    text = PAGE.read_text("utf-8")
    assert text == written(text), "run `python -m board.roles`"


def test_while_redis_is_away_pages_and_calls_say_so(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        settings = conf.Settings(redis=conf.Redis(url=server.url), folder=str(conf.HERE))
        settings.kafka.brokers = "127.0.0.1:1"
        app = create_app(settings)
        client = TestClient(app, HERE, cookies={"brewline": "x"})
        assert client.get("/now").status_code == 401
    for path in ("/now", f"{API}/me", "/healthz"):
        answer = client.get(path)
        assert (answer.status_code, "Redis does not answer" in answer.json()["detail"]) == (503, True), path


def test_an_address_of_no_page_shows_the_frame_or_the_door(signed_in: SignedIn, visitor: TestClient) -> None:
    client = signed_in("marketing")
    for path in ("/nope", "/stores/a/b"):
        assert (client.get(path).status_code, 'id="pages"' in client.get(path).text) == (404, True)
        assert (visitor.get(path).status_code, 'class="enter"' in visitor.get(path).text) == (401, True)
    for path in (f"{API}/nope", "/static/nope.js"):
        assert (client.get(path).status_code, client.get(path).text) == (404, "Not Found")
