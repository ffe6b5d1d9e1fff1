"""dispatch: coupons → gateways over HTTP → deliveries. No dataflow: a thread for each gateway (decision 0011)."""

from __future__ import annotations

from functools import partial
from threading import Event

import structlog

from alerts.delivery.errand import Coupons
from alerts.delivery.outcome import Topics
from config.settings import Settings
from flows.gateways import Target, load_gateways
from flows.showing import show_health
from flows.threaded import main, work_on
from operators.courier import Courier
from operators.gateway import Attempts, Gateway
from operators.health import Pulse
from operators.intake import Intake
from operators.kafka import ensure_topics, producer, require_kafka
from operators.telling import Telling
from operators.tombstones import Following

log = structlog.get_logger()
USED = ("coupons", "deliveries", "dead-letters", "events", "forgotten")


def run(settings: Settings, stop: Event) -> None:
    """Until `stop`. Without a gateway it only says so, so that it can be part of every installation."""
    kafka, targets, pulse = settings.kafka, load_gateways(settings), Pulse(settings.metrics.stall_s)
    client, names = kafka.librdkafka(), [*map(settings.topic, USED)]
    require_kafka(client, kafka.start_timeout_s)
    size = {"max.message.bytes": str(kafka.max_message_bytes)}
    partitions = ensure_topics(client, names, kafka.partitions, kafka.replication, size, names[-1:])[names[0]]
    parts = kafka.parts(partitions)
    show_health(settings, "dispatch", pulse)
    if not targets:
        log.warning("no gateway is configured: coupons stay on their topic; name one in [dispatch.gateways.<name>]")
    works = [(f"gateway {one.name}", partial(carry, settings, one, parts, pulse, stop)) for one in targets]
    work_on(works, settings, names[0], pulse, stop, settings.dispatch.stop_s)


def carry(settings: Settings, target: Target, parts: range, pulse: Pulse, stop: Event) -> None:
    """One gateway's work, from the offsets that its group has committed."""
    client, gateway, terms, flow = settings.kafka.librdkafka(), target.gateway, target.terms, f"dispatch-{target.name}"
    intake = Intake(client, settings.topic(flow), flow, settings.topic("coupons"), parts, gateway.begin == "latest")
    attempts = Attempts(Gateway(gateway.url, target.secrets, terms.timeout_s, terms.in_flight).post, terms.in_flight)
    telling = Telling(producer(client), intake.finish, stop)
    errand = Coupons(target.name, gateway.channels, Topics(*map(settings.topic, USED[1:-1])))
    tombstones = Following(client, settings.topic("forgotten"), flow)
    log.info("gateway opened", gateway=target.name, partitions=[*parts])
    courier = Courier("dispatch", target.name, errand, terms, intake, attempts, telling, pulse, tombstones)
    courier.carry(stop, settings.dispatch.stop_s)


if __name__ == "__main__":
    main(run)
