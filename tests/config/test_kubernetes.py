"""deploy/kubernetes fits Kubernetes' schema, the settings, the flows and the image; kustomize renders it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import kubernetes_validate
import pytest
import yaml

from brewline.cli import THREADED
from config.settings import load
from flows import notify
from flows.threaded import CLOSE_S
from flows.together import FLOWS
from operators.transactions import TIMEOUT_S

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/kubernetes"
VERSION = "1.37.0"  # of Kubernetes
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text("utf-8"))
SECRETS = "/run/secrets/brewline/"


def resources() -> list[dict[str, Any]]:
    found = []
    for name in KUSTOMIZATION["resources"]:
        for document in yaml.safe_load_all((FOLDER / name).read_text("utf-8")):
            found += document["items"] if document["kind"] == "List" else [document]
    return found


RESOURCES = resources()
WORKLOADS = {one["metadata"]["name"]: one for one in RESOURCES if one["kind"] in ("StatefulSet", "Deployment")}
SETTINGS = dict(line.split("=", 1) for line in KUSTOMIZATION["configMapGenerator"][0]["literals"])
every_flow = pytest.mark.parametrize("flow", sorted(WORKLOADS))


def pod(flow: str) -> dict[str, Any]:
    return WORKLOADS[flow]["spec"]["template"]["spec"]  # type: ignore[no-any-return]


def container(flow: str) -> dict[str, Any]:
    [found] = pod(flow)["containers"]
    return found  # type: ignore[no-any-return]


def environment(flow: str, index: int = 0) -> dict[str, str]:
    """As Kubernetes makes it for pod `index`: settings first, then the container's own, which may name each other."""
    told = dict(SETTINGS)
    for variable in container(flow)["env"]:
        value = variable.get("value", str(index))
        told[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda name: told[name[1]], value)
    return told


def ids(resource: dict[str, Any]) -> str:
    return f"{resource['kind']}-{resource['metadata']['name']}"


@pytest.mark.parametrize("resource", RESOURCES, ids=ids)
def test_every_resource_fits_the_schema_and_has_no_word_that_it_does_not_know(resource: dict[str, Any]) -> None:
    kubernetes_validate.validate(resource, VERSION, strict=True)


def test_the_validator_would_see_a_misspelt_word() -> None:
    wrong = yaml.safe_load(yaml.safe_dump(WORKLOADS["ingest"]).replace("terminationGracePeriodSeconds", "gracePeriod"))
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


def test_every_flow_and_the_board_run_their_own_module_on_their_own_port() -> None:
    assert set(WORKLOADS) == {*FLOWS, *THREADED, "board"}
    runs = {flow: ["bytewax.run", f"flows.{flow}:flow"] for flow in FLOWS}
    runs |= {flow: [f"flows.{flow}"] for flow in THREADED} | {"board": ["brewline", "board"]}
    ports = load(environ={}).metrics
    for flow in WORKLOADS:
        assert container(flow)["command"] == ["python", "-m", *runs[flow]]
        assert container(flow)["ports"][0] == {"name": "metrics", "containerPort": getattr(ports, flow)}
        assert WORKLOADS[flow]["spec"]["selector"]["matchLabels"] == {"app.kubernetes.io/name": flow}
        assert WORKLOADS[flow]["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"] == flow


def test_the_board_is_secure_and_asks_each_flow_that_has_pods_with_a_name(tmp_path: Path) -> None:
    settings = loaded(environment("board"), tmp_path)
    assert settings.board.secure
    assert {"name": "http", "containerPort": settings.board.port} in container("board")["ports"]
    [service] = [
        one["metadata"]["name"] for one in RESOURCES if one["kind"] == "Service" and "clusterIP" in one["spec"]
    ]
    named = {flow: f"{flow}-0.{service}:{getattr(settings.metrics, flow)}" for flow in FLOWS}
    assert settings.board.flows == named


@every_flow
def test_the_pods_of_a_flow_share_all_partitions_between_them(flow: str, tmp_path: Path) -> None:
    if flow in (*THREADED, "board"):
        assert WORKLOADS[flow]["spec"]["replicas"] == 1
        assert (WORKLOADS[flow]["spec"].get("strategy") == {"type": "Recreate"}) == (flow in THREADED)
        return
    replicas = WORKLOADS[flow]["spec"]["replicas"]
    told = [loaded(environment(flow, index), tmp_path).kafka.shared for index in range(replicas)]
    assert told == [(index, replicas) for index in range(replicas)]


