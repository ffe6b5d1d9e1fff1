"""One Kafka and one Redis for the whole run, real ones; a test owns its topics and keys by their prefix."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import structlog
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from config import settings as conf
from operators.servers import (
    KafkaServer,
    MockKafka,
    NoKafka,
    RedisServer,
    ServerFailed,
    kafka_server,
    mock_kafka,
    redis_server,
    why_no_kafka,
)

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: as in a flow, or what is learned differs in a bit
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")  # a Kafka lives for minutes
SERVERS = {"kafka", "real_kafka", "redis", "settings"}
STARTED = pytest.StashKey[list[str]]()
UNTIMED: Any = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}  # a busy machine is no failure
hypothesis_settings.register_profile(
    "repeatable", derandomize=True, max_examples=40, **UNTIMED
)  # a run that fails fails again
hypothesis_settings.register_profile("search", derandomize=False, **UNTIMED)  # other examples each time
hypothesis_settings.load_profile("repeatable")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[STARTED] = []
    if getattr(config.option, "dist", "no") != "no":
        why_no_kafka()  # fetches Kafka's jars once, before its workers ask for them


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if SERVERS & set(getattr(item, "fixturenames", ())):
            item.add_marker("servers")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fetches Kafka's jars before the first test, whose time limit a slow network would break."""
    if not session.config.option.collectonly and any(item.get_closest_marker("servers") for item in session.items):
        why_no_kafka()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """What a worker of a run in parallel has started."""
    node.config.stash[STARTED] += getattr(node, "workeroutput", {}).get("started", [])


def pytest_sessionfinish(session: pytest.Session) -> None:
    if output := getattr(session.config, "workeroutput", None):
        output["started"] = session.config.stash[STARTED]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.stash[STARTED]:
        terminalreporter.write_line(f"servers: {', '.join(dict.fromkeys(config.stash[STARTED]))}")


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """What a test tells the log of this process to leave out, the next one shall see."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(scope="session")
def kafka(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer | MockKafka]:
    """Real Kafka; the mock cluster where it cannot start, unless BREWLINE_REQUIRE_REAL=1."""
    with ExitStack() as stack:
        server: KafkaServer | MockKafka
        reason = None
        try:
            server = stack.enter_context(kafka_server(tmp_path_factory.mktemp("kafka")))
        except (NoKafka, ServerFailed) as error:
            reason = f"real Kafka cannot start: {error}"
        if reason and os.environ.get("BREWLINE_REQUIRE_REAL") == "1":
            pytest.fail(f"BREWLINE_REQUIRE_REAL=1, and {reason}", pytrace=False)
        if reason:
            server = stack.enter_context(mock_kafka())
        pytestconfig.stash[STARTED].append(f"{server.name} ({reason})" if reason else server.name)
        yield server


@pytest.fixture
def real_kafka(
    kafka: KafkaServer | MockKafka, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KafkaServer]:
    """For what the mock cluster cannot do, such as aborted transactions; skips where only that one runs.

    A test marked `kills_kafka` gets one of its own: one that was killed checks every topic it keeps before it
    answers, and the one of all tests keeps thousands.
    """
    if not isinstance(kafka, KafkaServer):
        pytest.skip("needs real Kafka, and only the mock cluster runs")
    if request.node.get_closest_marker("kills_kafka"):
        with kafka_server(tmp_path_factory.mktemp("kafka")) as own:
            yield own
    else:
        yield kafka


@pytest.fixture(scope="session")
def redis(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        pytestconfig.stash[STARTED].append(server.name)
        yield server


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """An empty folder of this test."""
    return tmp_path


@pytest.fixture
def topic_prefix() -> str:
    """What this test's topics start with."""
    return f"t{uuid4().hex[:8]}-"


@pytest.fixture
def settings(kafka: KafkaServer | MockKafka, redis: RedisServer, topic_prefix: str) -> conf.Settings:
    """The shipped defaults, with these servers, this test's own topics and keys, and any free port for metrics."""
    return conf.Settings(
        kafka=conf.Kafka(brokers=kafka.brokers, topic_prefix=topic_prefix),
        redis=conf.Redis(url=redis.url, prefix=topic_prefix.rstrip("-")),
        metrics=conf.Metrics(
            board=0, ingest=0, customers=0, kpis=0, security=0, learning=0, dispatch=0, service=0, notify=0
        ),
        folder=str(conf.HERE),
    )
