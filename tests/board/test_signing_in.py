"""How people and programs come in: passwords, tokens, links; and what keeps others out."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from board.access.headers import ALWAYS
from board.access.limits import Limit
from board.access.person import Person
from board.access.sessions import Sessions
from board.access.users import Users
from board.app import API, create_app
from board.problems import Problem
from config import board as boards
from config import settings as conf
from features.events import decode_audit
from operators.redis_link import connect_redis
from tests.board.conftest import HERE, SignedIn

pytestmark = pytest.mark.servers
PASSWORD = "oolong with pearls"
QUICK = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
MEI = Person("mei", frozenset({"marketing"}))


@pytest.fixture
def users(board_settings: conf.Settings) -> Users:
    known = Users(connect_redis(board_settings.redis.url, 5.0), board_settings.redis.prefix, QUICK)
    known.put(MEI, PASSWORD)
    return known


def enter(visitor: TestClient, name: str, password: str) -> int:
    return visitor.post(f"{API}/enter", json={"name": name, "password": password}).status_code


def noted(settings: conf.Settings) -> list[tuple[str, str, str]]:
    """(actor, action, result) of the audit trail, which no Kafka takes."""
    redis = connect_redis(settings.redis.url, 5.0)
    waiting = redis.lrange(f"{settings.redis.prefix}:{{trail}}:waiting", 0, -1)
    return [(e.actor, e.action, e.result) for e in map(decode_audit, waiting)]  # type: ignore


def test_the_right_password_opens_and_is_noted(
    visitor: TestClient, users: Users, board_settings: conf.Settings
) -> None:
    assert enter(visitor, "mei", PASSWORD) == 204
    assert visitor.get(f"{API}/me").json()["name"] == "mei"
    assert noted(board_settings)[-1] == ("mei", "login", "ok")


@pytest.mark.parametrize(("name", "password"), [("mei", "wrong"), ("nobody", PASSWORD), ("mei", "")])
def test_a_wrong_one_is_refused_in_the_same_words_and_noted(
    visitor: TestClient, users: Users, board_settings: conf.Settings, name: str, password: str
) -> None:
    answer = visitor.post(f"{API}/enter", json={"name": name, "password": password})
    assert (answer.status_code, answer.json()["detail"]) == (403, "the name or the password is wrong")
    assert noted(board_settings)[-1] == (name, "login", "denied")


def test_guessing_is_slowed_down_even_with_the_right_password_in_the_end(visitor: TestClient, users: Users) -> None:
    tried = [enter(visitor, "mei", f"guess {n}") for n in range(12)]
    assert tried[:10] == [403] * 10
    assert enter(visitor, "mei", PASSWORD) == 429
    assert int(visitor.post(f"{API}/enter", json={"name": "mei", "password": "x"}).headers["retry-after"]) > 0


def test_any_number_of_people_who_know_their_password_come_in_from_one_address(
    visitor: TestClient, users: Users
) -> None:
    assert [enter(visitor, "mei", PASSWORD) for _ in range(12)] == [204] * 12
    assert [enter(visitor, f"guess{n}", PASSWORD) for n in range(11)] == [403] * 10 + [429]


def test_an_address_that_has_no_more_tries_takes_none_of_a_name(visitor: TestClient, users: Users) -> None:
    assert [enter(visitor, f"guess{n}", PASSWORD) for n in range(10)] == [403] * 10
    assert [enter(visitor, "mei", "wrong") for _ in range(12)] == [429] * 12
    elsewhere = TestClient(visitor.app, HERE, client=("10.0.0.7", 5000))
    assert enter(elsewhere, "mei", PASSWORD) == 204


def test_nobody_fills_the_memory_before_they_are_known(visitor: TestClient) -> None:
    chunks = (b"x" * 10_000 for _ in range(10))
    assert visitor.post(f"{API}/enter", content=chunks).status_code == 413


def test_no_secret_is_kept_in_redis(visitor: TestClient, users: Users, board_settings: conf.Settings) -> None:
    enter(visitor, "mei", PASSWORD)
    redis = connect_redis(board_settings.redis.url, 5.0)
    sessions = Sessions(redis, board_settings.redis.prefix, 1.0)
    secrets = [PASSWORD, visitor.cookies["brewline"], sessions.token(MEI, 60, True), sessions.link(MEI)]
    kept = b" ".join(key + redis.dump(key) for key in redis.scan_iter(f"{board_settings.redis.prefix}:*"))
    assert [secret for secret in secrets if secret.encode() in kept] == []


def test_a_token_reads_and_changes_nothing_unless_it_may(visitor: TestClient, board_settings: conf.Settings) -> None:
    sessions = Sessions(connect_redis(board_settings.redis.url, 5.0), board_settings.redis.prefix, 1.0)
    for reads, told in ((True, 403), (False, 204)):
        bearer = {"authorization": f"Bearer {sessions.token(MEI, 60, reads)}"}
        assert visitor.get(f"{API}/me", headers=bearer).json()["roles"] == ["marketing"]
        assert visitor.post(f"{API}/leave", headers=bearer).status_code == told
    assert visitor.get(f"{API}/me", headers={"authorization": "Bearer bl_nonsense"}).status_code == 401


def test_who_is_removed_is_out_at_once(board_settings: conf.Settings, visitor: TestClient) -> None:
    sessions = Sessions(connect_redis(board_settings.redis.url, 5.0), board_settings.redis.prefix, 1.0)
    bearer = {"authorization": f"Bearer {sessions.token(MEI, 60, True)}"}
    visitor.get(f"/enter/{sessions.link(MEI)}")
    assert visitor.get(f"{API}/me").status_code == visitor.get(f"{API}/me", headers=bearer).status_code == 200
    unused = sessions.link(MEI)
    assert sessions.close_all("mei") == 3
    assert visitor.get(f"/enter/{unused}").status_code == 403
    assert visitor.get(f"{API}/me").status_code == visitor.get(f"{API}/me", headers=bearer).status_code == 401


def test_a_token_that_is_asked_with_often_is_out_within_a_second(board_settings: conf.Settings) -> None:
    sessions = Sessions(connect_redis(board_settings.redis.url, 5.0), board_settings.redis.prefix, 1.0)
    token = sessions.token(MEI, 60, True)
    assert sessions.find_lately("token", token) is None, "Redis is not asked"
    found = sessions.remember("token", token)
    assert found is not None
    assert found.person == MEI
    assert sessions.find_lately("token", token) is found
    sessions.close_all("mei")
    began_s = time.monotonic()
    while sessions.find_lately("token", token):
        assert time.monotonic() < began_s + 20
        time.sleep(0.02)
    assert sessions.remember("token", token) is None


def test_every_answer_carries_the_headers_that_keep_a_browser_honest(signed_in: SignedIn) -> None:
    client = signed_in("engineer")
    for path in ("/now", f"{API}/me", "/static/app.js", f"{API}/nothing", "/enter/no-such-link"):
        headers = client.get(path).headers
        assert {name: headers.get(name) for name in ALWAYS} == ALWAYS, path
        assert "server" not in headers
    for script in ("unsafe-inline", "unsafe-eval", "*"):
        assert script not in ALWAYS["content-security-policy"]


def test_another_sites_name_for_us_is_refused(visitor: TestClient) -> None:
    assert visitor.get("/", headers={"host": "evil.example"}).status_code == 400


def test_by_https_cookies_go_nowhere_else(board_settings: conf.Settings) -> None:
    board_settings.board = boards.Board(url="https://board.example.com")
    sessions = Sessions(connect_redis(board_settings.redis.url, 5.0), board_settings.redis.prefix, 1.0)
    with TestClient(create_app(board_settings), "https://board.example.com") as client:
        cookies = client.get(f"/enter/{sessions.link(MEI)}", follow_redirects=False).headers.get_list("set-cookie")
    assert len(cookies) == 2
    for cookie in cookies:
        assert cookie.startswith("__Host-brewline")
        assert all(word in cookie for word in ("Secure", "SameSite=strict", "Path=/"))
    assert ["HttpOnly" in cookie for cookie in cookies] == [True, False]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"host": "0.0.0.0"}, "[board] url: is missing"),
        ({"certificate": "cert.pem"}, "found one of the two"),
        ({"company": boards.Company(issuer="https://login.example.com")}, "client_id, roles"),
        ({"company": boards.Company("http://login.example.com", "id", roles={"auditor": ["x"]})}, "expected https"),
    ],
)
def test_settings_that_would_leave_it_open_are_refused(settings: dict[str, object], told: str) -> None:
    assert told in boards.complaint(boards.Board(**settings))  # type: ignore[arg-type]


@given(st.lists(st.floats(0, 5), max_size=60))
def test_nobody_gets_more_than_the_rate_and_one_burst(gaps: list[float]) -> None:
    now = [0.0]
    limit, let = Limit(2.0, 5.0, lambda: now[0]), 0
    for gap in gaps:
        now[0] += gap
        with suppress(Problem):
            limit.take("anna")
            let += 1
    assert let <= 5 + 2 * now[0] + 1e-6


def test_the_command_makes_a_user_who_can_sign_in(
    visitor: TestClient, board_settings: conf.Settings, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text(PASSWORD + "\n")
    environ = {
        "BREWLINE_REDIS__URL": board_settings.redis.url,
        "BREWLINE_REDIS__PREFIX": board_settings.redis.prefix,
        "BREWLINE_KAFKA__BROKERS": "127.0.0.1:1",
        "BREWLINE_KAFKA__START_TIMEOUT_S": "0.1",
        "PATH": "",
    }
    command = [sys.executable, "-m", "brewline", "users", "add", "li", "--role", "store", "--store", "0012"]
    command += ["--password-file", str(tmp_path / "password")]
    shown = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=60, check=False)
    assert "li may sign in at http://127.0.0.1:8080" in shown.stdout, shown.stderr
    assert enter(visitor, "li", PASSWORD) == 204
    assert visitor.get(f"{API}/me").json()["stores"] == ["0012"]
