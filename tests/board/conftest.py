"""A board on a real Redis, and people who are signed in to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from starlette.testclient import TestClient

from board.access.person import Person, Role
from board.access.sessions import Sessions
from board.app import create_app
from config import settings as conf
from operators.redis_link import connect_redis
from operators.servers import RedisServer

SignedIn = Callable[..., TestClient]
HERE = "http://127.0.0.1"


@pytest.fixture
def board_settings(redis: RedisServer, topic_prefix: str) -> conf.Settings:
    """The shipped defaults on a real Redis; no Kafka answers."""
    return conf.Settings(
        kafka=conf.Kafka(brokers="127.0.0.1:1", topic_prefix=topic_prefix, start_timeout_s=0.1),
        redis=conf.Redis(url=redis.url, prefix=topic_prefix.rstrip("-")),
        folder=str(conf.HERE),
    )


@pytest.fixture
def visitor(board_settings: conf.Settings) -> Iterator[TestClient]:
    """Who is not signed in."""
    with TestClient(create_app(board_settings), HERE, follow_redirects=False) as client:
        yield client


@pytest.fixture
def signed_in(board_settings: conf.Settings) -> Iterator[SignedIn]:
    """signed_in("marketing") or signed_in("store", stores=["S1"]): a client in this person's session."""
    redis = connect_redis(board_settings.redis.url, 5.0)
    with TestClient(create_app(board_settings), HERE, follow_redirects=False) as first:

        def client(*roles: Role, stores: tuple[str, ...] = ()) -> TestClient:
            one = TestClient(first.app, HERE, follow_redirects=False)
            one.portal = first.portal  # one board has one event loop, whoever asks
            person = Person(f"{'-'.join(roles)}-1", frozenset(roles), frozenset(stores))
            one.get(f"/enter/{Sessions(redis, board_settings.redis.prefix, 1.0).link(person)}")
            one.headers["x-csrf-token"] = one.cookies["brewline-csrf"]
            return one

        yield client
