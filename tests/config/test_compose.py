"""docker-compose.yml fits the settings, the flows, Prometheus and the image that it builds."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from brewline.cli import THREADED
from config.settings import Settings, load
from flows import notify
from flows.threaded import CLOSE_S
from flows.together import FLOWS
from operators.transactions import TIMEOUT_S

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text("utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROMETHEUS: dict[str, Any] = yaml.safe_load((ROOT / "config/prometheus.yml").read_text("utf-8"))
PINNED = re.compile(r"[a-z][a-z0-9/-]*:v?\d+\.\d+\.\d+(-[a-z0-9.-]+)?")
KEY = "BREWLINE_IDENTITY_KEY"


def environment(flow: str) -> dict[str, str]:
    return {name: str(value) for name, value in SERVICES[flow]["environment"].items()}


def settings(flow: str) -> Settings:
    """As the flow loads them in its container."""
    return load(environ=environment(flow))


def code(flow: str) -> ast.Module:
    return ast.parse((ROOT / f"flows/{flow}.py").read_text("utf-8"))


def test_every_image_is_pinned_to_a_version() -> None:
    images = {service["image"] for service in SERVICES.values()} | set(re.findall(r"(?m)^FROM (\S+)", DOCKERFILE))
    assert [image for image in images if not PINNED.fullmatch(image)] == []


def test_the_image_of_the_flows_bears_the_version_of_the_package() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert {SERVICES[flow]["image"] for flow in FLOWS} == {f"brewline:{version}"}


def test_every_flow_is_a_service_and_runs_its_own_module() -> None:
    assert {name for name, service in SERVICES.items() if "build" in service} == {*FLOWS, *THREADED, "board"}
    assert SERVICES["board"]["command"] == ["python", "-m", "brewline", "board"]
    for flow in THREADED:
        assert SERVICES[flow]["command"] == ["python", "-m", f"flows.{flow}"]
    for flow in FLOWS:
        *run, target = SERVICES[flow]["command"]
        assert run == ["python", "-m", "bytewax.run"]
        module, _, function = target.partition(":")
        assert module == f"flows.{flow}"
        assert callable(getattr(import_module(module), function))


@pytest.mark.parametrize("flow", [*FLOWS, *THREADED])
def test_what_a_flow_is_told_are_settings_and_lead_to_services_that_exist(flow: str) -> None:
    told = settings(flow)
    advertised = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")
    assert f"INSIDE://{told.kafka.brokers}" in advertised
    assert told.kafka.brokers.partition(":")[0] in SERVICES[flow]["depends_on"]
    redis = urlsplit(told.redis.url)
    assert redis.hostname in SERVICES[flow]["depends_on"]
    assert redis.port == 6379
    assert told.metrics.host == "0.0.0.0"
    assert SERVICES[flow]["depends_on"].keys() <= {name for name in SERVICES if "healthcheck" in SERVICES[name]}


def test_health_and_metrics_are_asked_for_at_the_ports_of_the_settings() -> None:
    (job,) = PROMETHEUS["scrape_configs"]
    scraped = {entry["labels"]["flow"]: entry["targets"] for entry in job["static_configs"]}
    for flow in (*FLOWS, *THREADED):
        port = getattr(settings(flow).metrics, flow)
        assert f"'http://127.0.0.1:{port}/healthz'" in SERVICES[flow]["healthcheck"]["test"][-1]
        assert scraped.pop(flow) == [f"{flow}:{port}"]
    assert scraped == {"board": [f"board:{settings('board').metrics.board}"]}


def test_the_board_is_published_for_this_machine_and_shows_every_flow() -> None:
    told = settings("board").board
    assert SERVICES["board"]["ports"] == [f"127.0.0.1:{told.port}:{told.port}"]
    assert told.url == f"http://127.0.0.1:{told.port}"
    assert told.flows == {flow: f"{flow}:{getattr(settings(flow).metrics, flow)}" for flow in (*FLOWS, *THREADED)}


def test_only_flows_that_make_pseudonyms_get_their_key_and_compose_insists_on_it() -> None:
    for flow in FLOWS:
        uses = any(isinstance(node, ast.Name) and node.id == "load_pseudonyms" for node in ast.walk(code(flow)))
        assert (KEY in environment(flow)) == uses, flow
    assert environment("ingest")[KEY].startswith(f"${{{KEY}:?")


def test_the_flow_that_issues_coupons_alone_gets_the_key_of_their_codes() -> None:
    assert [flow for flow in (*FLOWS, *THREADED) if "BREWLINE_COUPON_KEY" in environment(flow)] == ["customers"]


def test_every_published_port_is_of_this_machine_alone() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    defaults = load(environ={})
    assert published["kafka"] == [f"{defaults.kafka.brokers}:9092"]
    assert published["redis"] == [f"{urlsplit(defaults.redis.url).netloc}:6379"]
    assert f"HOST://{defaults.kafka.brokers}" in SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]


def test_every_mounted_path_exists_and_every_volume_is_declared() -> None:
    mounts = [mount.split(":") for service in SERVICES.values() for mount in service.get("volumes", [])]
    for source, _target, *mode in mounts:
        if source.startswith("."):
            assert (ROOT / source).exists(), source
            assert mode == ["ro"], source
    assert {source for source, *_ in mounts if not source.startswith(".")} == COMPOSE["volumes"].keys()


def test_services_find_their_files_where_they_are_mounted() -> None:
    mounted = {mount.split(":")[1] for service in SERVICES.values() for mount in service.get("volumes", [])}
    assert {f"/etc/prometheus/{name}" for name in PROMETHEUS["rule_files"]} <= mounted
    (alerting,) = PROMETHEUS["alerting"]["alertmanagers"]
    assert alerting["static_configs"][0]["targets"] == ["alertmanager:9093"]
    provider = yaml.safe_load((ROOT / "config/grafana/provisioning/dashboards/brewline.yml").read_text("utf-8"))
    folder = provider["providers"][0]["options"]["path"]
    assert folder in mounted
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / "config/grafana/dashboards" / Path(home).relative_to(folder)).exists()


def test_kafka_takes_what_the_flows_may_send_and_leaves_topics_to_them() -> None:
    kafka = SERVICES["kafka"]["environment"]
    assert kafka["KAFKA_MESSAGE_MAX_BYTES"] == 10 * 1024 * 1024 > load(environ={}).kafka.max_message_bytes
    assert kafka["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_redis_writes_every_second_and_never_drops_state_for_lack_of_memory() -> None:
    command = " ".join(SERVICES["redis"]["command"])
    assert "--appendonly yes --appendfsync everysec --maxmemory-policy noeviction" in command


def test_a_flow_is_given_the_time_to_finish_a_transaction() -> None:
    for flow in FLOWS:
        assert int(SERVICES[flow]["stop_grace_period"].removesuffix("s")) > TIMEOUT_S
    dispatch = settings("dispatch").dispatch.stop_s + CLOSE_S
    assert int(SERVICES["dispatch"]["stop_grace_period"].removesuffix("s")) > dispatch
    assert int(SERVICES["notify"]["stop_grace_period"].removesuffix("s")) > notify.STOP_S + CLOSE_S


def test_bytewax_serves_no_page_without_a_login() -> None:
    assert "BYTEWAX_DATAFLOW_API_ENABLED" not in TEXT + DOCKERFILE


def test_the_image_holds_every_package_that_the_flows_import() -> None:
    ours = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    needed, todo = set(), {"flows", "board"}
    while todo:
        needed |= (now := todo)
        sources = [path.read_text("utf-8") for package in now for path in (ROOT / package).rglob("*.py")]
        todo = {name for source in sources for name in imported(source)} & ours - needed
    copied = set(re.findall(r"(?m)^COPY (\w+) \w+$", DOCKERFILE))
    let_through = set(re.findall(r"(?m)^!(\w+)$", (ROOT / ".dockerignore").read_text("utf-8")))
    assert needed == copied == let_through


def imported(source: str) -> set[str]:
    """Top-level packages that a module imports."""
    nodes = list(ast.walk(ast.parse(source)))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names}


def compose(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """`docker compose config`, where there is one."""
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "compose", "version"], capture_output=True).returncode:
        pytest.skip("there is no docker compose here")
    command = [docker, "compose", "config", "--quiet"]
    base = {name: value for name, value in os.environ.items() if name != KEY}
    return subprocess.run(command, cwd=ROOT, env={**base, **environ}, capture_output=True, text=True, timeout=60)


def test_docker_compose_reads_it() -> None:
    done = compose({KEY: "0123456789abcdef"})
    assert (done.returncode, done.stderr) == (0, "")


def test_docker_compose_says_what_to_do_when_the_key_is_missing() -> None:
    done = compose({})
    assert done.returncode != 0
    assert f"required variable {KEY} is missing a value: set it to a secret" in done.stderr


def test_the_compiled_core_lies_where_the_flows_user_may_write() -> None:
    """Numba loads from no folder that it could not write to; all else of a container is read-only."""
    [folder] = re.findall(r"NUMBA_CACHE_DIR=(\S+)", DOCKERFILE)
    own, user, compiled = (
        DOCKERFILE.index(f"install -d -o brewline {folder}"),
        DOCKERFILE.index("\nUSER 10001"),
        DOCKERFILE.index("brewline.compiled"),
    )
    assert own < user < compiled
    assert all(any(volume.endswith(f":{folder}") for volume in SERVICES[flow]["volumes"]) for flow in FLOWS)
