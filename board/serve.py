"""Serves the board until told to stop."""

from __future__ import annotations

import gc
import signal
import socket
import sys
from threading import Thread

import uvicorn

from board.app import create_app
from config.reading import WrongSettings
from config.settings import Settings
from features.customer import Core
from flows.files import load_catalog
from operators.health import Pulse, configure_logs, serve_health

DRAIN_S = 5
HAND_OVER_S = 0.0005  # so long a thread that computes may keep the event loop from its turn


def serve(settings: Settings) -> None:
    """Raises Unreachable, WrongSettings."""
    sys.setswitchinterval(HAND_OVER_S)
    configure_logs(settings.log.level, settings.log.format)
    board = settings.board
    require_free(board.host, board.port)
    serve_health(settings.metrics.host, settings.metrics.board, Pulse(settings.metrics.stall_s))
    config = uvicorn.Config(
        create_app(settings),
        host=board.host,
        port=board.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(board.proxies),
        forwarded_allow_ips=board.proxies,
        ssl_certfile=settings.path(board.certificate) if board.certificate else None,
        ssl_keyfile=settings.path(board.certificate_key) if board.certificate else None,
        timeout_graceful_shutdown=DRAIN_S,
    )
    server = uvicorn.Server(config)
    Thread(target=_load_core, args=(settings,), name="core", daemon=True).start()

    def end(*_: object) -> None:
        """Also for a signal before the server listens for one, and for the one it raises again at its end."""
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    server.run()


def require_free(host: str, port: int) -> None:
    """Raises WrongSettings where nobody can listen, before the server says so in words that name no setting."""
    try:
        for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            socket.create_server(address[:2], family=family).close()
    except OSError as error:
        raise WrongSettings(
            f"the board cannot be served at {host}:{port} ({error.strerror}): name another place with [board] host"
            " and port, or BREWLINE_BOARD__HOST and BREWLINE_BOARD__PORT"
        ) from error


def _load_core(settings: Settings) -> None:
    """The compiled core takes seconds to load: nobody's first read waits for it."""
    Core(load_catalog(settings)).rows({}, 0)
    gc.collect()
    gc.freeze()  # what stays for good need not be looked through again while somebody waits
