"""Opening a flow: settings, logs, servers, parts; and its orderly stop."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Callable

import structlog
from bytewax.dataflow import Dataflow

from config.settings import Settings, WrongSettings, load
from flows.house import House
from operators.health import Pulse, configure_logs, serve_health
from operators.kafka import Unreachable

log = structlog.get_logger()


def open_house(name: str, *parts: Callable[[Dataflow, House], None]) -> Dataflow:
    """A dataflow of these parts, or a plain message and exit code 1 when it cannot start."""
    try:
        settings = load()
        configure_logs(settings.log.level, settings.log.format)
        house = House(settings)
        _serve_health(settings, name, house.pulse)
        flow = Dataflow(name)
        for part in parts:
            part(flow, house)
    except (ValueError, Unreachable) as error:
        sys.exit(f"brewline: {error}")
    # A batch makes tens of thousands of objects and drops them: looking for cycles among them took a third of the time.
    gc.freeze()
    gc.set_threshold(200_000, 50, 50)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: _stop(house, number))
    return flow


def _stop(house: House, number: int) -> None:
    log.info("stopping", signal=signal.Signals(number).name)
    house.stop.set()


def _serve_health(settings: Settings, name: str, pulse: Pulse) -> None:
    metrics, port = settings.metrics, getattr(settings.metrics, name)
    try:
        serve_health(metrics.host, port, pulse)
    except OSError as error:
        raise WrongSettings(
            f"metrics cannot be served at {metrics.host}:{port} ({error.strerror}): name another port with"
            f" [metrics] {name} or BREWLINE_METRICS__{name.upper()}, or 0 for none"
        ) from error
