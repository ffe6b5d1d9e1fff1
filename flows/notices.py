"""Carries notices to one sink, in a thread of its own."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Event

from alerts.notices.errand import Notices
from config.settings import Settings
from operators.courier import Courier
from operators.desk import FLOW
from operators.gateway import Attempts
from operators.health import Pulse
from operators.intake import Intake
from operators.kafka import producer
from operators.sinks import Target
from operators.standings import Standings
from operators.telling import Telling

STOP_S = 15.0  # so long may attempts in flight go on when the flow is told to stop


def carry(settings: Settings, target: Target, partitions: Mapping[str, int], pulse: Pulse, stop: Event) -> None:
    """One sink's work, from the offsets that its group has committed."""
    client, flow, topic = settings.kafka.librdkafka(), f"{FLOW}-{target.name}", settings.topic("notices")
    latest = target.sink.begin == "latest"
    intake = Intake(client, settings.topic(flow), flow, topic, range(partitions[topic]), latest)
    telling, attempts = Telling(producer(client), intake.finish, stop), Attempts(target.post, target.terms.in_flight)
    errand = Notices(target.name, target.sink, settings.topic("dead-letters"))
    Courier(FLOW, target.name, errand, target.terms, intake, attempts, telling, pulse).carry(stop, STOP_S)


def repeat(target: Target, standings: Standings, stop: Event) -> None:
    """Tells of what fires again and again, where a sink forgets."""
    if target.repeat is None:
        stop.wait()
    else:
        target.repeat(lambda: standings.firing(target.sink), stop)
