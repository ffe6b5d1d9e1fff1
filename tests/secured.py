"""A real Kafka and a real Redis that speak TLS, ask for a user, and grant what docs/operations.md says they must."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import redis as redis_py
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from msgspec import Struct

from operators.servers import KafkaServer, find_java
from operators.servers import kafka as plain
from operators.servers.kafka_libs import kafka_libs
from operators.servers.process import Server, free_ports, running
from operators.servers.redis import find_redis
from tests.siem import certificates

OPERATIONS = (Path(__file__).parent.parent / "docs/operations.md").read_text("utf-8")
RIGHTS = re.compile(r"^\| (topic|group|transactional id) \| `((?:<prefix>)?[\w-]*)` \| ([A-Z_, ]+) \|$", re.M)
USER, PASSWORD = "brewline", "tea@leaf:and/water 50%"  # with all that a url could trip over
LISTENERS = """
listeners=SECURED://127.0.0.1:{secured},PLAINTEXT://127.0.0.1:{inner},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=SECURED://localhost:{secured},PLAINTEXT://127.0.0.1:{inner}
listener.security.protocol.map=SECURED:SASL_SSL,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
listener.name.secured.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.secured.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
 user_{user}="{password}";
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
"""


class Secured(Struct):
    """`inner` is Kafka's listener for itself and for whoever sets it up: no user is asked for there."""

    brokers: str
    inner: str
    redis_url: str
    authority: Path


@contextmanager
def secured(folder: Path, prefix: str) -> Iterator[Secured]:
    """What Brewline's user may do there are the lines of docs/operations.md, for this prefix of topics and keys."""
    authority, certificate, key = certificates(folder)
    keystore = folder / "keystore.pem"
    keystore.write_text(key.read_text() + certificate.read_text())
    secured_port, inner, controller, redis_port = free_ports(4)
    kafka = _kafka(folder / "kafka", keystore, secured_port, inner, controller)
    redis = _redis(folder / "redis", redis_port, authority, certificate, key, prefix.rstrip("-"))
    with running(kafka), running(redis):
        _grant(kafka.brokers, prefix)
        yield Secured(f"localhost:{secured_port}", kafka.brokers, f"rediss://localhost:{redis_port}/0", authority)


def _kafka(folder: Path, keystore: Path, port: int, inner: int, controller: int) -> KafkaServer:
    folder.mkdir()
    java = [find_java(), *plain.LIGHT_JAVA, "-cp", f"{kafka_libs()}/*"]
    cluster = uuid5(NAMESPACE_URL, folder.as_uri()).hex[:21] + "A"
    settings = folder / "server.properties"
    ports = {"secured": port, "inner": inner, "controller": controller}
    more = LISTENERS.format(**ports, user=USER, password=PASSWORD, keystore=keystore)
    settings.write_text(plain._properties(folder / "data", inner, controller) + more)
    plain._format(java, settings, cluster)
    command = [*java, "-Xmx512m", *plain.QUIET, "kafka.Kafka", str(settings)]
    answers = partial(plain._answers, cluster)
    return KafkaServer("Kafka with SASL_SSL", inner, command, folder / "kafka.log", answers, plain.START_TIMEOUT_S)


def _grant(inner: str, prefix: str) -> None:
    """SCRAM's password, and the rights that the documentation lists: `resource prefix: operation, ...`."""
    admin = AdminClient({"bootstrap.servers": inner})
    scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    for done in admin.alter_user_scram_credentials(
        [UserScramCredentialUpsertion(USER, scram, PASSWORD.encode())]
    ).values():
        done.result(30)
    rights = re.findall(
        r"^\| (topic|group|transactional id) \| `((?:<prefix>)?[\w-]*)` \| ([A-Z_, ]+) \|$", OPERATIONS, re.M
    )
    kinds = {
        "topic": ResourceType.TOPIC,
        "group": ResourceType.GROUP,
        "transactional id": ResourceType.TRANSACTIONAL_ID,
    }
    bindings = [
        AclBinding(
            kinds[kind],
            name.replace("<prefix>", prefix),
            ResourcePatternType.PREFIXED,
            f"User:{USER}",
            "*",
            getattr(AclOperation, operation.strip()),
            AclPermissionType.ALLOW,
        )
        for kind, name, operations in rights
        for operation in operations.split(",")
    ]
    assert {kind for kind, _, _ in rights} == set(kinds)
    for granted in admin.create_acls(bindings).values():
        granted.result(30)


def _redis(folder: Path, port: int, authority: Path, certificate: Path, key: Path, prefix: str) -> Server:
    folder.mkdir()
    lines = re.findall(r"^user (brewline\S*) on >password (.*)$", OPERATIONS, re.M)
    secret = sha256(PASSWORD.encode()).hexdigest()
    users = [f"user {name} on #{secret} {rules.replace('~bl:', f'~{prefix}:')}" for name, rules in lines]
    acl = folder / "users.acl"
    acl.write_text("\n".join(["user default off", *users, "user probe on >probe +ping +info", ""]))
    options = {
        "port": 0,
        "tls-port": port,
        "tls-cert-file": certificate,
        "tls-key-file": key,
        "tls-ca-cert-file": authority,
        "tls-auth-clients": "no",
        "aclfile": acl,
        "dir": folder,
        "save": "",
        "appendonly": "yes",
    }
    command = [find_redis()[0], *(f"{word}" for name, value in options.items() for word in (f"--{name}", value))]
    answers = partial(_answers, authority)
    return Server("Redis with TLS", port, command, folder / "redis.log", answers, start_timeout_s=30)


def _answers(authority: Path, port: int, pid: int) -> bool:
    url = f"rediss://probe:probe@localhost:{port}/0?ssl_ca_certs={authority}"
    with redis_py.Redis.from_url(url) as client:
        try:
            return bool(client.info("server")["process_id"] == pid)
        except redis_py.ConnectionError:
            return False
