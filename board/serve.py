"""Serves the board until told to stop."""

from __future__ import annotations

import uvicorn

from board.app import create_app
from config.settings import Settings
from operators.health import configure_logs

DRAIN_S = 5


def serve(settings: Settings) -> None:
    """Raises Unreachable."""
    configure_logs(settings.log.level, settings.log.format)
    board = settings.board
    config = uvicorn.Config(
        create_app(settings),
        host=board.host,
        port=board.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_S,
    )
    uvicorn.Server(config).run()
