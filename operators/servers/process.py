"""A server process: started, waited for, killed, paused, and started again on the same port and data."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

HOST = "127.0.0.1"
PORTS = range(20_000, 32_000)  # below what systems lend to outgoing connections, so a killed server finds its port free
PR_SET_PDEATHSIG = 1
POLL_S = 0.02
STOP_S = 15.0


class ServerFailed(RuntimeError):
    """A server that did not start; the message ends with the last lines of its log."""


class Answers(Protocol):
    """Whether the server at `port` answers, and is the one of this process id."""

    def __call__(self, port: int, pid: int) -> bool: ...


@dataclass
class Server:
    name: str  # what it is, with its version
    port: int
    command: list[str]
    log: Path
    answers: Answers
    start_timeout_s: float
    environment: dict[str, str] = field(default_factory=dict)  # beside that of this process
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        if self.process is None:
            raise ServerFailed(f"{self.name} was not started")
        return self.process.pid

    def start(self) -> None:
        """Starts the process and waits until it answers. Raises ServerFailed, and leaves nothing running."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
                preexec_fn=_apart(),
            )
        until = time.monotonic() + self.start_timeout_s
        while not self.answers(self.port, self.pid):
            if self.process.poll() is not None:
                raise ServerFailed(f"{self.name} ended with code {self.process.returncode}:\n{tail(self.log)}")
            if time.monotonic() > until:
                self.kill()
                raise ServerFailed(f"{self.name} did not answer in {self.start_timeout_s:g} s:\n{tail(self.log)}")
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Asks it to end, waits, then kills. Nothing happens when it does not run."""
        if self.process is None or self.process.poll() is not None:
            return
        self.resume()  # a paused process would not hear the request
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL, and waits until it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def restart(self) -> None:
        """Stops it when it runs, and starts it on the same port and data."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


S = TypeVar("S", bound=Server)


@contextmanager
def running(server: S) -> Iterator[S]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """A port nobody listens on."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on."""
    ports: list[int] = []
    with ExitStack() as held:
        for port in random.sample(PORTS, len(PORTS)):
            sock = held.enter_context(socket.socket())
            try:
                sock.bind((HOST, port))
            except OSError:
                continue
            ports.append(port)
            if len(ports) == count:
                return ports
    raise ServerFailed(f"no {count} free ports from {PORTS.start} to {PORTS.stop}")


def tail(log: Path, lines: int = 20) -> str:
    return "\n".join(log.read_text("utf-8", "replace").splitlines()[-lines:])


def _apart() -> Callable[[], None]:
    """A server's `preexec_fn`: it dies with us, but a Ctrl-C is ours to answer.

    So it gets a group of its own, not a session: Linux shares processors between sessions first (autogroup), and a
    small server in its own waited for seconds while many threads of ours ran.
    """
    ask = die_with_parent()

    def begin() -> None:
        os.setpgid(0, 0)
        if ask is not None:
            ask()

    return begin


def die_with_parent() -> Callable[[], None] | None:
    """A child's `preexec_fn`: it is killed when the thread that starts it ends, however that ends. Linux only."""
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None, use_errno=True).prctl, os.getpid()

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it ended before we asked
            os._exit(1)

    return ask
