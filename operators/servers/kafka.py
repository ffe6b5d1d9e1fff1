"""A real Apache Kafka of our own: one node, broker and controller in one process (KRaft)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from operators.servers.kafka_libs import VERSION, find_java, kafka_libs
from operators.servers.process import HOST, Server, ServerFailed, free_ports, running

START_TIMEOUT_S = 60.0
MAX_MESSAGE_BYTES = 10 * 1024 * 1024
# Compiled once and lightly, for what runs for minutes: else compiling takes more of two cores than Kafka's own work.
LIGHT_JAVA = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
LOGGER = "-Dorg.slf4j.simpleLogger."
QUIET = [f"{LOGGER}defaultLogLevel=warn", f"{LOGGER}showDateTime=true", f"{LOGGER}dateTimeFormat=HH:mm:ss.SSS"]


class KafkaServer(Server):
    real = True

    @property
    def brokers(self) -> str:
        return self.address


@contextmanager
def kafka_server(folder: Path, port: int = 0) -> Iterator[KafkaServer]:
    """A Kafka that keeps its data in `folder`. Raises NoKafka when this machine cannot run one, ServerFailed."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    java = [find_java(), *LIGHT_JAVA, "-cp", f"{kafka_libs()}/*"]
    free = free_ports(2)
    port = port or free[0]
    cluster = uuid5(NAMESPACE_URL, folder.as_uri()).hex[:21] + "A"  # 22 letters of Base64 that end 128 bits
    settings = folder / "server.properties"
    settings.write_text(_properties(folder / "data", port, controller_port=free[1]))
    _format(java, settings, cluster)
    server = KafkaServer(
        name=f"Apache Kafka {VERSION} (KRaft)",
        port=port,
        command=[*java, "-Xmx512m", *QUIET, "kafka.Kafka", str(settings)],
        log=folder / "kafka.log",
        answers=partial(_answers, cluster),
        start_timeout_s=START_TIMEOUT_S,
    )
    with running(server):
        yield server


def _properties(data: Path, port: int, controller_port: int) -> str:
    lines = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "log.dirs": data,
        "log.retention.ms": -1,  # replayed history is old by its time stamps
        "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,
        "auto.create.topics.enable": "false",
        "message.max.bytes": MAX_MESSAGE_BYTES,
        "group.initial.rebalance.delay.ms": 0,
        "broker.session.timeout.ms": 3_000,  # after a kill, it waits so long for its former self
        "broker.heartbeat.interval.ms": 500,
        "offsets.topic.num.partitions": 4,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.num.partitions": 8,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
    }
    return "".join(f"{key}={value}\n" for key, value in lines.items())


def _format(java: list[str], settings: Path, cluster: str) -> None:
    """Prepares the data folder; one that is already prepared stays as it is."""
    tool = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", cluster, "-c", str(settings)]
    done = subprocess.run([*java, *tool], capture_output=True, text=True, timeout=START_TIMEOUT_S)
    if done.returncode:
        raise ServerFailed(f"Kafka could not format {settings.parent}:\n{done.stdout}{done.stderr}")


def _answers(cluster: str, port: int, pid: int) -> bool:
    client: dict[str, Any] = {"bootstrap.servers": f"{HOST}:{port}", "log_level": 0, "error_cb": lambda _: None}
    try:
        found = AdminClient(client).list_topics(timeout=1)
    except KafkaException:
        return False
    return bool(found.brokers) and found.cluster_id == cluster
