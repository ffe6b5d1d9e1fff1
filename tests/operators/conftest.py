"""What the tests of the partition step share. A file of theirs uses `quiet` and `large` throughout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from operators import partition
from operators.health import configure_logs
from operators.servers import RedisServer, redis_server
from tests.tally import Log, steps

pytest.register_assert_rewrite("tests.operators.stepping")


@pytest.fixture(scope="module")
def quiet() -> Iterator[None]:
    configure_logs("critical", "json")
    yield
    structlog.reset_defaults()


@pytest.fixture(params=[1, partition.LARGE], ids=["Redis at leisure", "Redis waited for"])
def large(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every claim holds for commits that are taken up by the next batch, and for those that are waited for."""
    monkeypatch.setattr(partition, "LARGE", request.param)


@pytest.fixture
def own_redis(workdir: Path) -> Iterator[RedisServer]:
    with redis_server(workdir, appendonly="always") as server:
        yield server


@pytest.fixture
def log() -> Log:
    return Log(steps(60))