def loaded(environ: dict[str, str], folder: Path) -> Any:
    """With files in place of the secrets."""
    for name in ("kafka-password", "redis-password", "identity-key", "coupon-key"):
        (folder / name).write_text("0123456789abcdef")
    (folder / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    here = {name: value.replace(SECRETS, f"{folder}/") for name, value in environ.items()}
    return load(environ={name: value for name, value in here.items() if name.startswith("BREWLINE_")})


@every_flow
def test_what_a_flow_is_told_are_settings_and_its_secrets_are_files(flow: str, tmp_path: Path) -> None:
    environ = environment(flow)
    settings = loaded(environ, tmp_path)
    assert settings.metrics.host == "0.0.0.0"
    assert settings.kafka.librdkafka()["sasl.password"] == "0123456789abcdef"
    assert settings.redis.url.startswith("rediss://brewline:0123456789abcdef@")
    assert not [name for name in environ if name.endswith(("PASSWORD", "IDENTITY_KEY", "COUPON_KEY"))]
    named = {value.removeprefix(SECRETS) for value in environ.values() if value.startswith(SECRETS)}
    given = {source["secret"]["name"] for source in projected(flow)}
    holds = {"brewline-servers": {"kafka-password", "redis-password", "ca.pem"}}
    holds |= {"brewline-identity": {"identity-key"}, "brewline-coupons": {"coupon-key"}}
    assert named == {file for name in given for file in holds[name]}


def projected(flow: str) -> list[dict[str, Any]]:
    [sources] = [volume["projected"]["sources"] for volume in pod(flow)["volumes"] if volume["name"] == "secrets"]
    return sources  # type: ignore[no-any-return]


def test_only_flows_that_need_a_key_have_it() -> None:
    has = {flow: {source["secret"]["name"] for source in projected(flow)} for flow in WORKLOADS}
    assert {flow for flow in has if "brewline-identity" in has[flow]} == {"ingest", "security", "board"}
    assert {flow for flow in has if "brewline-coupons" in has[flow]} == {"customers"}


@every_flow
def test_a_pod_can_write_nowhere_and_become_nobody_else(flow: str) -> None:
    spec = pod(flow)
    [uid] = re.findall(r"useradd --uid (\d+)", DOCKERFILE)
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["runAsUser"] == int(uid)
    assert spec["automountServiceAccountToken"] is False
    for one in (*spec["initContainers"], *spec["containers"]):
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"requests", "limits"} <= one["resources"].keys()
    mounts = {mount["name"]: mount["mountPath"] for mount in container(flow)["volumeMounts"]}
    assert {volume["name"] for volume in spec["volumes"]} == mounts.keys()
    assert f"NUMBA_CACHE_DIR={mounts['core']}" in DOCKERFILE


@every_flow
def test_a_pod_fills_a_folder_that_is_another_users(flow: str) -> None:
    """Kubernetes makes the folder of a volume as root: whoever is not root may write there, and set no times of it."""
    [core] = pod(flow)["initContainers"]
    assert core["command"][:2] == ["cp", "-r"]
    if os.geteuid():
        return  # only root can make such a folder
    with TemporaryDirectory() as folder:
        source, volume = Path(folder, "source"), Path(folder, "core")
        (source / "flows").mkdir(parents=True)
        (source / "flows/one.nbi").write_text("compiled")
        volume.mkdir()
        for one, mode in ((Path(folder), 0o755), (volume, 0o777)):
            one.chmod(mode)
        places = {"/var/cache/brewline/.": f"{source}/.", "/core/": f"{volume}/"}
        uid = pod(flow)["securityContext"]["runAsUser"]
        subprocess.run([places.get(word, word) for word in core["command"]], user=uid, group=uid, check=True)
        assert (volume / "flows/one.nbi").read_text() == "compiled"


@every_flow
def test_a_flow_is_asked_for_its_health_and_given_the_time_to_finish(flow: str) -> None:
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container(flow)[probe]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    longest_s = max(TIMEOUT_S, load(environ={}).dispatch.stop_s + CLOSE_S, notify.STOP_S + CLOSE_S)
    assert pod(flow)["terminationGracePeriodSeconds"] > longest_s


def test_flows_of_several_pods_lose_one_at_a_time() -> None:
    budgets = {one["metadata"]["name"]: one["spec"] for one in RESOURCES if one["kind"] == "PodDisruptionBudget"}
    assert set(budgets) == {name for name, one in WORKLOADS.items() if one["spec"]["replicas"] > 1}
    assert all(spec["maxUnavailable"] == 1 for spec in budgets.values())


def test_flows_may_reach_the_ports_of_their_servers_and_answer_nobody_but_monitoring() -> None:
    [policy] = [one["spec"] for one in RESOURCES if ids(one) == "NetworkPolicy-flows"]
    ports = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    settings = (SETTINGS["BREWLINE_KAFKA__BROKERS"], SETTINGS["BREWLINE_REDIS__URL"].removesuffix("/0"))
    assert ports == {53, *(int(address.rpartition(":")[2]) for address in settings)}
    assert [rule["ports"] for rule in policy["ingress"]] == [[{"port": "metrics", "protocol": "TCP"}]]


def test_the_image_bears_the_version_of_compose() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    [image] = {one["image"] for flow in WORKLOADS for one in (*pod(flow)["initContainers"], *pod(flow)["containers"])}
    assert image == compose["services"]["ingest"]["image"]


def test_kustomize_renders_what_stands_there() -> None:
    kubectl = shutil.which("kubectl")
    if not kubectl:
        pytest.skip("there is no kubectl here")
    done = subprocess.run([kubectl, "kustomize", str(FOLDER)], capture_output=True, text=True, timeout=60, check=True)
    rendered = [*yaml.safe_load_all(done.stdout)]
    assert {ids(one) for one in RESOURCES} == {ids(one) for one in rendered if one["kind"] != "ConfigMap"}
    for resource in rendered:
        kubernetes_validate.validate(resource, VERSION, strict=True)
    [flow] = [one for one in rendered if ids(one) == "StatefulSet-customers"]
    [made] = [one["metadata"]["name"] for one in rendered if one["kind"] == "ConfigMap"]
    [main] = flow["spec"]["template"]["spec"]["containers"]
    assert main["envFrom"] == [{"configMapRef": {"name": made}}]
    assert main["securityContext"] == container("customers")["securityContext"]
