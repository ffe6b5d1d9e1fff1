"""Coupons on their way to gateways, and alerts on theirs to sinks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from config.settings import Settings
from operators.servers import KafkaServer, MockKafka, RedisServer
from tests.alertpost import AlertPost
from tests.couponpost import Post
from tests.flowprocess import settings_for


@pytest.fixture
def settings(kafka: KafkaServer | MockKafka, redis: RedisServer) -> Settings:
    return settings_for(kafka.brokers, redis.url)


@pytest.fixture
def post(settings: Settings, workdir: Path) -> Iterator[Post]:
    post = Post(settings, workdir)
    yield post
    post.close()


@pytest.fixture
def alerts(settings: Settings, workdir: Path) -> Iterator[AlertPost]:
    post = AlertPost(settings, workdir)
    yield post
    post.close()
