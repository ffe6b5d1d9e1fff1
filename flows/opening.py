"""Opening a flow: settings, logs, servers, parts; and its orderly stop."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from functools import partial
from signal import Signals

import structlog
from bytewax.dataflow import Dataflow
from confluent_kafka import KafkaException

from config.settings import load
from flows.house import House
from flows.showing import show_health
from operators.health import configure_logs
from operators.kafka import Unreachable
from operators.memory import keep_memory
from operators.redis_link import AWAY
from operators.source import OffsetExpired
from operators.stopping import hear_stop
from operators.store import Fenced

log = structlog.get_logger()
FORESEEN = (Fenced, OffsetExpired, Unreachable)
WAITED_OUT = (KafkaException, *AWAY)  # as long as the flow was not told to stop


def open_house(name: str, *parts: Callable[[Dataflow, House], None]) -> Dataflow:
    """A dataflow of these parts, or a plain message and exit code 1 when it cannot start."""
    try:
        settings = load()
        configure_logs(settings.log.level, settings.log.format)
        house = House(settings)
        show_health(settings, name, house.pulse)
        flow = Dataflow(name)
        for part in parts:
            part(flow, house)
        settings.kafka.parts(house.widest)  # a dataflow that has nothing to read ends at once, in silence
    except (ValueError, Unreachable) as error:
        sys.exit(f"brewline: {error}")
    # A batch makes tens of thousands of objects and drops them: looking for cycles among them took a third of the time.
    gc.freeze()
    gc.set_threshold(200_000, 50, 50)
    keep_memory()
    hear_stop(partial(_stop, house))
    sys.excepthook = lambda _, error, __: _say_last(house, error)
    return flow


def _stop(house: House, signal: Signals) -> None:
    log.info("stopping", signal=signal.name)
    house.stop.set()


def _say_last(house: House, error: BaseException) -> None:
    """One line for an end that was foreseen, without the tracebacks that Bytewax wraps around it."""
    foreseen = (*FORESEEN, *WAITED_OUT) if house.stop.is_set() else FORESEEN
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, foreseen):
            log.error("flow ends", reason=f"{cause}")
            return
        cause = cause.__cause__ or cause.__context__
    sys.__excepthook__(type(error), error, error.__traceback__)
