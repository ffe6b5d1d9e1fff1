"""Keeps a process going whose work is done in threads: what ends by an error starts anew, and Kafka is watched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Event
from typing import Any

import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from operators.health import Pulse
from operators.source import OffsetExpired
from operators.standings import WrittenByAnother

log = structlog.get_logger()
ANEW_S = 5.0
WATCH_S = 2.0
FORESEEN = (KafkaException, OffsetExpired, WrittenByAnother)


def keep(name: str, work: Callable[[], None], pulse: Pulse, stop: Event) -> None:
    """Does the work until `stop`. After an error /healthz is red until the work says that it is well."""
    while not stop.is_set():
        try:
            work()
        except Exception as error:
            pulse.trouble(name, f"{type(error).__name__}: it starts anew")
            if isinstance(error, FORESEEN):
                log.error("starts anew", what=name, reason=f"{error}")
            else:
                log.exception("starts anew", what=name)
            stop.wait(ANEW_S)


def watch_kafka(client: Mapping[str, Any], topic: str, pulse: Pulse, stop: Event) -> None:
    """Asks Kafka for a topic again and again until `stop`; /healthz is red while it does not answer."""
    admin = AdminClient({**client, "log_level": 0, "error_cb": lambda _: None})
    while not stop.wait(WATCH_S):
        try:
            admin.list_topics(topic, timeout=WATCH_S)
            pulse.well("kafka")
        except KafkaException as error:
            pulse.trouble("kafka", error.args[0].str())
