"""What the tests of the partition step share. A file of theirs uses `quiet` and `large` throughout."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
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


WAYS = {"Redis at leisure": (1, partition.DEEP), "Redis waited for": (partition.LARGE, partition.DEEP)}
WAYS |= {"Redis asked ahead": (1, 1)}


@pytest.fixture(params=WAYS.values(), ids=WAYS.keys())
def large(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every claim holds for commits that are taken up by the next batch, for those that are waited for, and where
    records are asked for while the batch before is still to be applied."""
    large, deep = request.param
    monkeypatch.setattr(partition, "LARGE", large)
    monkeypatch.setattr(partition, "DEEP", deep)
    monkeypatch.setattr(partition, "REFRESH_S", inf if deep == 1 else partition.REFRESH_S)


@pytest.fixture
def own_redis(workdir: Path) -> Iterator[RedisServer]:
    with redis_server(workdir, appendonly="always") as server:
        yield server


@pytest.fixture
def log() -> Log:
    return Log(steps(60))
